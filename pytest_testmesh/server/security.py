"""Decides which requests are answered at all: by Host, Origin, token and content type."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Scope

    from pytest_testmesh.server.settings import ServerSettings

LOGIN_PATH = "/login"
API_PATHS = "/api/"
_FREE_PATHS = (LOGIN_PATH, "/static/")
_FOR_MACHINES = (API_PATHS, "/openapi.json")
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?")
_READS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

RESPONSE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send `Origin: null` with the forms of our own page.
    # https://fetch.spec.whatwg.org/#append-a-request-origin-header
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""What every answer carries, unless it sets the header itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is not answered; *headers* go out with it."""

    status: int
    error: str
    hint: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Access:
    """Who may come in: holders of the token, in a header or, for the page, as a cookie that a login set."""

    def __init__(self, settings: ServerSettings) -> None:
        self._token = settings.token
        self._key = secrets.token_bytes()
        # Cookies are shared by all ports of a host.
        self._cookie = f"testmesh_{settings.port}"

    @property
    def needs_token(self) -> bool:
        """Whether there is a token at all."""
        return self._token is not None

    def accepts(self, token: str) -> bool:
        """Whether this is the token; takes as long for any text."""
        return self._token is None or same_secret(token, self._token)

    def grant(self, response: Response) -> None:
        """Have the browser send with each request what proves that it knew the token."""
        response.set_cookie(self._cookie, self._proof(), httponly=True, samesite="strict")

    def revoke(self, response: Response) -> None:
        """Have the browser forget it; what was granted to others, or was copied, counts no more either."""
        self._key = secrets.token_bytes()
        response.delete_cookie(self._cookie, httponly=True, samesite="strict")

    def has_token(self, headers: Headers) -> bool:
        """Whether ``Authorization: Bearer`` brings the token."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return self._token is None or (scheme.lower() == "bearer" and self.accepts(token.strip()))

    def has_cookie(self, headers: Headers) -> bool:
        """Whether the cookie of a login comes with the request."""
        cookies = cookie_parser(headers.get("cookie", ""))
        return self._token is None or same_secret(cookies.get(self._cookie, ""), self._proof())

    def _proof(self) -> str:
        """The cookie is not the token: who reads it cannot use the API."""
        assert self._token is not None
        return hmac.new(self._key, self._token.encode(), hashlib.sha256).hexdigest()


def same_secret(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing about the expected text."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())


class Rules:
    """The checks of one server, in the order of `refusal`."""

    def __init__(self, settings: ServerSettings, access: Access) -> None:
        self._access = access
        self._hosts = frozenset(_host_names(settings))
        # An address as Host cannot come from DNS, so it is no rebinding; which ones this machine has is not known.
        self._any_address = settings.is_everywhere

    def refusal(self, scope: Scope) -> Refusal | None:
        """Return why the request is refused, None when it is not."""
        path: str = scope["path"]
        headers = Headers(scope=scope)
        changes = scope["method"] not in _READS
        return (
            self._host_refusal(headers)
            or (_origin_refusal(headers) if changes else None)
            or self._token_refusal(path, headers)
            or (_content_type_refusal(path, headers) if changes else None)
        )

    def _host_refusal(self, headers: Headers) -> Refusal | None:
        host = headers.get("host", "")
        match = _HOST.fullmatch(host.lower())
        if match is not None and self._knows(match["name"]):
            return None
        shown = host[:200] or "(none)"
        return Refusal(
            status=403,
            error=f"host {shown} is not served here",
            hint=f"this server is known as {', '.join(sorted(self._hosts))}; other names need --allow-host",
        )

    def _knows(self, name: str) -> bool:
        return name in self._hosts or (self._any_address and _is_address(name))

    def _token_refusal(self, path: str, headers: Headers) -> Refusal | None:
        if path.startswith(_FREE_PATHS) or self._access.has_token(headers):
            return None
        if path.startswith(_FOR_MACHINES):
            return Refusal(
                status=401,
                error="this server needs its token",
                hint="send it as header: Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if self._access.has_cookie(headers):
            return None
        return Refusal(status=303, error="sign in first", headers={"Location": LOGIN_PATH})


def _host_names(settings: ServerSettings) -> Iterable[str]:
    yield from _LOOPBACK_NAMES
    yield from (name.lower() for name in settings.allow_hosts)
    if settings.is_everywhere:
        yield socket.gethostname().lower()
    else:
        yield f"[{settings.host}]" if ":" in settings.host else settings.host.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _origin_refusal(headers: Headers) -> Refusal | None:
    """Refuse what a browser sends for a page of another site, or of another port of this host."""
    host = headers["host"].lower()
    for origin in headers.getlist("origin"):
        # https where something in front of this server speaks TLS for it
        if origin.lower() not in (f"http://{host}", f"https://{host}"):
            return Refusal(status=403, error=f"origin {origin[:200]} may not change anything here", hint=_FOREIGN_HINT)
    for site in headers.getlist("sec-fetch-site"):
        if site not in ("same-origin", "none"):
            return Refusal(status=403, error=f"a {site[:40]} request may not change anything here", hint=_FOREIGN_HINT)
    return None


_FOREIGN_HINT = "changes are made on this server's own page, or by programs, which send no Origin"


def _content_type_refusal(path: str, headers: Headers) -> Refusal | None:
    """Refuse the types that a form of any site can send; a request without a body needs none."""
    expected = "application/json" if path.startswith(API_PATHS) else "application/x-www-form-urlencoded"
    given = headers.getlist("content-type")
    types = [each.partition(";")[0].strip().lower() for each in given]
    has_body = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    if types == [expected] or (not types and not has_body):
        return None
    shown = " and ".join(given)[:200] or "none"
    return Refusal(status=415, error=f"content type {shown}: send {expected}")
