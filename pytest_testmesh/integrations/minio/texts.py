"""What was sent and received, as a report shows it; the report masks secrets, nothing is hidden here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.integrations.minio.content import Content

_SHORT = 400
_LONG = 100_000


@dataclass(frozen=True, slots=True)
class Sent:
    """``PUT reports/may.csv at localhost:9000  text/csv  a,b``; verbose with the whole text."""

    where: str
    content: Content | None = None

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        content = self.content
        if content is None:
            return self.where
        shown = f"file {content.path}" if content.path else _text_of(content.data)
        return f"{self.where}  {content.content_type}  {_cut(shown, _LONG if verbose else _SHORT)}".rstrip()


@dataclass(frozen=True, slots=True)
class Received:
    """``in 3.1 ms  {"etag": ...}``; the result without what the step said itself."""

    result: Mapping[str, Any]
    duration_s: float

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        facts = {name: value for name, value in self.result.items() if name not in ("bucket", "object", "body")}
        line = f"in {self.duration_s * 1000:.1f} ms  {json.dumps(facts, ensure_ascii=False)}"
        body = self.result.get("body")
        if body is None:
            return line
        shown = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        return f"{line}  {_cut(shown, _LONG if verbose else _SHORT)}"


def _text_of(data: bytes) -> str:
    try:
        return data[: 4 * _LONG].decode()
    except UnicodeDecodeError:
        return f"<{len(data)} bytes>"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
