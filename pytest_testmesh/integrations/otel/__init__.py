"""The actions ``otel.*``: what their configs and results look like; their modules are loaded by the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_testmesh.actions import BUILTIN
from pytest_testmesh.integrations._assertions import ASSERTIONS
from pytest_testmesh.integrations._durations import DURATION
from pytest_testmesh.integrations._http_api_schema import API_PROPERTIES
from pytest_testmesh.integrations._lazy import lazy
from pytest_testmesh.integrations._times import TIME

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionRegistry

INJECT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "service_name": {
            "type": "string",
            "description": "has no effect on the headers; for flows of the original",
        },
        "span_name": {"type": "string", "description": "has no effect on the headers; for flows of the original"},
    },
}
ASSERT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "backend_url": {
            "type": "string",
            "description": "http://host:3200 of a Tempo or http://host:16686 of a Jaeger; "
            "by default testmesh_tempo_url, else testmesh_jaeger_url",
        },
        "backend": {"enum": ["tempo", "jaeger"], "description": "what answers there; by default the server is asked"},
        "trace_id": {
            "type": "string",
            "description": "32 hexadecimal digits; leading zeros may be left out",
        },
        "service": {"type": "string", "description": "instead of trace_id: spans of this service"},
        "operation": {"type": "string", "description": "with service: only spans of this name"},
        "query": {
            "type": "string",
            "description": "instead of trace_id: TraceQL; Tempo only",
        },
        "start": {**TIME, "default": "-1h", "description": "without trace_id: when the search begins, such as -5m"},
        "within": {
            **DURATION,
            "description": "how long to wait until the spans are as asserted; by default 10s by trace_id, else 60s",
        },
        "min_spans": {
            "type": "integer",
            "minimum": 0,
            "default": 1,
            "description": "how many spans must be there; 0 where none is right, too",
        },
        "assert": ASSERTIONS,
        **API_PROPERTIES,
    },
}

INJECT_RESULT = {
    "traceparent": "W3C header: 00-<trace id>-<span id>-01",
    "tracestate": "W3C header that goes with it",
    "trace_id": "32 hexadecimal digits",
    "span_id": "16 hexadecimal digits: the parent of what the header causes",
}
ASSERT_RESULT = {
    "spans": "list of {trace_id, span_id, parent_span_id, service, operation, kind, start, duration_ms, status, "
    "status_message, attributes, events, resource}; parents before children, siblings by start",
    "count": "number of spans",
    "traces": "list of {trace_id, start, duration_ms, services, spans}, newest first; spans are all of the trace",
    "backend": "tempo or jaeger",
}

check_assert = lazy("otel.checks:check")
otel_inject = lazy("otel.inject:run")
otel_assert = lazy("otel.action:run")


def register(registry: ActionRegistry) -> None:
    """Add ``otel.inject`` and ``otel.assert``."""
    registry.add(
        "otel.inject",
        otel_inject,
        summary="Make W3C trace headers for what the next steps send",
        schema=INJECT_SCHEMA,
        result=INJECT_RESULT,
        provider=BUILTIN,
    )
    registry.add(
        "otel.assert",
        otel_assert,
        summary="Wait until the spans of a trace, in Tempo or Jaeger, are as they should be",
        schema=ASSERT_SCHEMA,
        result=ASSERT_RESULT,
        expressions=("assert",),
        check=check_assert,
        provider=BUILTIN,
    )
