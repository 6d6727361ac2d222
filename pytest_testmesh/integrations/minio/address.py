"""Where a step's S3 API is and who asks it: the step's config over ``testmesh_minio_*`` over localhost:9000."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations.http.target import Target, parse_target

SETTING = "minio_endpoint"
_DEFAULT = "localhost:9000"
_FORM = "write host:port, or http://host:port or https://host:port"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_REGION = re.compile(r"[a-z\d]([a-z\d_-]{0,61}[a-z\d])?", re.IGNORECASE)
_FIXED_REGION = "us-east-1"
_AWS = re.compile(r"\.amazonaws\.com(\.cn)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An S3 API and a login; *path_style* None leaves the form of URLs to the client, *region* None the region.

    *is_default* says that nobody named the server.
    """

    target: Target
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str | None = _FIXED_REGION
    path_style: bool | None = None
    is_default: bool = field(default=False, compare=False)

    @property
    def tls(self) -> bool:
        """Whether the server is spoken to over TLS."""
        return self.target.scheme == "https"

    @property
    def origin(self) -> str:
        """``"localhost:9000"``, for the client and for messages."""
        host = self.target.host
        return f"[{host}]:{self.target.port}" if ":" in host else f"{host}:{self.target.port}"


def parse_address(config: Mapping[str, Any], settings: Mapping[str, str]) -> Address:
    """Return the address that *config* describes; what it leaves out comes from *settings*, then from the defaults.

    A step that names an endpoint of its own takes no keys from the settings: a secret never goes to another host. A
    step that names an access key takes no secret key from elsewhere.

    Raises:
        ActionConfigError: An endpoint or region that cannot be used, or one key without the other.
    """
    own = "endpoint" in config
    settings = {} if own else settings
    written = config["endpoint"] if own else settings.get(SETTING, _DEFAULT)
    target = _parsed(written, "config.endpoint" if own else f"testmesh_{SETTING}", config.get("use_ssl"))
    access_key, secret_key = _keys(config, settings)
    return Address(
        target=target,
        access_key=access_key,
        secret_key=secret_key,
        session_token=config.get("session_token") or None,
        region=_region(config, target.host),
        path_style=config.get("path_style"),
        is_default=not own and SETTING not in settings,
    )


@lru_cache(maxsize=64)
def _parsed(endpoint: str, named_by: str, use_ssl: bool | None) -> Target:
    scheme = _SCHEME.match(endpoint)
    if scheme is None:
        endpoint = f"{'https' if use_ssl else 'http'}://{endpoint}"
    elif use_ssl is not None and (scheme[0].lower() == "https://") != use_ssl:
        raise ActionConfigError(f"{named_by} begins with {scheme[0]}, and use_ssl says otherwise", hint="remove one")
    if "@" in endpoint:
        raise ActionConfigError(f"{named_by} holds a login", hint="write `access_key` and `secret_key`")
    try:
        target = parse_target(endpoint)
    except ActionConfigError as exc:
        raise ActionConfigError(f"{named_by}: {exc.message}", hint=_FORM) from exc
    if target.path != "/":
        raise ActionConfigError(f"{named_by} has a path: {target.path}", hint=f"{_FORM}; a bucket goes into `bucket`")
    return target


def _keys(config: Mapping[str, Any], settings: Mapping[str, str]) -> tuple[str | None, str | None]:
    given = config if "access_key" in config or "secret_key" in config else None
    if given is None:
        access_key, secret_key = settings.get("minio_access_key"), settings.get("minio_secret_key")
    else:
        access_key, secret_key = given.get("access_key") or None, given.get("secret_key") or None
    if (access_key is None) != (secret_key is None):
        there, missing = ("access_key", "secret_key") if access_key else ("secret_key", "access_key")
        raise ActionConfigError(
            f"there is a {there} but no {missing}",
            hint="give both, or none for an anonymous request; both come from one place, the config or the settings",
        )
    return access_key, secret_key


def _region(config: Mapping[str, Any], host: str) -> str | None:
    region = config.get("region")
    if region:
        if not _REGION.fullmatch(region):
            raise ActionConfigError(f'config.region: "{region}" is no region', hint="a region is like us-east-1")
        return str(region)
    # amazonaws.com has the region in the host, or tells that of a bucket; to ask others costs a request for nothing
    return None if _AWS.search(host) else _FIXED_REGION
