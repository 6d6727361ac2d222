"""The cookie jar of one item run; made only when a first cookie turns up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

    from urllib3 import HTTPHeaderDict


class Cookies:
    """Keeps the cookies that servers set and says which go out to a URL, by the rules of `http.cookiejar`."""

    def __init__(self) -> None:
        self._jar: CookieJar | None = None

    def header(self, url: str, extra: Mapping[str, str]) -> str | None:
        """Return the ``Cookie`` header for *url*; *extra* are a request's own, which win over the jar's."""
        if self._jar is None and not extra:
            return None
        pairs = dict(self._stored(url))
        pairs.update(extra)
        return "; ".join(f"{name}={value}" for name, value in pairs.items()) or None

    def _stored(self, url: str) -> list[tuple[str, str]]:
        if self._jar is None:
            return []
        from urllib.request import Request

        request = Request(url)
        self._jar.add_cookie_header(request)
        header = request.get_header("Cookie") or ""
        return [(name, value) for each in header.split("; ") if each for name, _, value in [each.partition("=")]]

    def store(self, url: str, headers: HTTPHeaderDict) -> dict[str, str]:
        """Take in the cookies that a response from *url* sets; return them by name."""
        from http.cookiejar import CookieJar
        from urllib.request import Request

        if self._jar is None:
            self._jar = CookieJar()
        request = Request(url)
        found = self._jar.make_cookies(_Response(headers), request)  # type: ignore[arg-type]
        for cookie in found:
            self._jar.set_cookie_if_ok(cookie, request)
        return {cookie.name: cookie.value or "" for cookie in found}


class _Response:
    """What `http.cookiejar` wants of a response."""

    def __init__(self, headers: HTTPHeaderDict) -> None:
        self._headers = headers

    def info(self) -> _Response:
        return self

    def get_all(self, name: str, default: list[str]) -> list[str]:
        return self._headers.getlist(name) or default
