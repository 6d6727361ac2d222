"""OTLP JSON as servers of traces write it -> spans: one shape, whatever server they come from."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pytest_testmesh.integrations._json import from_bytes, from_decimal, from_float
from pytest_testmesh.integrations._times import iso
from pytest_testmesh.integrations.otel.ids import SPAN_DIGITS, TRACE_DIGITS, wire_id
from pytest_testmesh.model import EMPTY

_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES = ("unset", "ok", "error")
_NS_IN_MS = 1_000_000

SERVICE = "service.name"
_DISTRO = "telemetry.distro.name"
_OURS = "pytest-testmesh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span; ids are whole lower-case hex, *parent_span_id* is empty for none, times are Unix nanoseconds.

    *kind*, *status* and *status_message* are as TraceQL has them: ``server``; ``unset``, ``ok`` or ``error``.
    """

    trace_id: str
    span_id: str
    parent_span_id: str
    service: str | None
    operation: str
    kind: str
    start_ns: int
    end_ns: int
    status: str = "unset"
    status_message: str = ""
    attributes: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    events: tuple[Mapping[str, Any], ...] = ()
    resource: Mapping[str, Any] = field(default_factory=lambda: EMPTY)

    @property
    def is_of_the_run(self) -> bool:
        """Whether it tells of a flow or a step: with tracing on, those are in the same trace."""
        return self.resource.get(_DISTRO) == _OURS

    @property
    def duration_ms(self) -> int | float:
        """Milliseconds, to the nanosecond."""
        return in_ms(self.end_ns - self.start_ns)

    def result(self) -> dict[str, Any]:
        """Return the span as a step's result holds it."""
        return {
            "trace_id": self.trace_id,
            "span_id": self.span_id,
            "parent_span_id": self.parent_span_id or None,
            "service": self.service,
            "operation": self.operation,
            "kind": self.kind,
            "start": start_text(self.start_ns),
            "duration_ms": self.duration_ms,
            "status": self.status,
            "status_message": self.status_message,
            "attributes": dict(self.attributes),
            "events": [dict(event) for event in self.events],
            "resource": dict(self.resource),
        }


@dataclass(frozen=True, slots=True)
class FoundTrace:
    """A trace that was found: all of its *spans*, and those *wanted*."""

    spans: Sequence[Span]
    wanted: Sequence[Span]


def in_ms(duration_ns: int) -> int | float:
    """Return nanoseconds as milliseconds; no part of them is lost."""
    duration = from_decimal(Decimal(duration_ns) / _NS_IN_MS)
    assert not isinstance(duration, str)
    return duration


def start_text(time_ns: int) -> str:
    """Return ISO 8601 to the microsecond, which is what all backends keep."""
    return iso(time_ns, 6)


def read_spans(resource_spans: Iterable[Mapping[str, Any]]) -> Iterator[Span]:
    """Read ``resourceSpans`` of OTLP JSON, which Tempo's older format calls ``batches``.

    Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding, with the liberties that `wire_id` tells.
    """
    for batch in resource_spans:
        resource = read_attributes((batch.get("resource") or {}).get("attributes"))
        # older versions of the format, which Tempo 1 and collectors of that time wrote
        for scope in batch.get("scopeSpans") or batch.get("instrumentationLibrarySpans") or ():
            for span in scope.get("spans") or ():
                yield _read_span(span, resource)


def _read_span(span: Mapping[str, Any], resource: Mapping[str, Any]) -> Span:
    service = resource.get(SERVICE)
    status = span.get("status") or {}
    start_ns = int(span.get("startTimeUnixNano") or 0)
    return Span(
        trace_id=wire_id(span.get("traceId"), TRACE_DIGITS),
        span_id=wire_id(span.get("spanId"), SPAN_DIGITS),
        parent_span_id=wire_id(span.get("parentSpanId"), SPAN_DIGITS),
        service=None if service is None else str(service),
        operation=span.get("name") or "",
        kind=_named(span.get("kind"), "SPAN_KIND_", _KINDS),
        start_ns=start_ns,
        end_ns=int(span.get("endTimeUnixNano") or start_ns),
        status=_named(status.get("code"), "STATUS_CODE_", _STATUSES),
        status_message=status.get("message") or "",
        attributes=read_attributes(span.get("attributes")),
        events=tuple(map(_read_event, span.get("events") or ())),
        resource=resource,
    )


def _named(code: int | str | None, prefix: str, names: tuple[str, ...]) -> str:
    """Return the name of an enum's value, which comes as its number or as ``SPAN_KIND_SERVER``."""
    if isinstance(code, int):
        return names[code] if 0 <= code < len(names) else str(code)
    return code.removeprefix(prefix).lower() if code else names[0]


def _read_event(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "name": event.get("name") or "",
        "time": start_text(int(event.get("timeUnixNano") or 0)),
        "attributes": read_attributes(event.get("attributes")),
    }


def read_attributes(pairs: Iterable[Mapping[str, Any]] | None) -> dict[str, Any]:
    """Return ``[{"key", "value"}]`` as a mapping by name, in the order of the names."""
    return {pair["key"]: _value(pair.get("value") or {}) for pair in sorted(pairs or (), key=lambda each: each["key"])}


def _value(wrapped: Mapping[str, Any]) -> Any:
    """Return what an OTLP ``AnyValue`` holds, with its type; null where it holds nothing."""
    for kind, value in wrapped.items():
        if kind in _READERS:
            return _READERS[kind](value)
    return None


def _double(value: float | str) -> float | str:
    return from_float(float(value))


_READERS: Mapping[str, Any] = {
    "stringValue": str,
    "boolValue": bool,
    "intValue": int,
    "doubleValue": _double,
    "bytesValue": lambda value: from_bytes(b64decode(value)),
    "arrayValue": lambda value: [_value(each) for each in value.get("values") or ()],
    "kvlistValue": lambda value: read_attributes(value.get("values")),
}
