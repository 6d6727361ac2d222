"""Where a step's Neo4j is and who logs in: the step's config over ``testmesh_neo4j_*`` over localhost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._hosts import check_host

SETTING = "neo4j_url"
_USERNAME, _PASSWORD = "neo4j_username", "neo4j_password"
_FORM = "write bolt://host:7687 for one server, neo4j://host:7687 for a cluster, bolt+s:// or neo4j+s:// for TLS"
_PORT = 7687
_MAX_PORT = 65535
_TLS = {"": False, "s": True, "ssc": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server, or a cluster by one of its servers (*routing*), and a login.

    *verify* is as ``verify_ssl``; *query* is what stands behind ``?``, which the cluster's routing gets. *is_default*
    says that nobody named the server.
    """

    routing: bool = False
    host: str = "localhost"
    port: int = _PORT
    tls: bool = False
    verify: bool | str = True
    query: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    is_default: bool = field(default=False, compare=False)

    @property
    def origin(self) -> str:
        """``"localhost:7687"``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL for the driver: without login, and without the TLS that this package makes itself."""
        return f"{'neo4j' if self.routing else 'bolt'}://{self.origin}{f'?{self.query}' * bool(self.query)}"


def parse_address(config: Mapping[str, Any], settings: Mapping[str, str]) -> Address:
    """Return the address that *config* describes; what it leaves out comes from *settings*, then from the defaults.

    A step that names a server of its own takes no login from the settings: a password never goes to another host.
    A step that names a user takes no password from elsewhere.

    Raises:
        ActionConfigError: A URL that cannot be used.
    """
    address = _server(config, settings)
    if "username" in config:
        address = replace(address, username=config["username"] or None, password=None)
    if "password" in config:
        address = replace(address, password=config["password"] or None)
    if "verify_ssl" in config:
        address = replace(address, verify=config["verify_ssl"])
    if address.password is not None and address.username is None:
        address = replace(address, username="neo4j")
    return address


def _server(config: Mapping[str, Any], settings: Mapping[str, str]) -> Address:
    if "url" in config:
        return _parsed(config["url"], "config.url")
    named = SETTING in settings
    address = _parsed(settings[SETTING], f"testmesh_{SETTING}") if named else Address(is_default=True)
    username, password = settings.get(_USERNAME), settings.get(_PASSWORD)
    return replace(address, username=username or address.username, password=password or address.password)


@lru_cache(maxsize=64)
def _parsed(url: str, named_by: str) -> Address:
    """Take *url* apart; messages show nothing of it that may be a piece of a password."""
    try:
        parts = urlsplit(url)
        port = _PORT if parts.port is None else parts.port
    except ValueError:
        raise ActionConfigError(f"{named_by} is no URL", hint=_FORM) from None
    kind, plus, security = parts.scheme.partition("+")
    if kind not in ("bolt", "neo4j") or security not in _TLS or (plus and not security):
        shown = f"{parts.scheme}://" if parts.scheme else "nothing"
        raise ActionConfigError(f"{named_by} begins with {shown}, not with bolt:// or neo4j://", hint=_FORM)
    if not 1 <= port <= _MAX_PORT:
        raise ActionConfigError(f"{named_by}: {port} is no port", hint=f"a port is a number from 1 to {_MAX_PORT}")
    if parts.path.strip("/") or parts.fragment:
        raise ActionConfigError(f"{named_by} has a part behind the port", hint="name the database in `database`")
    if parts.query and (kind == "bolt" or not _is_routing(parts.query)):
        raise ActionConfigError(
            f"{named_by} has a part behind ? that means nothing here",
            hint="only neo4j:// takes one, name=value for its routing",
        )
    host = parts.hostname or "localhost"
    check_host(host, named_by)
    return Address(
        routing=kind == "neo4j",
        host=host,
        port=port,
        tls=_TLS[security],
        verify=security != "ssc",
        query=parts.query,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
    )


def _is_routing(query: str) -> bool:
    pairs = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in pairs]
    return len(set(names)) == len(names) and "address" not in names and all(value for _, value in pairs)
