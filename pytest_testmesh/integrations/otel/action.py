"""``otel.assert`` at work: looks at a backend until the spans are as they should be."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.integrations._assertions import compile_check
from pytest_testmesh.integrations._watching import log_once, watch
from pytest_testmesh.integrations.otel.backends import Backend, find_backend
from pytest_testmesh.integrations.otel.failures import NOT_YET
from pytest_testmesh.integrations.otel.question import MAX_TRACES, ById, ByOperation, read_question
from pytest_testmesh.integrations.otel.seen import Seen, look
from pytest_testmesh.integrations.otel.texts import Received, Sent
from pytest_testmesh.integrations.otel.trees import trees
from pytest_testmesh.integrations.otel.window import read_window
from pytest_testmesh.polling import Deadline
from pytest_testmesh.values import near_matches

_WITHIN_BY_ID = "10s"
_WITHIN = "60s"
_MAX_SERVICES_SHOWN = 12
_THERE_MAY_BE_MORE = f"there may be more than these {MAX_TRACES} traces: write a later `start`, or ask for less"

Result = Mapping[str, Any]


def run(config: Mapping[str, Any], context: ActionContext) -> Result:
    """Return the spans that *config* asks for, when there are enough and all assertions hold.

    Config and result: ``ASSERT_SCHEMA`` and ``ASSERT_RESULT`` of this package.

    Raises:
        ActionConfigError: The config asks for nothing, or the backend cannot answer such a question.
        StepAssertionError, MissingPathError: They were not so within ``within``; shows what was there as a tree.
        ActionError: The backend could not be reached or said no.
    """
    step = _Step(config, context)
    wanted = config.get("min_spans", 1)
    enough = compile_check(f"count >= {wanted}", str(step.question), ("min_spans",), frozenset(), raw=True)
    within = _WITHIN_BY_ID if isinstance(step.question, ById) else _WITHIN
    return watch(step.look, step.explain, enough, within, config, context, first=enough, not_yet=NOT_YET)


class _Step:
    """One step, which may look more than once."""

    def __init__(self, config: Mapping[str, Any], context: ActionContext) -> None:
        self.question = read_question(config)
        self._config = config
        self._context = context
        self._began_ns = time.time_ns()
        self._last: Seen | None = None

    def look(self, deadline: Deadline) -> Result:
        """Look once."""
        backend = find_backend(self._config, self._context, deadline)
        exchange = self._context.exchange
        exchange.sent = Sent(self.question, backend.name, backend.url)
        window = read_window(self._config, self._began_ns, time.time_ns())
        started = time.perf_counter()
        self._last = look(backend, self.question, window)
        exchange.received = Received(self._last, time.perf_counter() - started)
        if not isinstance(self.question, ById) and self._last.found >= MAX_TRACES:
            log_once(self._context, [(_THERE_MAY_BE_MORE, "warning")])
        return self._last.result(backend.name.lower())

    def explain(self, deadline: Deadline) -> Sequence[str]:
        """Say what the last look saw, and why what was looked for may not have been there."""
        backend = find_backend(self._config, self._context, deadline)
        traces = self._last.traces if self._last else ()
        there = [f"the spans that were there:\n{trees(traces)}"] if traces else []
        return [*there, *self._doubts(backend, bool(traces))]

    def _doubts(self, backend: Backend, seen: bool) -> Iterator[str]:
        if isinstance(self.question, ById):
            if not seen:
                yield f"{backend.name} at {backend.url} knows no such trace: was it sampled, and sent there?"
            return
        if backend.lag:
            yield backend.lag
        if isinstance(self.question, ByOperation) and not seen:
            window = read_window(self._config, self._began_ns, time.time_ns())
            yield _known(backend.name, backend.services(window), self.question.service)


def _known(backend: str, names: Sequence[str], sought: str) -> str:
    """Say which services there are, and which of them was probably meant."""
    near = [each for each in near_matches(sought, names, 1) if each != sought]
    shown = ", ".join(names[:_MAX_SERVICES_SHOWN]) + ", ..." * (len(names) > _MAX_SERVICES_SHOWN)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}services that {backend} knows: {shown or 'none'}"
