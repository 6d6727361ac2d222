"""``*.assert`` by looking again and again until the assertions hold; a failure tells what was there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionError, StepAssertionError
from pytest_testmesh.integrations._assertions import Check, read_checks, require
from pytest_testmesh.integrations._durations import duration_s
from pytest_testmesh.integrations._within import NotYet, holds_within, look_deadline
from pytest_testmesh.polling import Deadline
from pytest_testmesh.scope import ResultNames

NOT_READY = "NOT_READY"
"""The code of an error that a server gives while it starts."""
_EXPLAINING_S = 5.0

Result = Mapping[str, Any]
Look = Callable[[Deadline], Result]
Explain = Callable[[Deadline], Sequence[str]]
"""Says in lines what was there instead of what should be; may ask the server until the deadline."""


class _MayPass(StepAssertionError):
    def __init__(self, error: ActionError) -> None:
        super().__init__(error.message, hint=error.hint)
        self.error = error


def watch(
    look: Look,
    explain: Explain,
    default: Check,
    within: str,
    config: Mapping[str, Any],
    context: ActionContext,
    *,
    first: Check | None = None,
    not_yet: Collection[str] = (NOT_READY,),
) -> Result:
    """Return what *look* saw when every assertion in ``config["assert"]``, or *default*, held.

    *within* is for how long, where the config does not say. While *first* does not hold, the others are not looked at.
    Errors with a code of *not_yet* may pass as well.

    Raises:
        StepAssertionError, MissingPathError: They never did; the hint says what was there.
        ActionError: What *look* raised.
    """
    written = read_checks(config, "assert", context.scope.hyphenated_ids())
    checks = tuple(written) or (default,)
    within_s = duration_s(config, "within", within)
    end = Deadline.after(within_s, f"within {config.get('within', within)}")

    def look_once() -> Result:
        try:
            result = look(look_deadline(config, context.deadline, end))
        except ActionError as exc:
            if exc.code in not_yet:
                raise _MayPass(exc) from exc
            raise
        names = ResultNames(result, context.scope, complete=True)
        if first is not None:
            require((first,), names)
        require(checks, names)
        return result

    def explained(problem: NotYet) -> Sequence[str]:
        return () if isinstance(problem, _MayPass) else _explained(explain, context.deadline)

    try:
        return holds_within(look_once, within_s, context.deadline, explain=explained)
    except _MayPass as exc:
        exc.error.hint = exc.hint
        raise exc.error from exc.error.__cause__


def _explained(explain: Explain, deadline: Deadline) -> Sequence[str]:
    try:
        return explain(deadline.earlier(Deadline.after(_EXPLAINING_S, "")))
    except ActionError as exc:
        return [f"why could not be asked: {exc.message}"]


def log_once(context: ActionContext, remarks: Iterable[tuple[str, str]]) -> None:
    """Add texts with their levels to the step's log, each once however often a step looks."""
    told = {each["message"] for each in context.logs}
    for text, level in dict(remarks).items():
        if text not in told:
            context.log(text, level)
