"""One attempt of one step: fill in the config, check it, run the action, assert, extract the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from traceback import format_exception_only
from typing import Any

import pluggy

from pytest_testmesh.actions import Action, ActionContext, checked_result, json_copy
from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    MeshError,
    StepAssertionError,
    UndefinedNameError,
)
from pytest_testmesh.model import Assertion, Location, Step
from pytest_testmesh.records import Attempt, FailedAssertion
from pytest_testmesh.repeating import first_true
from pytest_testmesh.schemas import Violation
from pytest_testmesh.scope import ResultNames, Scope
from pytest_testmesh.template import convert
from pytest_testmesh.values import shorten, write_json

_SEEN_WIDTH = 30


class AttemptRunner:
    """Runs attempts against the variables of one run of a flow."""

    def __init__(self, scope: Scope, hook: pluggy.HookRelay) -> None:
        self._scope = scope
        self._hook = hook

    def run(self, step: Step, action: Action, context: ActionContext) -> Attempt:
        """Run one attempt; what goes wrong is in the attempt's *error*, never raised.

        Outcomes that are not errors of a step (Ctrl-C, ``pytest.skip``, a time-out of pytest-timeout) pass through.
        """
        self._scope.builtins.refresh()
        for left_over in (context.logs, context.metrics, context.sections):
            left_over.clear()
        attempt = Attempt()
        try:
            self._run(step, action, context, attempt)
        except MeshError as exc:
            attempt.error = exc
        except Exception as exc:  # noqa: BLE001 - the boundary to code that is not ours
            attempt.error = _crashed(action, exc)
        return attempt

    def condition(self, assertion: Assertion) -> bool:
        """Evaluate ``when:``, which sees variables but no result."""
        self._scope.builtins.refresh()
        with located(assertion.location):
            return assertion.expression.test(ResultNames({}, self._scope))

    def _run(self, step: Step, action: Action, context: ActionContext, attempt: Attempt) -> None:
        attempt.config = config = self.fill(step, action)
        result = self._hook.pytest_testmesh_execute_step(step=step, action=action, config=config, context=context)
        if not action.trusted or result is not context.own_result:
            result = checked_result(result)
            context.metrics.update(json_copy(context.metrics, "metrics"))
            context.logs[:] = [checked_result(log) for log in context.logs]
        attempt.result = result
        complete = action.trusted and bool(action.result)
        attempt.names = names = ResultNames(result, self._scope, complete=complete)
        if step.eventually is not None and step.eventually.fail_if:
            self._fail_fast(step, attempt, names)
        if step.asserts or step.assert_any or step.assert_none:
            check_assertions(step, names)
        if step.outputs:
            attempt.outputs = self._extract(step, names, result)

    def fill(self, step: Step, action: Action) -> Mapping[str, Any]:
        """Return the step's config with the variables of now, checked against the action's schema.

        Raises:
            ExpressionError: A placeholder has no value.
            ActionConfigError: It does not fit.
        """
        template = step.config
        if template.constant:
            config = template.value
        else:
            with located(step.location, step):
                config = template.fill(self._scope)
        if template.lone and action.schema is not None:
            config = _converted(config, template.lone, action)
        if action.expressions:
            config = {**config, **expressions_as_written(step, action)}
        check_config(step, action, config)
        # What code of somebody else's does to its config must not reach the flow, which runs again.
        return config if action.trusted else json_copy(config, "config")  # type: ignore[no-any-return]

    def _fail_fast(self, step: Step, attempt: Attempt, names: ResultNames) -> None:
        assert step.eventually is not None
        match = first_true(step.eventually.fail_if, names)
        if match is not None:
            attempt.final = True
            error = StepAssertionError(match.message or f"fail_if holds: {match.expression.text}")
            error.location = match.location
            raise error

    def _extract(self, step: Step, names: ResultNames, result: Mapping[str, Any]) -> dict[str, Any]:
        outputs: dict[str, Any] = {}
        for output in step.outputs:
            with located(output.location):
                outputs[output.name] = output.extraction.extract(result, names)
        return outputs


class located:
    """Add *location* to a step's error that passes through and has none; with *step*, that of the config's node."""

    __slots__ = ("_location", "_step")

    def __init__(self, location: Location, step: Step | None = None) -> None:
        self._location = location
        self._step = step

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if not isinstance(error, MeshError) or getattr(error, "location", None) is not None:
            return
        path = getattr(error, "path", ())
        if self._step is not None and path:
            self._location = self._step.config_lines.at(path)
        error.location = self._location  # type: ignore[attr-defined]


def expressions_as_written(step: Step, action: Action) -> dict[str, Any]:
    """Return the part of a config that the action evaluates itself."""
    written = step.config.written
    if not isinstance(written, Mapping):
        return {}
    return {key: written[key] for key in action.expressions if key in written}


def check_config(step: Step, action: Action, config: Any) -> None:
    """Check a filled-in config against the action's schema, and a constant one also by the action's own check.

    Raises:
        ActionConfigError: It does not fit; with the place of the part that is wrong.
    """
    _raise_violation(step, action.config_schema.violation(config) if action.schema is not None else None)
    if action.check is not None and step.config.constant:
        with located(step.location, step):
            action.check(config)


def check_keys(step: Step, action: Action) -> None:
    """Check the keys of a config that holds placeholders, before anything runs.

    Raises:
        ActionConfigError: One is unknown, or one is missing.
    """
    if action.schema is not None and isinstance(step.config.written, dict):
        _raise_violation(step, action.key_schema.violation(step.config.written))


def _raise_violation(step: Step, violation: Violation | None) -> None:
    if violation is not None:
        error = ActionConfigError(f"{step.action}: {violation.message}", hint=violation.hint)
        error.location = step.config_lines.at(violation.path)
        raise error


def check_assertions(step: Step, names: ResultNames) -> None:
    """Evaluate every assertion of the step.

    Raises:
        StepAssertionError: At least one did not hold; carries all that did not.
        UndefinedNameError: One names a variable that does not exist, which no attempt can mend.
    """
    failed = [*_failed_asserts(step, names), *_failed_any(step, names), *_failed_none(step, names)]
    if not failed:
        return
    for each in failed:
        if isinstance(each.error, UndefinedNameError):
            each.error.location = each.assertion.location
            raise each.error
    total = len(step.asserts) + len(step.assert_any) + len(step.assert_none)
    error = StepAssertionError(_describe(failed[0], names), failed=tuple(failed), total=total)
    error.location = failed[0].assertion.location
    raise error


def seen_values(attempt: Attempt) -> dict[str, str]:
    """Return what the failed comparisons of an attempt saw, by their text: ``{'body.state == "PAID"': '"NEW"'}``."""
    if not isinstance(attempt.error, StepAssertionError) or attempt.names is None:
        return {}
    seen = {}
    for failed in attempt.error.failed:
        comparison = failed.assertion.expression.comparison(attempt.names)
        if comparison is not None:
            seen[failed.assertion.expression.text] = shorten(write_json(comparison.left), _SEEN_WIDTH)
    return seen


def _failed_asserts(step: Step, names: ResultNames) -> list[FailedAssertion]:
    failed = []
    for assertion in step.asserts:
        holds, error = _holds(assertion, names)
        if not holds:
            failed.append(FailedAssertion(assertion=assertion, group="assert", error=error))
    return failed


def _failed_any(step: Step, names: ResultNames) -> list[FailedAssertion]:
    failed = []
    for assertion in step.assert_any:
        holds, error = _holds(assertion, names)
        if holds:
            return []
        failed.append(FailedAssertion(assertion=assertion, group="assert_any", error=error))
    return failed


def _failed_none(step: Step, names: ResultNames) -> list[FailedAssertion]:
    failed = []
    for assertion in step.assert_none:
        holds, error = _holds(assertion, names)
        if holds or error is not None:
            failed.append(FailedAssertion(assertion=assertion, group="assert_none", error=error))
    return failed


def _holds(assertion: Assertion, names: ResultNames) -> tuple[bool, MeshError | None]:
    try:
        return assertion.expression.test(names), None
    except MeshError as exc:
        return False, exc


def _describe(failed: FailedAssertion, names: ResultNames) -> str:
    text = failed.assertion.expression.text
    if failed.error is not None:
        said = f"{text}: {failed.error.message}"
    elif failed.group == "assert_none":
        said = f"{text} is true, and is listed under assert_none"
    else:
        parts = ", ".join(f"{part.text} is {part.shown()}" for part in failed.assertion.expression.parts(names))
        said = f"{text} is false" + (f": {parts}" if parts else "")
    return f"{failed.assertion.message}: {said}" if failed.assertion.message else said


def _converted(config: Any, lone: frozenset[tuple[str | int, ...]], action: Action) -> Any:
    for path in lone:
        wanted = action.config_schema.at(path).get("type")
        if wanted is None:
            continue
        parent = config
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = convert(parent[path[-1]], wanted)
    return config


def _crashed(action: Action, exc: Exception) -> ActionError:
    error = ActionError(
        "".join(format_exception_only(exc)).strip(),
        code="ACTION_RAISED",
        hint=f"raised while the action {action.name} ({action.provider}) ran",
    )
    error.__cause__ = exc
    return error
