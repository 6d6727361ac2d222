"""What a failed step left in the systems that watch the services: spans below its own, and log lines of its trace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING

from pytest_testmesh.actions import ActionContext, Exchange
from pytest_testmesh.errors import ActionTimeoutError, MeshError
from pytest_testmesh.polling import Deadline, attempts
from pytest_testmesh.values import one_line, shorten

if TYPE_CHECKING:
    from pytest_testmesh.integrations.otel.spans import Span

_LIMIT_S = 2.0
_SPANS_S = 1.2
"""How long spans are looked for where there are log lines to be fetched too."""

_PAUSE_S = 0.15
_AROUND_NS = 60 * 10**9
_MOST_SPANS = 15
_MOST_LINES = 8
_WIDTH = 200


def describe_trace(trace_id: str, span_id: str, start_ns: int, context: ActionContext) -> list[str]:
    """Return lines about what Tempo or Jaeger, and Loki, know of a step's trace; takes two seconds at most.

    Empty where the settings name none of them. What goes wrong is one line, never an error. Times are Unix nanoseconds.
    """
    context = replace(context, exchange=Exchange(), logs=[], metrics={}, sections=[])
    deadline = Deadline.after(_LIMIT_S, f"the limit of {_LIMIT_S:g}s of the look-up")
    logs = bool(context.settings.get("loki_url"))
    lines: list[str] = []
    if {"tempo_url", "jaeger_url"} & context.settings.keys():
        for_spans = deadline.earlier(Deadline.after(_SPANS_S, f"{_SPANS_S:g}s of the look-up")) if logs else deadline
        lines += _section("spans", lambda: _spans(trace_id, span_id, context, for_spans))
    if logs:
        lines += _section("logs", lambda: _log_lines(trace_id, start_ns, context, deadline))
    return lines


def _section(name: str, find: Callable[[], Sequence[str]]) -> list[str]:
    try:
        found = find() or ["none (yet)"]
    except MeshError as exc:
        found = [f"not available: {shorten(one_line(exc.message), _WIDTH)}"]
    except Exception as exc:  # noqa: BLE001 - the failure that is being reported must not be hidden by a look-up's
        found = [f"not available: {type(exc).__name__}: {shorten(one_line(str(exc)), _WIDTH)}"]
    return [f"{name if not number else '':<9} {line}" for number, line in enumerate(found)]


def _spans(trace_id: str, span_id: str, context: ActionContext, deadline: Deadline) -> list[str]:
    from pytest_testmesh.integrations.otel.lookup import spans_of_trace
    from pytest_testmesh.integrations.otel.trees import tree

    found: list[Span] = []
    for number in attempts(repeat(_PAUSE_S), deadline):
        try:
            found = below(span_id, spans_of_trace(trace_id, context, deadline))
        except ActionTimeoutError:
            if number == 1:
                raise
            break  # the look at the deadline itself: the one before tells what there is
        if any(span.span_id == span_id for span in found):
            break  # our own spans went out last: what else is there by now is there
    return tree(found, limit=_MOST_SPANS).splitlines()


def below(span_id: str, spans: Iterable[Span]) -> list[Span]:
    """Return the span with that id and all below it; *spans* are in order, parents before children."""
    ids = {span_id}
    found = []
    for span in spans:
        if span.span_id in ids or span.parent_span_id in ids:
            ids.add(span.span_id)
            found.append(span)
    return found


def _log_lines(trace_id: str, start_ns: int, context: ActionContext, deadline: Deadline) -> list[str]:
    from pytest_testmesh.integrations.http.client import HttpClient
    from pytest_testmesh.integrations.loki.trace_lines import lines_of_trace

    start_ns, end_ns = start_ns - _AROUND_NS, time.time_ns() + _AROUND_NS
    client = HttpClient.of(context)
    entries = lines_of_trace(trace_id, start_ns, end_ns, context.settings, client, deadline)
    more = len(entries) - _MOST_LINES
    lines = [f"{entry['timestamp']} {shorten(one_line(entry['line']), _WIDTH)}" for entry in entries[:_MOST_LINES]]
    return [*lines, f"... {more} more"] if more > 0 else lines
