"""A session whose flows are traced: spans of flows and steps, and the line about spans that did not get out."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pytest_testmesh.actions import Action, ActionContext
from pytest_testmesh.collection import FlowItem
from pytest_testmesh.errors import MissingDependencyError
from pytest_testmesh.model import EMPTY, Step
from pytest_testmesh.records import StepRecord
from pytest_testmesh.secrets import Masker
from pytest_testmesh.semantics import flow_attributes, span_kind, step_attributes
from pytest_testmesh.telemetry import describe_trace
from pytest_testmesh.tracing import Tracing, traceparent, traces_url
from pytest_testmesh.values import one_line, shorten

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_NAME = "testmesh-traced-flows"
_MESSAGE_WIDTH = 1000
_ATTEMPTS = 100


@dataclass(slots=True, kw_only=True)
class _OpenStep:
    """A step that is running: its span, and what its attempts were given and gave."""

    span: Span
    record: StepRecord
    context: ActionContext
    config: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    result: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    ended_ns: int = 0
    calls: int = 0
    failed_attempts: list[tuple[int, int, str]] = field(default_factory=list)


def trace_flows(config: pytest.Config, tell: list[str]) -> None:
    """Trace the flows of this process from now on; why that cannot be done goes to *tell*."""
    url = traces_url(config.getoption("testmesh_otel"), os.environ)
    if url is None or config.pluginmanager.has_plugin(_NAME):
        return
    try:
        tracing = Tracing(url)
    except MissingDependencyError as exc:
        tell.append(f"{exc.message}: {exc.hint}")
        return
    except ValueError as exc:  # a variable OTEL_... that the SDK does not understand
        tell.append(f"no spans of the run: {exc}")
        return
    tell.extend(f"tracing with OpenTelemetry: {each}" for each in dict.fromkeys(tracing.remarks))
    lookup = not config.getoption("testmesh_no_telemetry_lookup")
    config.pluginmanager.register(TracedFlows(tracing, tell, lookup=lookup), _NAME)


class TracedFlows:
    """Makes a trace of each run of a flow: a span for the flow, below it one for each step that runs."""

    def __init__(self, tracing: Tracing, tell: list[str], *, lookup: bool) -> None:
        self._tracing = tracing
        self._tell = tell
        self._lookup = lookup
        self._item: FlowItem | None = None
        self._flow: Span | None = None
        self._error: str | None = None
        self._skipped = False
        self._steps: list[_OpenStep] = []
        self._closed = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._end_flow("interrupted")
        if isinstance(item, FlowItem):
            self._item, self._error, self._skipped = item, None, False
            name = item.reporter.masker().text(item.name)
            self._flow = self._tracing.start(name, "INTERNAL", None)
            self._flow.set_attribute("test.case.name", name)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if item is self._item and self._flow is not None:
            if report.failed and self._error is None:
                self._error = _headline(report)
            self._skipped = self._skipped or report.skipped
            if report.when == "teardown":
                self._end_flow(self._error)
        return report

    def pytest_testmesh_step_started(self, step: Step, context: ActionContext) -> None:
        if self._item is None or self._item.run is None or self._flow is None:
            return
        run = self._item.run
        if not self._steps:
            self._flow.set_attributes(_masked(flow_attributes(run.flow), self._item.reporter.masker()))
        parent = self._steps[-1].span if self._steps else self._flow
        span = self._tracing.start(step.id, span_kind(step.action), parent)
        record = run.records[-1]
        record.trace_id = f"{span.get_span_context().trace_id:032x}" if span.get_span_context().is_valid else None
        context.traceparent = traceparent(span)
        self._steps.append(_OpenStep(span=span, record=record, context=context))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_testmesh_execute_step(
        self, step: Step, action: Action, config: Mapping[str, Any], context: ActionContext
    ) -> Generator[None, Mapping[str, Any], Mapping[str, Any]]:
        running = self._steps[-1] if self._steps else None
        if running is None or running.context is not context:
            return (yield)
        _note_failed_attempt(running)
        running.config, running.result = config, EMPTY
        try:
            with self._tracing.current(running.span):
                result = yield
            running.result = result if isinstance(result, Mapping) else EMPTY
            return result
        finally:
            running.ended_ns = time.time_ns()

    def pytest_testmesh_step_finished(self, step: Step, record: StepRecord) -> None:
        if self._item is None or self._flow is None:
            return
        masker = self._item.reporter.masker()
        if not self._steps or self._steps[-1].record is not record:
            self._add_skipped(record, masker)
            return
        running = self._steps.pop()
        running.span.set_attributes(_masked(step_attributes(step, record, running.config, running.result), masker))
        for ended_ns, number, message in running.failed_attempts:
            about = {"testmesh.attempt": number, "error.message": _status(message, masker)}
            running.span.add_event("attempt failed", _masked(about, masker), timestamp=ended_ns)
        failed = record.outcome == "failed"
        # by the runner's own clock: a busy machine may take time between its reading and this; error steps, which
        # come after that reading, are within the span
        lasted_s = None if failed and step.error_steps else record.duration_s
        self._tracing.end(running.span, _status(record.reason, masker) if failed else None, lasted_s)
        if failed and self._lookup and _is_reported(record):
            self._look_up(running, record)

    def _add_skipped(self, record: StepRecord, masker: Masker) -> None:
        if record.outcome == "skipped" and self._flow is not None:
            attributes = {"testmesh.step.id": record.id, "reason": masker.text(record.reason or "")}
            self._flow.add_event("step skipped", attributes)

    def _look_up(self, running: _OpenStep, record: StepRecord) -> None:
        span = running.span.get_span_context()
        if not span.is_valid:
            return
        self._tracing.flush()
        started_ns = int(getattr(running.span, "start_time", 0) or 0)
        record.telemetry = describe_trace(f"{span.trace_id:032x}", f"{span.span_id:016x}", started_ns, running.context)

    def _end_flow(self, error: str | None) -> None:
        if self._item is None or self._flow is None:
            return
        masker = self._item.reporter.masker()
        while self._steps:
            self._tracing.end(self._steps.pop().span, error or "interrupted")
        flow, self._flow = self._flow, None
        if error is not None or not self._skipped:
            flow.set_attribute("test.case.result.status", "pass" if error is None else "fail")
        self._item = None
        self._tracing.end(flow, _status(error, masker) if error is not None else None)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        self._close()

    def pytest_unconfigure(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._end_flow("interrupted")
        trouble = self._tracing.close()
        if trouble is not None:
            self._tell.append(Masker().text(trouble))


def _is_reported(record: StepRecord) -> bool:
    return not record.continued and record.parent is None and record.reason != "interrupted"


def _note_failed_attempt(running: _OpenStep) -> None:
    running.calls += 1
    history = running.record.history
    if running.calls > 1 and history and len(running.failed_attempts) < _ATTEMPTS:
        running.failed_attempts.append((running.ended_ns, running.calls - 1, history[-1][0]))


def _masked(attributes: Mapping[str, Any], masker: Masker) -> dict[str, Any]:
    return {
        name: masker.text(value) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None
    }


def _status(message: str | None, masker: Masker) -> str:
    return shorten(one_line(masker.text(message or "failed")), _MESSAGE_WIDTH)


def _headline(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(getattr(crash, "message", None) or report.longreprtext or "failed").partition("\n")[0]
