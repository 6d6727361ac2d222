"""Jaeger's query API, version 3: OTLP JSON, but with what Jaeger's own model makes of it undone.

Source: https://www.jaegertracing.io/docs/latest/architecture/apis/#query-json-over-http
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._http_api import HttpApi
from pytest_testmesh.integrations.otel.question import MAX_TRACES, ByOperation, ByQuery
from pytest_testmesh.integrations.otel.spans import SERVICE, FoundTrace, Span, read_spans
from pytest_testmesh.integrations.otel.window import Window
from pytest_testmesh.model import EMPTY
from pytest_testmesh.polling import Deadline

_NO_SERVICE = frozenset({"missing-service-name", "OTLPResourceNoServiceName"})
"""What Jaeger calls spans whose resource names no service."""
_OF_JAEGER = "@jaeger@"
_GO_ESCAPES = re.compile(r"\\u(003c|003e|0026)")
"""What Go escapes in JSON and Python does not."""


class Jaeger:
    """A Jaeger for one look, which ends at *deadline*; all methods raise what `HttpApi.ask` does."""

    name = "Jaeger"
    lag = ""

    def __init__(self, api: HttpApi, deadline: Deadline) -> None:
        self.url = api.url
        self._api = api
        self._deadline = deadline

    def trace(self, trace_id: str) -> list[Span]:
        """Return the spans of a trace that are there by now."""
        return self._spans(f"/api/v3/traces/{trace_id}", EMPTY)

    def find(self, question: ByOperation | ByQuery, window: Window) -> list[FoundTrace]:
        """Return each trace that is found.

        Raises:
            ActionConfigError: The question is TraceQL.
        """
        if isinstance(question, ByQuery):
            raise ActionConfigError(
                "config.query is TraceQL, which Jaeger does not speak", hint="write `service` and `operation`"
            )
        start, end = window.in_rfc3339()
        params = {
            "query.service_name": question.service,
            "query.operation_name": question.operation,
            "query.start_time_min": start,
            "query.start_time_max": end,
            "query.num_traces": MAX_TRACES,
        }
        found: dict[str, list[Span]] = {}
        for span in self._spans("/api/v3/traces", params):
            found.setdefault(span.trace_id, []).append(span)
        return [FoundTrace(spans, list(filter(question.wants, spans))) for spans in found.values()]

    def services(self, window: Window) -> list[str]:
        """Return the services that search knows."""
        answer = self._api.ask("/api/v3/services", deadline=self._deadline)
        return answer.read(lambda parsed: sorted(parsed.get("services") or ()))

    def _spans(self, path: str, params: Mapping[str, Any]) -> list[Span]:
        answer = self._api.ask(path, params, deadline=self._deadline, returned=(404,))
        return [] if answer.status == 404 else answer.read(_read)


def _read(answer: Mapping[str, Any]) -> list[Span]:
    # "result" stands around it where the answer is one of a stream
    data = answer.get("result") or answer
    resource_spans = data.get("resourceSpans") or ()
    for scope in (scope for each in resource_spans for scope in each.get("scopeSpans") or ()):
        scope["spans"] = [_with_own_parent(span) for span in scope.get("spans") or ()]
    return list(map(_undone, read_spans(resource_spans)))


def _with_own_parent(span: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the span without the parent that Jaeger gives a root which is linked to a span of its trace."""
    parent = span.get("traceId"), span.get("parentSpanId")
    linked = any((link.get("traceId"), link.get("spanId")) == parent for link in span.get("links") or ())
    return {**span, "parentSpanId": ""} if linked else span


def _undone(span: Span) -> Span:
    """Return the span as it was sent: without Jaeger's remarks, with lists that are not text."""
    nameless = span.service in _NO_SERVICE
    resource = {name: value for name, value in span.resource.items() if not (nameless and name == SERVICE)}
    return replace(
        span,
        service=None if nameless else span.service,
        attributes=_with_lists(span.attributes.items()),
        events=tuple({**event, "attributes": _with_lists(event["attributes"].items())} for event in span.events),
        resource=_with_lists(resource.items()),
    )


def _with_lists(attributes: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: _as_list(value) for name, value in attributes if not name.startswith(_OF_JAEGER)}


def _as_list(value: Any) -> Any:
    """Return the list that a text is the JSON of, as Jaeger's storage writes lists; any other value as it is."""
    if not (isinstance(value, str) and value.startswith("[") and value.endswith("]")):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        return value
    written = json.dumps(found, separators=(",", ":"), ensure_ascii=False)
    return found if written == _GO_ESCAPES.sub(lambda each: chr(int(each[1], 16)), value) else value
