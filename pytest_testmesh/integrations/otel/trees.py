"""The spans of a trace as the tree that they are: in order, parents first, and as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pytest_testmesh.integrations.otel.spans import Span
from pytest_testmesh.values import shorten

_MAX_TEXT = 120


def in_order(spans: Iterable[Span]) -> list[tuple[int, Span]]:
    """Return each span once, with its depth: parents before children, siblings by their start.

    A span whose parent is not there, as long as the trace is not complete, counts as a root; roots that have no parent
    at all come first.
    """
    found = {(span.span_id, span.kind, span.operation): span for span in spans}
    ids = {span.span_id for span in found.values()}
    children: dict[str, list[Span]] = {}
    for span in sorted(found.values(), key=_by_start):
        children.setdefault(span.parent_span_id if span.parent_span_id in ids else "", []).append(span)
    ordered: list[tuple[int, Span]] = []
    seen: set[int] = set()
    roots = sorted(children.get("", ()), key=lambda span: bool(span.parent_span_id))
    # what is left after the roots is a ring of spans that are each other's parents
    for root in (*roots, *sorted(found.values(), key=_by_start)):
        ordered += _walk(root, children, seen)
    return ordered


def _by_start(span: Span) -> tuple[int, str, str]:
    return span.start_ns, span.span_id, span.kind


def _walk(root: Span, children: dict[str, list[Span]], seen: set[int]) -> Iterator[tuple[int, Span]]:
    """Walk down from *root*, without recursion: traces can be deeper than Python's stack."""
    waiting = [(0, root)]
    while waiting:
        depth, span = waiting.pop()
        if id(span) in seen:
            continue
        seen.add(id(span))
        yield depth, span
        waiting += [(depth + 1, child) for child in reversed(children.get(span.span_id, ()))]


def tree(spans: Iterable[Span], limit: int = 20) -> str:
    """Write spans of one trace for people, at most *limit* lines of them::

    order-service POST /orders 182.5 ms
      order-service SELECT orders 20 ms
      payment-service POST /pay 90 ms error: card declined
    """
    ordered = in_order(spans)
    lines = [f"{'  ' * min(depth, limit)}{_line(span)}" for depth, span in ordered[:limit]]
    more = len(ordered) - limit
    return "\n".join([*lines, f"... and {more} more"] if more > 0 else lines)


def _line(span: Span) -> str:
    problem = f" error{': ' * bool(span.status_message)}{span.status_message}" if span.status == "error" else ""
    name = shorten(f"{span.service or '(no service)'} {span.operation}", _MAX_TEXT)
    return f"{name} {round(span.duration_ms, 1):g} ms{shorten(problem, _MAX_TEXT)}"


def trees(traces: Sequence[Sequence[Span]], limit: int = 20) -> str:
    """Write several traces, each below its id, as `tree` does; *limit* bounds all lines."""
    lines: list[str] = []
    for position, spans in enumerate(traces):
        left = limit - len(lines)
        if left < 2:
            lines.append(f"... and {len(traces) - position} more traces")
            break
        below = tree(spans, left - 1).splitlines()
        lines += [f"trace {spans[0].trace_id}", *(f"  {line}" for line in below)]
    return "\n".join(lines)
