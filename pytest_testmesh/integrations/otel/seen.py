"""What one look at a backend saw, and how a step's result holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.integrations.otel.backends import Backend
from pytest_testmesh.integrations.otel.question import ById, Question
from pytest_testmesh.integrations.otel.spans import FoundTrace, Span, in_ms, start_text
from pytest_testmesh.integrations.otel.trees import in_order
from pytest_testmesh.integrations.otel.window import Window


@dataclass(frozen=True, slots=True)
class Seen:
    """*traces* whole, newest first, each in order; *spans* are those of them that are asked for.

    *found* counts what the backend gave, the run's own traces among it.
    """

    traces: Sequence[Sequence[Span]]
    spans: Sequence[Span]
    found: int = 0

    def result(self, backend: str) -> dict[str, Any]:
        """Return it as the step's result."""
        return {
            "spans": [span.result() for span in self.spans],
            "count": len(self.spans),
            "traces": [_trace(spans) for spans in self.traces],
            "backend": backend,
        }


def look(backend: Backend, question: Question, window: Window) -> Seen:
    """Ask *backend* once; *window* is the time in which traces are searched for."""
    if isinstance(question, ById):
        found = backend.trace(question.trace_id)
        return _seen([FoundTrace(found, found)])
    return _seen(backend.find(question, window))


def _seen(found: Sequence[FoundTrace]) -> Seen:
    """Order traces without the run's own spans: a test that is traced must see what one that is not traced sees."""
    of_services = [([span for _, span in in_order(each.spans) if not span.is_of_the_run], each) for each in found]
    traces = [(spans, {id(span) for span in each.wanted}) for spans, each in of_services if spans]
    traces.sort(key=lambda trace: (-_start_ns(trace[0]), trace[0][0].trace_id))
    return Seen(
        [spans for spans, _ in traces],
        [span for spans, wanted in traces for span in spans if id(span) in wanted],
        len(found),
    )


def _start_ns(spans: Sequence[Span]) -> int:
    return min(span.start_ns for span in spans)


def _trace(spans: Sequence[Span]) -> dict[str, Any]:
    start_ns = _start_ns(spans)
    return {
        "trace_id": spans[0].trace_id,
        "start": start_text(start_ns),
        "duration_ms": in_ms(max(span.end_ns for span in spans) - start_ns),
        "services": sorted({span.service for span in spans if span.service}),
        "spans": [span.result() for span in spans],
    }
