"""What was sent and received, as a report shows it; the report masks secrets, nothing is hidden here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.integrations.http.request import Request

_SHORT = 400
_LONG = 100_000


@dataclass(frozen=True, slots=True)
class Sent:
    """``POST http://localhost:8080/orders/42/pay  {"amount": 25}``; verbose with headers, one on a line."""

    request: Request

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        request = self.request
        line = f"{request.method} {request.target.url}"
        body = request.shown_body or (request.body or b"").decode("utf-8", "replace")
        return _verbose(line, request.headers, body) if verbose else _joined(line, _cut(body, _SHORT))


@dataclass(frozen=True, slots=True)
class Received:
    """``201 in 37 ms  application/json  {"id": 42}``; verbose with headers, one on a line.

    *hops* are the redirects before it: status and where to.
    """

    result: Mapping[str, Any]
    reason: str
    hops: tuple[tuple[int, str], ...]

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        result = self.result
        line = f"{result['status']} in {result['duration_ms']} ms"
        if verbose:
            before = "".join(f"{status} -> {url}\n" for status, url in self.hops)
            return before + _verbose(f"{line} {self.reason}".rstrip(), result["headers"], _shown(result["body"]))
        if self.hops:
            line += f" after {len(self.hops)} redirect{'s' * (len(self.hops) > 1)} from {result['url']}"
        media_type = result["content_type"].partition(";")[0]
        return _joined(line, media_type, _cut(_shown(result["body"]), _SHORT))


def _shown(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)


def _joined(*parts: str) -> str:
    return "  ".join(part for part in parts if part)


def _cut(text: str, size: int) -> str:
    text = text.strip()
    return text if len(text) <= size else f"{text[:size]}... ({len(text)} characters)"


def _verbose(line: str, headers: Mapping[str, str], body: str) -> str:
    lines = [line, *(f"{name}: {value}" for name, value in headers.items())]
    return "\n".join([*lines, "", _cut(body, _LONG)] if body else lines)
