"""Grafana Tempo's HTTP API: a trace by its id, and the traces that a TraceQL query finds.

Source: https://grafana.com/docs/tempo/latest/api_docs/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.integrations._http_answers import Answer
from pytest_testmesh.integrations._http_api import HttpApi
from pytest_testmesh.integrations.otel.failures import INCOMPLETE, TOO_MANY_SPANS
from pytest_testmesh.integrations.otel.ids import SPAN_DIGITS, TRACE_DIGITS, wire_id
from pytest_testmesh.integrations.otel.question import MAX_TRACES, ByOperation, ByQuery
from pytest_testmesh.integrations.otel.spans import FoundTrace, Span, read_spans
from pytest_testmesh.integrations.otel.window import Window
from pytest_testmesh.polling import Deadline

_MAX_SPANS_OF_A_SET = 100
"""As many as Tempo gives by default; it refuses to be asked for more."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A trace that a search found, the ids of the spans that it was found by, and how many more there are of them."""

    trace_id: str
    span_ids: frozenset[str]
    untold: int = 0

    def has(self, span: Span) -> bool:
        """Whether it was found by this span."""
        return span.span_id in self.span_ids

    def require_all(self, url: str) -> None:
        """Refuse to take some of the spans for all.

        Raises:
            TargetError: Tempo names fewer spans than it found the trace by.
        """
        if self.untold:
            raise TOO_MANY_SPANS.make(f"Tempo at {url}", {"untold": str(self.untold), "trace": self.trace_id})


class Tempo:
    """A Tempo for one look, which ends at *deadline*; all methods raise what `HttpApi.ask` does."""

    name = "Tempo"
    lag = (
        "Tempo's search shows a trace about 30s after it came in, by default, while a look-up by trace_id shows it at "
        "once: give the trace_id where it is known, else let `within` be 60s or more"
    )

    def __init__(self, api: HttpApi, deadline: Deadline) -> None:
        self.url = api.url
        self._api = api
        self._deadline = deadline

    def trace(self, trace_id: str) -> list[Span]:
        """Return the spans of a trace that are there by now."""
        # Tempo before 2.7 has no second version of this, and the second answers 200 for a trace that is not there
        answer = self._api.ask(f"/api/v2/traces/{trace_id}", deadline=self._deadline, returned=(404,))
        if answer.status != 404:
            _require_whole(answer)
            return answer.read(lambda parsed: _spans((parsed.get("trace") or {}).get("resourceSpans")))
        answer = self._api.ask(f"/api/traces/{trace_id}", deadline=self._deadline, returned=(404,))
        if answer.status == 404:
            return []
        _require_whole(answer)
        return answer.read(lambda parsed: _spans(parsed.get("batches")))

    def find(self, question: ByOperation | ByQuery, window: Window) -> list[FoundTrace]:
        """Return each trace that is found."""
        return [self._found(hit, question) for hit in self._search(traceql(question), window)]

    def _found(self, hit: Hit, question: ByOperation | ByQuery) -> FoundTrace:
        spans = self.trace(hit.trace_id)
        # a hit names at most so many spans; whether one is of an operation needs no server to tell
        if isinstance(question, ByOperation):
            return FoundTrace(spans, list(filter(question.wants, spans)))
        hit.require_all(self.url)
        return FoundTrace(spans, list(filter(hit.has, spans)))

    def services(self, window: Window) -> list[str]:
        """Return the services that search knows."""
        path = "/api/v2/search/tag/resource.service.name/values"
        answer = self._api.ask(path, window.in_seconds(), deadline=self._deadline)
        return answer.read(lambda parsed: sorted(str(each["value"]) for each in parsed.get("tagValues") or ()))

    def _search(self, query: str, window: Window) -> list[Hit]:
        params = {"q": query, "limit": MAX_TRACES, "spss": _MAX_SPANS_OF_A_SET, **window.in_seconds()}
        return self._api.ask("/api/search", params, deadline=self._deadline).read(read_hits)


def traceql(question: ByOperation | ByQuery) -> str:
    """Return the question in TraceQL."""
    if isinstance(question, ByQuery):
        return question.traceql
    conditions = [f"resource.service.name={_quoted(question.service)}"]
    if question.operation is not None:
        conditions.append(f"name={_quoted(question.operation)}")
    return f"{{{' && '.join(conditions)}}}"


def _quoted(text: str) -> str:
    """TraceQL writes text as Go does; JSON's escapes are among Go's."""
    return json.dumps(text, ensure_ascii=False)


def read_hits(answer: Mapping[str, Any]) -> list[Hit]:
    """Read the answer to a search; older versions write ``spanSet``, newer ones a list of them, too."""
    return [_hit(trace) for trace in answer.get("traces") or ()]


def _hit(trace: Mapping[str, Any]) -> Hit:
    sets = trace.get("spanSets") or [trace.get("spanSet") or {}]
    ids = frozenset(wire_id(span["spanID"], SPAN_DIGITS) for each in sets for span in each.get("spans") or ())
    untold = sum(max(0, int(each.get("matched") or 0) - len(each.get("spans") or ())) for each in sets)
    return Hit(wire_id(trace["traceID"], TRACE_DIGITS), ids, untold)


def _require_whole(answer: Answer) -> None:
    """Refuse a part of a trace, which Tempo gives beyond its limits, or where it could not read all blocks.

    Raises:
        TargetError: It is one.
    """
    status, message = answer.read(lambda parsed: (parsed.get("status"), parsed.get("message")))
    if answer.status == 206 or status in ("PARTIAL", 1):
        raise INCOMPLETE.make(answer.where, {"said": message or f"{answer.status} {status or 'Partial Content'}"})


def _spans(resource_spans: Any) -> list[Span]:
    return list(read_spans(resource_spans or ()))
