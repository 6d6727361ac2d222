"""What a flow item adds to pytest's reports: failure text, sections, properties, JSON; all through the masking sink."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_testmesh.errors import MeshError
from pytest_testmesh.failure_text import (
    describe_failure,
    describe_flow_error,
    describe_interrupted,
    failure_facts,
    flow_error_headline,
    headline,
    running_step,
)
from pytest_testmesh.masked_text import HEADLINE_WIDTH, cut
from pytest_testmesh.records import Failure, StepRecord
from pytest_testmesh.secrets import Masker
from pytest_testmesh.traceback_text import describe_exception, single_errors, user_frames
from pytest_testmesh.values import write_json

if TYPE_CHECKING:
    from pytest_testmesh.runner import FlowRun

_PROPERTY = "testmesh.step."
_PHASES_OF_WHEN = {"setup": ("setup", "steps"), "call": ("setup", "steps"), "teardown": ("teardown",)}


class FlowFailure(AssertionError):
    """Carries the finished report text to pytest, which prints it as it is."""


class ItemReporter:
    """Writes the reports of one run of one item; *run* is None until the run's state exists."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item
        self.run: FlowRun | None = None
        self._sink: Masker | None = None
        self._known_records = 0
        self._running: list[StepRecord] = []
        self._known_secrets = 0

    def failure_repr(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
        """Return pytest's representation of a `MeshError`: our text, the author's file and line, no traceback."""
        error = excinfo.value
        assert isinstance(error, MeshError)
        failures = self._failures_of(error)
        masker = self.masker()
        repr_ = _as_pytest_shows("\n".join(self._describe(error, failures, masker)), excinfo)
        self._point_into_the_flow(repr_.reprcrash, error, failures, masker)
        return repr_

    def complete(self, report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
        """Fill in what pytest cannot know about a flow, and mask everything that leaves the item."""
        masker = self.masker()
        self._complete_longrepr(report, call.excinfo, masker)
        if self.run is not None:
            self._add_steps(report, self.run, masker)
        report.sections = [(name, masker.text(text)) for name, text in report.sections]
        report.user_properties = [(name, masker.tree(value)) for name, value in self._item.user_properties]

    def _complete_longrepr(
        self, report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException] | None, masker: Masker
    ) -> None:
        if hasattr(report, "wasxfail"):
            report.wasxfail = masker.text(report.wasxfail)
        if excinfo is not None and isinstance(excinfo.value, MeshError):
            if report.when != "call":
                report.longrepr = self.failure_repr(excinfo)
        elif excinfo is not None and report.failed and not self._item.config.getoption("fulltrace", False):
            report.longrepr = self._foreign_repr(excinfo, report.when or "call", masker)
        else:
            if excinfo is not None and isinstance(report.longrepr, tuple) and not user_frames(excinfo.tb):
                # A skip of ours, which pytest says to be in our code.
                report.longrepr = (str(self._item.path), self._line(), report.longrepr[2])
            report.longrepr = _masked(report.longrepr, masker)

    def _foreign_repr(self, excinfo: pytest.ExceptionInfo[BaseException], when: str, masker: Masker) -> Any:
        """Return the representation of an exception that is not ours, without the frames of pytest and ourselves."""
        lines: list[str] = []
        for error in single_errors(excinfo.value):
            if lines:
                lines.append("")
            if isinstance(error, MeshError):
                lines += self._describe(error, self._failures_of(error), masker)
            else:
                lines += describe_exception(error, self._where(error, when), self._relative, masker)
        repr_ = _as_pytest_shows("\n".join(lines), excinfo)
        if repr_.reprcrash is not None:
            repr_.reprcrash.message = lines[0]
            frames = user_frames(excinfo.tb)
            repr_.reprcrash.path = frames[-1].filename if frames else str(self._item.path)
            repr_.reprcrash.lineno = frames[-1].lineno if frames else self._line()
        return repr_

    def _where(self, error: BaseException, when: str) -> str:
        running = self._interrupted_step(when)
        if running is not None:
            return running
        is_fixture = getattr(self._item, "has_fixture", lambda name: False)
        fixture = next((frame.name for frame in user_frames(error.__traceback__) if is_fixture(frame.name)), None)
        return f"{self._shown_path()}:{self._line()}" + (f": fixture {fixture}" if fixture else "")

    def _interrupted_step(self, when: str) -> str | None:
        if self.run is None:
            return None
        phases = _PHASES_OF_WHEN[when]
        running = [each for each in self.run.records if each.reason == "interrupted" and each.phase in phases]
        return running_step(running[-1], self.run.flow) if running else None

    def _line(self) -> int:
        return (self._item.reportinfo()[1] or 0) + 1

    def _relative(self, filename: str) -> str:
        path = os.path.relpath(filename, self._item.config.rootpath)
        return filename if path.startswith("..") else path

    def forget(self) -> None:
        """Drop what an earlier run of the item left on it."""
        left = [entry for entry in self._item.user_properties if not entry[0].startswith(_PROPERTY)]
        self._item.user_properties[:] = left

    def tell_interrupted(self, failures: list[Failure]) -> None:
        """Print what an interrupted item was doing and how its teardown went; no report will tell it."""
        terminal: Any = self._item.config.pluginmanager.getplugin("terminalreporter")
        if terminal is None or self.run is None:
            return
        masker = self.masker()
        lines = describe_interrupted(self._item.nodeid, self.run, failures, masker)
        terminal.ensure_newline()
        terminal.write_line(masker.text("\n".join(lines)))

    def _failures_of(self, error: MeshError) -> list[Failure]:
        if self.run is None:
            return []
        phase = next((each.record.phase for each in self.run.failures if each.error is error), None)
        return [each for each in self.run.failures if each.record.phase == phase]

    def _describe(self, error: MeshError, failures: list[Failure], masker: Masker) -> list[str]:
        source = self._source()
        if self.run is None or not failures:
            return describe_flow_error(error, self._shown_path(), source, masker)
        texts = [describe_failure(failure, self.run, source, self._compare, masker) for failure in failures]
        lines = texts[0]
        for text in texts[1:]:
            lines += ["", *text]
        return lines

    def _point_into_the_flow(self, crash: Any, error: MeshError, failures: list[Failure], masker: Masker) -> None:
        if crash is None:
            return
        location = getattr(error, "location", None) or (failures[0].step.location if failures else None)
        message = headline(failures[0], masker) if failures else flow_error_headline(error, self._shown_path(), masker)
        crash.path = str(self._item.path)
        crash.lineno = location.line if location else 1
        crash.message = message

    def _add_steps(self, report: pytest.TestReport, run: FlowRun, masker: Masker) -> None:
        if report.when == "setup" and report.passed:
            return  # its steps are told with those of the call
        phases = _PHASES_OF_WHEN[report.when or "call"]
        records = [record for record in run.records if record.phase in phases]
        for record in records:
            report.sections += _sections(record, report.when or "call")
            self._item.user_properties.append((f"{_PROPERTY}{record.id}", _property(record, masker)))
            if record.metrics:
                metrics = write_json(masker.tree(record.metrics))
                self._item.user_properties.append((f"{_PROPERTY}{record.id}.metrics", metrics))
        if records:
            facts = self._as_json(run, records, masker)
            report.testmesh = _json_safe(masker.tree(facts), masker)  # type: ignore[attr-defined]

    def _as_json(self, run: FlowRun, records: list[StepRecord], masker: Masker) -> dict[str, Any]:
        flow = run.flow
        verbose = self._item.config.get_verbosity() > 1
        failures = [each for each in run.failures if any(each.record is record for record in records)]
        return {
            "flow": flow.name,
            "path": flow.location.path,
            "suite": flow.suite,
            "tags": list(flow.tags),
            "steps": [{**record.to_json(), **(_traffic(record) if verbose else {})} for record in records],
            "failures": [failure_facts(failure, masker) for failure in failures],
        }

    def masker(self) -> Masker:
        """Return the sink, which knows the secrets of all that this run has met so far."""
        if self._sink is None:
            self._sink = Masker(self._item.config.getini("testmesh_secrets"))
            self._sink.collect(os.environ)
        if self.run is not None:
            self._collect_new(self.run, self._sink)
        return self._sink

    def _collect_new(self, run: FlowRun, sink: Masker) -> None:
        if not self._known_records:
            sink.collect(run.scope.variables())
        for secret in run.secrets[self._known_secrets :]:
            sink.add(secret)
        self._known_secrets = len(run.secrets)
        records = [*self._running, *run.records[self._known_records :]]
        self._known_records = len(run.records)
        self._running = [record for record in records if record.reason == "interrupted"]
        for record in records:
            if record.reason != "interrupted":
                sink.collect(record.config)
                sink.collect(run.scope.result(record.id))
        for failure in run.failures:
            sink.collect(failure.attempt.result)

    def _source(self) -> bytes | None:
        try:
            return self._item.path.read_bytes()
        except OSError:
            return None

    def _shown_path(self) -> str:
        return os.path.relpath(self._item.path, self._item.config.rootpath)

    def _compare(self, left: Any, right: Any) -> list[str]:
        config = self._item.config
        answers = self._item.ihook.pytest_assertrepr_compare(config=config, op="==", left=left, right=right)
        return next((lines for lines in answers if lines), [])


def _sections(record: StepRecord, when: str) -> list[tuple[str, str]]:
    sections = [(f"Captured {name} {when}: step {record.id}", text) for name, text in record.sections if text]
    if record.logs:
        lines = "\n".join(f"{log.get('level', 'info').upper():<8} {log.get('message', '')}" for log in record.logs)
        sections.append((f"Captured step log {when}: step {record.id}", lines))
    return sections


def _property(record: StepRecord, masker: Masker) -> str:
    text = f"{record.state} {record.duration_s:.3f}s"
    if record.attempts > 1:
        text += f", attempt {record.attempts}"
    return cut(masker.text(f"{text}: {record.reason}"), HEADLINE_WIDTH) if record.reason else text


def _traffic(record: StepRecord) -> Mapping[str, Any]:
    exchange = record.exchange
    if exchange is None:
        return {}
    return {
        name: make(verbose=True)
        for name, make in (("sent", exchange.sent), ("received", exchange.received))
        if make is not None
    }


def _json_safe(value: Any, masker: Masker) -> Any:
    # xdist ends the whole run over one value that is not plain data.
    return json.loads(json.dumps(value, skipkeys=True, default=lambda other: masker.text(str(other))))


def _as_pytest_shows(text: str, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
    failure = pytest.ExceptionInfo.from_exc_info((FlowFailure, FlowFailure(text), excinfo.tb))
    return failure.getrepr(style="value", chain=False)


def _masked(part: Any, masker: Masker) -> Any:
    """Mask every text in a report's longrepr: in a skip's tuple, and in place in pytest's own dataclasses."""
    if isinstance(part, str):
        return masker.text(part)
    if isinstance(part, (list, tuple)):
        return type(part)([_masked(each, masker) for each in part])
    if dataclasses.is_dataclass(part):
        for name, value in list(vars(part).items()):
            if name not in _KEPT:
                setattr(part, name, _masked(value, masker))
    return part


_KEPT = frozenset({"style", "path"})
