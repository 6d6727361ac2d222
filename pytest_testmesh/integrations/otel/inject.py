"""``otel.inject``: a W3C trace context of its own, or one that continues the trace of the run."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

from pytest_testmesh.actions import ActionContext

_VENDOR = "testmesh"
_CURRENT = re.compile(r"00-(?P<trace_id>[0-9a-f]{32})-(?P<span_id>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_SAMPLED = "01"


def run(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Return headers that make whoever gets them a child of this step.

    With tracing on, the parent is the span of this step itself, and the headers are those of the run's own trace.
    Without, trace and parent are random, and the parent's span is not there: it is in no backend.

    Source: https://www.w3.org/TR/trace-context/
    """
    current = _CURRENT.fullmatch(context.traceparent or "")
    trace_id = current["trace_id"] if current else _random_id(16)
    span_id = current["span_id"] if current else _random_id(8)
    flags = current["flags"] if current else _SAMPLED
    return {
        "traceparent": f"00-{trace_id}-{span_id}-{flags}",
        "tracestate": f"{_VENDOR}={span_id}",
        "trace_id": trace_id,
        "span_id": span_id,
    }


def _random_id(size_bytes: int) -> str:
    """Return random hex; all zeros is no id (Trace Context, 3.2.2.3)."""
    while not int(found := secrets.token_hex(size_bytes), 16):
        pass
    return found
