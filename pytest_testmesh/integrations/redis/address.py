"""Where a step's Redis is and who logs in: the step's config over ``testmesh_redis_url`` over localhost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._hosts import check_host

SETTING = "redis_url"
_FORM = "write redis://[user:password@]host[:port][/db], or rediss:// for TLS"
_ENCODED = f"{_FORM}; in a password, / is %2F, ? is %3F, # is %23 and @ is %40"
_SCHEMES = {"redis": False, "rediss": True}
_PORT = 6379
_MAX_PORT = 65535
_VERIFY = {"none": False, "cert_none": False, "required": True, "cert_required": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server, a database of it, and a login.

    *verify* is as ``verify_ssl``: whether the certificate is checked, or the path of the CA certificates to trust.
    *is_default* says that nobody named the server.
    """

    host: str = "localhost"
    port: int = _PORT
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    verify: bool | str = True
    is_default: bool = field(default=False, compare=False)

    @property
    def origin(self) -> str:
        """``"localhost:6379"``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """``"localhost:6379/2"``, for messages: no login, and no number for the first database."""
        return f"{self.origin}/{self.db}" if self.db else self.origin


def parse_address(config: Mapping[str, Any], settings: Mapping[str, str]) -> Address:
    """Return the address that *config* describes; what it leaves out comes from *settings*, then from the defaults.

    A step that names a server of its own takes nothing from the settings: a password never goes to another host.
    A step that names a user takes no password from elsewhere.

    Raises:
        ActionConfigError: A URL that cannot be used, ``url`` beside ``host`` or ``port``, a number out of range.
    """
    address = _server(config, settings)
    own: dict[str, Any] = {}
    for key, name in (("db", "db"), ("ssl", "tls"), ("verify_ssl", "verify")):
        if key in config:
            own[name] = config[key]
    if "username" in config:
        own["username"], own["password"] = config["username"] or None, None
    if "password" in config:
        own["password"] = config["password"] or None
    return _checked(replace(address, **own)) if own else address


def _server(config: Mapping[str, Any], settings: Mapping[str, str]) -> Address:
    if "host" in config or "port" in config:
        if "url" in config:
            raise ActionConfigError("config has both `url` and `host` or `port`", hint="remove one of them")
        address = Address(host=config.get("host", "localhost"), port=config.get("port", _PORT))
        check_host(address.host, "config.host")
        return _checked(address)
    if "url" in config:
        return _parsed(config["url"], "config.url")
    if SETTING in settings:
        return _parsed(settings[SETTING], f"testmesh_{SETTING}")
    return Address(is_default=True)


def _checked(address: Address) -> Address:
    if not 1 <= address.port <= _MAX_PORT:
        raise ActionConfigError(f"{address.port} is no port", hint=f"a port is a number from 1 to {_MAX_PORT}")
    if address.db < 0:
        raise ActionConfigError(f"{address.db} is no database", hint="Redis numbers its databases from 0")
    return address


@lru_cache(maxsize=64)
def _parsed(url: str, named_by: str) -> Address:
    """Take *url* apart; messages show nothing of it that may be a piece of a password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ActionConfigError(f"{named_by} is no URL", hint=_ENCODED) from None
    if parts.scheme not in _SCHEMES:
        raise _other_scheme(parts.scheme, named_by)
    if "," in parts.netloc.rpartition("@")[2]:
        raise ActionConfigError(f"{named_by} lists several servers", hint=f"clusters are not supported; {_FORM}")
    try:
        port = _PORT if parts.port is None else parts.port
    except ValueError:
        raise ActionConfigError(f"{named_by}: its port is no number from 1 to {_MAX_PORT}", hint=_ENCODED) from None
    if parts.fragment:
        raise ActionConfigError(f"{named_by} has a part behind #", hint=_ENCODED)
    address = Address(
        host=parts.hostname or "localhost",
        port=port,
        db=_database(parts.path.strip("/"), named_by),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=_SCHEMES[parts.scheme],
    )
    check_host(address.host, named_by)
    return _checked(_with_parameters(address, parts, named_by))


def _other_scheme(scheme: str, named_by: str) -> ActionConfigError:
    if "cluster" in scheme or "sentinel" in scheme:
        kind = "a cluster" if "cluster" in scheme else "Sentinel"
        return ActionConfigError(
            f"{named_by} is for {kind} ({scheme}://), which the redis actions do not speak",
            hint=f"name one server: {_FORM}",
        )
    shown = f"{scheme}://" if scheme else "nothing"
    return ActionConfigError(f"{named_by} begins with {shown}, not with redis:// or rediss://", hint=_FORM)


def _database(text: str, named_by: str) -> int:
    if not text:
        return 0
    if not text.isdecimal():
        raise ActionConfigError(f"{named_by}: what follows the host is no number of a database", hint=_ENCODED)
    return int(text)


def _with_parameters(address: Address, parts: SplitResult, named_by: str) -> Address:
    """Add what may stand behind ``?`` in a URL as redis-py reads it."""
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "db":
            address = replace(address, db=_database(value, named_by))
        elif name == "username":
            address = replace(address, username=value or None)
        elif name == "password":
            address = replace(address, password=value or None)
        elif name == "ssl_ca_certs":
            address = replace(address, verify=value)
        elif name == "ssl_cert_reqs" and value.lower() in _VERIFY:
            address = replace(address, verify=_VERIFY[value.lower()] and address.verify)
        else:
            shown = f": {name}" if name.isidentifier() else ""
            raise ActionConfigError(
                f"{named_by} has a parameter that means nothing here{shown}",
                hint="there are db, username, password, ssl_ca_certs and ssl_cert_reqs=none|required",
            )
    return address
