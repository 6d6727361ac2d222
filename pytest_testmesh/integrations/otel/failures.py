"""What a status means to Tempo and Jaeger, where it is not what it means to every API."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_testmesh.errors import TargetError
from pytest_testmesh.integrations._failures import Row
from pytest_testmesh.integrations._watching import NOT_READY

_TOO_LARGE = Row(
    TargetError,
    "the trace is too large to be read: {said}",
    "its server's limit is max_bytes_per_trace; a narrower `query` reads no less",
    "TRACE_TOO_LARGE",
)

PHRASES: Mapping[str, Row] = {
    "TraceQL": Row(TargetError, "{said}", "line and column count in `query`, after ${{}} is filled in", "BAD_QUERY"),
    "empty ring": Row(TargetError, "it is not ready: {said}", "it says so for a moment after its start", NOT_READY),
    "exceeds max size": _TOO_LARGE,
    "larger than max": _TOO_LARGE,
    "too large": _TOO_LARGE,
}
"""By what the answer says; Tempo tells in plain text, and with one status for many things."""


def row_of(status: int, said: str) -> Row | None:
    """Return what it means to a server of traces, None for what it means to all."""
    return next((row for phrase, row in PHRASES.items() if phrase in said), None)
