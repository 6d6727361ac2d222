"""What an ``otel.assert`` step asks for: a trace by its id, or spans of a service, an operation or a TraceQL query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations.otel.ids import asked_trace_id

if TYPE_CHECKING:
    from pytest_testmesh.integrations.otel.spans import Span

MAX_TRACES = 20
"""A search gives no more than these."""
_WAYS = ("trace_id", "service", "query")
_WAYS_HINT = "write `trace_id`, or `service` with or without `operation`, or `query`"


@dataclass(frozen=True, slots=True)
class ById:
    """One trace, all of its spans."""

    trace_id: str

    def __str__(self) -> str:
        return f"trace {self.trace_id}"


@dataclass(frozen=True, slots=True)
class ByOperation:
    """The spans of a service, or of one operation of it."""

    service: str
    operation: str | None = None

    def wants(self, span: Span) -> bool:
        """Whether the span is of this service and operation."""
        return span.service == self.service and self.operation in (None, span.operation)

    def __str__(self) -> str:
        return f"spans of {self.service}" + (f" {self.operation}" if self.operation is not None else "")


@dataclass(frozen=True, slots=True)
class ByQuery:
    """The spans that a TraceQL query selects."""

    traceql: str

    def __str__(self) -> str:
        return f"spans of {self.traceql}"


Question = ById | ByOperation | ByQuery


def read_question(config: Mapping[str, Any]) -> Question:
    """Return what *config* asks for.

    Raises:
        ActionConfigError: Nothing, more than one thing, or something that cannot be asked for.
    """
    given = [way for way in _WAYS if config.get(way) is not None]
    if len(given) != 1:
        problem = f"has both {' and '.join(f'`{way}`' for way in given)}" if given else "does not say which trace"
        raise ActionConfigError(f"config {problem}", hint=_WAYS_HINT)
    if "operation" in config and given != ["service"]:
        raise ActionConfigError("config has `operation` without `service`", hint=_WAYS_HINT)
    way = given[0]
    if not config[way].strip():
        raise ActionConfigError(f"config.{way} is empty", hint="is a variable in it empty?")
    if way == "trace_id":
        return ById(asked_trace_id(config[way], "config.trace_id"))
    return ByQuery(config[way]) if way == "query" else ByOperation(config[way], config.get("operation"))
