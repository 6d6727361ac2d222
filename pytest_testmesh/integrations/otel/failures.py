"""What a status means to Tempo and Jaeger, where it is not what it means to every API."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_testmesh.errors import TargetError
from pytest_testmesh.integrations._failures import Row
from pytest_testmesh.integrations._http_answers import by_words
from pytest_testmesh.integrations._watching import NOT_READY

_INCOMPLETE = "TRACE_INCOMPLETE"
_TOO_LARGE = Row(
    TargetError,
    "the trace is too large to be read: {said}",
    "its server's limit is max_bytes_per_trace; a narrower `query` reads no less",
    "TRACE_TOO_LARGE",
)

INCOMPLETE = Row(
    TargetError,
    "only a part of the trace could be read: {said}",
    "what is asserted of a part says nothing about the trace; is it beyond a limit of the server?",
    _INCOMPLETE,
)
"""Not an error to the server, which gives what it has."""
TOO_MANY_SPANS = Row(
    TargetError,
    "the query selects {untold} more spans of trace {trace} than Tempo tells",
    "narrow the query; what is asserted of some of the spans says nothing about all",
    "TOO_MANY_SPANS",
)
NOT_YET = (NOT_READY, _INCOMPLETE)
"""Codes of what may be over at the next look."""

WORDS: Mapping[str, Row] = {
    "TraceQL": Row(TargetError, "{said}", "line and column count in `query`, after ${{}} is filled in", "BAD_QUERY"),
    "empty ring": Row(TargetError, "it is not ready: {said}", "it says so for a moment after its start", NOT_READY),
    "exceeds max size": _TOO_LARGE,
    "larger than max": _TOO_LARGE,
    "too large": _TOO_LARGE,
}
"""The first pattern that is found in what the server said; Tempo has one status for many things."""
row_of = by_words(WORDS)
"""What a refusal means to Tempo or Jaeger alone."""
