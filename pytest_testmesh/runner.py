"""The one step loop: runs a phase of a flow through the hooks and records what became of each step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pluggy

from pytest_testmesh.actions import Action, ActionContext, Exchange, Resources
from pytest_testmesh.attempts import AttemptRunner, seen_values
from pytest_testmesh.errors import ActionTimeoutError, MeshError, StepError, StepNotCompletedError
from pytest_testmesh.model import EMPTY, Flow, Phase, Step
from pytest_testmesh.polling import NEVER, Deadline, attempts, pause
from pytest_testmesh.preparing import Preparations
from pytest_testmesh.records import Attempt, Failure, StepRecord
from pytest_testmesh.repeating import Repeat, repeat_for
from pytest_testmesh.scope import Scope
from pytest_testmesh.units import format_duration

_TEARDOWN_S = 30.0
_ERROR_STEPS_S = 5.0
"""What error steps get at least: when the flow's time is up is just when they are needed."""


class FlowRun:
    """One run of one flow; holds all of its state, so that an item can run again.

    *actions* maps every action name of the flow to its action. *hook* is the relay that
    ``pytest_testmesh_execute_step`` and the step events are called through. *secrets* are texts that actions want
    masked.
    """

    def __init__(
        self,
        flow: Flow,
        *,
        scope: Scope,
        actions: Mapping[str, Action],
        hook: pluggy.HookRelay,
        session: Resources,
        flow_dir: Path,
        flow_id: str,
        execution_id: str,
        settings: Mapping[str, str] = EMPTY,
        sleep: Callable[[float], None] = pause,
    ) -> None:
        self.flow = flow
        self.scope = scope
        self.records: list[StepRecord] = []
        self.failures: list[Failure] = []
        self.finished = False
        self.secrets: list[str] = []
        self._actions = actions
        self._hook = hook
        self._session = session
        self._item = Resources()
        self._flow_dir = flow_dir
        self._flow_id = flow_id
        self._execution_id = execution_id
        self._settings = settings
        self._sleep = sleep
        self._deadline: Deadline | None = None
        self._attempts = AttemptRunner(scope, hook)
        self._preparations = self._to_prepare()

    def run_setup(self) -> None:
        """Run ``setup:``.

        Raises:
            MeshError: The error of the step that failed.
        """
        self._prepare()
        self._stop_at_failure("setup", self.flow.setup)

    def run_steps(self) -> None:
        """Run ``steps:``.

        Raises:
            MeshError: The error of the step that failed.
        """
        self._stop_at_failure("steps", self.flow.steps)
        self.finished = True

    def run_teardown(self) -> list[Failure]:
        """Run ``teardown:``, going past failing steps, within a time budget of its own; return the failures."""
        self._not_run("steps", self.flow.steps, "the flow ended before it")
        self.scope.builtins.constants["FLOW_STATUS"] = "passed" if self.finished else "failed"
        deadline = _limit(self.flow.timeout_s or _TEARDOWN_S, "the teardown's budget")
        known = len(self.failures)
        outcome: BaseException | None = None
        try:
            for number, step in enumerate(self.flow.teardown, 1):
                try:
                    self._run_step(step, "teardown", f"{number}/{len(self.flow.teardown)}", deadline)
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as exc:  # noqa: BLE001 - an outcome of pytest's; the other steps must still run
                    outcome = outcome or exc
        finally:
            self._item.close()
        if outcome is not None:
            raise outcome
        return self.failures[known:]

    def _stop_at_failure(self, phase: Phase, steps: tuple[Step, ...]) -> None:
        deadline = self._flow_deadline()
        for number, step in enumerate(steps, 1):
            failure = self._run_step(step, phase, f"{number}/{len(steps)}", deadline)
            self._prepare()
            if failure is not None:
                self._not_run(phase, steps, f"step {step.id} failed")
                if phase == "setup":
                    self._not_run("steps", self.flow.steps, f"setup step {step.id} failed")
                raise failure.error

    def _to_prepare(self) -> Preparations | None:
        if not any(action.before for action in self._actions.values()):
            return None
        return Preparations(self.flow.all_steps(), self._actions, self._attempts, self._context_before)

    def _context_before(self, step: Step) -> ActionContext:
        context = self._context(step, _new_record(step, "setup"))
        context.deadline = self._flow_deadline()
        return context

    def _prepare(self) -> None:
        if self._preparations is not None:
            self._preparations.run()

    def _flow_deadline(self) -> Deadline:
        if self._deadline is None:
            self._deadline = _limit(self.flow.timeout_s, "the flow's timeout")
        return self._deadline

    def _not_run(self, phase: Phase, steps: tuple[Step, ...], reason: str) -> None:
        met = {record.id for record in self.records}
        for step in steps:
            if step.id not in met:
                self.records.append(_new_record(step, phase, reason=reason))
                self.scope.drop_step(step.id, "did not run")

    def _run_step(
        self, step: Step, phase: Phase, position: str, deadline: Deadline, parent: str | None = None
    ) -> Failure | None:
        record = _new_record(step, phase, parent=parent)
        record.outcome, record.reason = "failed", "interrupted"  # stands if an outcome of pytest's passes through
        self.records.append(record)
        self.scope.builtins.constants["STEP_ID"] = step.id
        started = time.monotonic()
        try:
            attempt = self._try_step(step, record, deadline)
            record.duration_s = time.monotonic() - started
            return self._conclude(step, record, attempt, position, deadline)
        finally:
            record.duration_s = record.duration_s or time.monotonic() - started
            self._hook.pytest_testmesh_step_finished(step=step, record=record)

    def _try_step(self, step: Step, record: StepRecord, deadline: Deadline) -> Attempt:
        try:
            skipped = self._skip_reason(step)
            attempt = Attempt(skipped=skipped) if skipped else self._repeat(step, record, deadline)
        except MeshError as exc:
            attempt = Attempt(error=exc)
        if record.phase == "teardown" and isinstance(attempt.error, StepNotCompletedError):
            attempt.skipped = attempt.error.message  # so that the real cause stays on top
        return attempt

    def _skip_reason(self, step: Step) -> str | None:
        if step.disabled:
            return "disabled"
        if step.when is not None and not self._attempts.condition(step.when):
            return f"when: {step.when.expression.text} is false"
        return None

    def _repeat(self, step: Step, record: StepRecord, deadline: Deadline) -> Attempt:
        action = self._actions[step.action]
        repeat = repeat_for(step)
        record.max_attempts = repeat.total
        deadline = deadline.earlier(_limit(step.timeout_s, "the step's timeout"))
        context = self._context(step, record)
        self._hook.pytest_testmesh_step_started(step=step, context=context)
        attempt = Attempt()
        for number in attempts(repeat.delays(), deadline.earlier(repeat.deadline), self._sleep):
            if attempt.error is not None and deadline.passed:
                attempt.error.message += f" (then {_out_of_time(deadline).message})"
                break
            record.attempts = number
            attempt = self._attempt(step, action, context, repeat, deadline)
            unmet = repeat.unmet(attempt)
            attempt.error = unmet or attempt.error
            record.config = attempt.config
            if attempt.error is not None:
                record.remember(attempt.error.message, seen_values(attempt))
            if unmet is None:
                break
        return attempt

    def _attempt(
        self, step: Step, action: Action, context: ActionContext, repeat: Repeat, deadline: Deadline
    ) -> Attempt:
        unprepared = self._preparations.take_error(step) if self._preparations is not None else None
        if unprepared is not None:  # before the deadline: it may be what took all the time
            return Attempt(error=unprepared)
        if deadline.passed:
            return Attempt(error=_out_of_time(deadline), final=True)
        context.deadline = deadline.earlier(repeat.attempt_deadline())
        attempt = self._attempts.run(step, action, context)
        if attempt.error is None and deadline.passed:
            attempt.error, attempt.final = _out_of_time(deadline), True
        return attempt

    def _conclude(
        self, step: Step, record: StepRecord, attempt: Attempt, position: str, deadline: Deadline
    ) -> Failure | None:
        if attempt.skipped is not None:
            record.outcome, record.reason = "skipped", attempt.skipped
            self.scope.drop_step(step.id, f"was skipped ({attempt.skipped})")
            return None
        if attempt.error is None:
            record.outcome, record.reason = "passed", None
            self.scope.complete_step(step.id, attempt.result or {}, attempt.outputs, step.location.line)
            return None
        failure = Failure(step=step, position=position, error=attempt.error, record=record, attempt=attempt)
        return self._fail(failure, deadline)

    def _context(self, step: Step, record: StepRecord) -> ActionContext:
        record.exchange = Exchange()
        return ActionContext(
            flow_id=self._flow_id,
            execution_id=self._execution_id,
            step_id=step.id,
            scope=self.scope,
            flow_dir=self._flow_dir,
            session=self._session,
            item=self._item,
            settings=self._settings,
            raw=step.raw,
            exchange=record.exchange,
            logs=record.logs,
            metrics=record.metrics,
            sections=record.sections,
            secrets=self.secrets,
        )

    def _fail(self, failure: Failure, deadline: Deadline) -> Failure | None:
        step, record, error = failure.step, failure.record, failure.error
        record.reason, record.code = error.message, getattr(error, "code", None)
        if isinstance(error, StepError):
            error.step, error.phase = step.id, record.phase
            if error.location is None and error.path:
                error.location = step.config_lines.at(error.path)
        self._run_error_steps(failure, deadline)
        if step.on_error == "continue":
            record.continued = True
            self.scope.complete_step(step.id, failure.attempt.result or {}, {}, step.location.line)
            return None
        self.scope.drop_step(step.id, "failed")
        self.failures.append(failure)
        return failure

    def _run_error_steps(self, failure: Failure, deadline: Deadline) -> None:
        steps = failure.step.error_steps
        if not steps:
            return
        self.scope.complete_step(failure.step.id, failure.attempt.result or {}, {}, failure.step.location.line)
        self.scope.bind("error", _error_value(failure))
        deadline = max(deadline, _limit(_ERROR_STEPS_S, "the error steps' budget"), key=lambda each: each.at)
        try:
            for number, step in enumerate(steps, 1):
                position = f"{number}/{len(steps)}"
                secondary = self._run_step(step, failure.record.phase, position, deadline, parent=failure.step.id)
                if secondary is not None:
                    self.failures.remove(secondary)
                    failure.secondary.append(secondary)
        finally:
            self.scope.unbind("error")


def _new_record(step: Step, phase: Phase, *, reason: str | None = None, parent: str | None = None) -> StepRecord:
    return StepRecord(
        id=step.id,
        name=step.name,
        action=step.action,
        phase=phase,
        location=step.location,
        reason=reason,
        parent=parent,
    )


def _limit(limit_s: float | None, what: str) -> Deadline:
    return NEVER if limit_s is None else Deadline.after(limit_s, f"{what} of {format_duration(limit_s)}")


def _error_value(failure: Failure) -> dict[str, Any]:
    error = failure.error
    return {
        "message": error.message,
        "code": getattr(error, "code", type(error).__name__),
        "step": failure.step.id,
        "details": getattr(error, "details", {}),
    }


def _out_of_time(deadline: Deadline) -> ActionTimeoutError:
    return ActionTimeoutError(f"out of time: {deadline.cause} is over")
