"""URLs as this package sends to them: checked once, cached, compared by origin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlencode, urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._hosts import check_host

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_BLANK = re.compile(r"[\x00-\x20\x7f]")
_PLAIN = re.compile(r"(https?://[\w.-]+(?::[1-5]?\d{1,4})?)((?:/(?!\.)[\w.~=&?,:@+-]*)+)", re.ASCII)
"""URLs that need no more than a cut after their origin: no user, no escapes, no dots to resolve."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """One URL, taken apart; *path* holds the query too, *url* everything but the fragment."""

    scheme: str
    host: str
    port: int
    path: str
    url: str
    userinfo: str | None = None

    @property
    def origin(self) -> tuple[str, str, int]:
        """What connections are pooled by."""
        return (self.scheme, self.host, self.port)

    @property
    def shown_origin(self) -> str:
        """``"localhost:8080"``, for messages."""
        return f"{self.host}:{self.port}"

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User and password of the URL, decoded."""
        if self.userinfo is None:
            return None
        user, _, password = self.userinfo.partition(":")
        return unquote(user), unquote(password)

    def keeps_credentials(self, next_hop: Target) -> bool:
        """Whether a redirect from here to *next_hop* may carry credentials along.

        Same origin, or http to https on the default ports of one host.

        Source: ``requests.Session.should_strip_auth``.
        """
        if self.origin == next_hop.origin:
            return True
        upgrade = (self.scheme, self.port, next_hop.scheme, next_hop.port) == ("http", 80, "https", 443)
        return upgrade and self.host == next_hop.host

    def redirected(self, location: str) -> Target:
        """Return where a ``Location`` header points to from here.

        Raises:
            ActionConfigError: Not an http or https URL.
        """
        # http.client decodes headers as latin-1, servers write UTF-8
        text = location.encode("latin-1", "replace").decode("utf-8", "replace").strip()
        return parse_target(_BLANK.sub(lambda found: f"%{ord(found.group()):02X}", urljoin(self.url, text)))


def parse_target(url: str) -> Target:
    """Take *url* apart.

    Raises:
        ActionConfigError: No scheme, another scheme than http or https, white space, no host, a bad port.
    """
    plain = _PLAIN.fullmatch(url)
    if plain is None:
        return _parsed(url)
    # steps of a flow mostly differ in the path alone: the cut takes 5 us, parsing 22 of a step's 350
    origin, path = _parsed(plain[1]), plain[2]
    return Target(origin.scheme, origin.host, origin.port, path, origin.url[:-1] + path)


@lru_cache(maxsize=1024)
def _parsed(url: str) -> Target:
    _refuse_odd(url)
    try:
        parsed = parse_url(url)
    except LocationParseError as exc:
        raise _not_valid(url) from exc
    if parsed.port == 0:
        raise _not_valid(url)
    if not parsed.host:
        raise ActionConfigError(f'url "{url}" has no host', hint="is a variable in it empty?")
    host = parsed.host.strip("[]")
    check_host(host, "url")
    scheme = parsed.scheme or ""
    return Target(
        scheme,
        host,
        parsed.port or _DEFAULT_PORTS[scheme],
        parsed.request_uri,
        parsed._replace(fragment=None, path=parsed.path or "/").url,
        parsed.auth,
    )


def _not_valid(url: str) -> ActionConfigError:
    return ActionConfigError(
        f'url "{url}" is not valid', hint="write http://host:port/path; a port is a number from 1 to 65535"
    )


def _refuse_odd(url: str) -> None:
    if _BLANK.search(url):
        raise ActionConfigError(
            f'url "{_without_login(url)}" holds white space',
            hint="put values into `params`, they are encoded there, or write %20",
        )
    scheme = _SCHEME.match(url)
    if scheme is None:
        shown = _without_login(url)
        raise ActionConfigError(f'url "{shown}" has no scheme', hint=f'write "http://{shown.lstrip("/")}"')
    if scheme.group(1).lower() not in _DEFAULT_PORTS:
        raise ActionConfigError(
            f'url "{url}" is neither http nor https', hint=f"{scheme.group(1)} is no protocol of this action"
        )


def _without_login(url: str) -> str:
    """Leave out user and password also where they cannot be told from the rest: no scheme, or white space."""
    return f"***@{url.rpartition('@')[2]}" if "@" in url else url


def with_params(url: str, params: Mapping[str, Any]) -> str:
    """Add query parameters to *url*: a list repeats its name, null leaves it out."""
    pairs = [(name, text_of(each)) for name, value in params.items() for each in _values(value)]
    if not pairs:
        return url
    base, _, _fragment = url.partition("#")
    return f"{base}{'&' if '?' in base else '?'}{urlencode(pairs)}"


def _values(value: Any) -> list[Any]:
    return [each for each in (value if isinstance(value, list) else [value]) if each is not None]


def text_of(value: Any) -> str:
    """Write a scalar of a config as HTTP wants it: ``true``, ``5``, text as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
