"""When a step is tried again: ``retry``, ``eventually``, or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import repeat as forever
from math import inf
from typing import Protocol

from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    ActionTimeoutError,
    ExpressionSyntaxError,
    MeshError,
    MissingDependencyError,
    MissingPathError,
    PluginManifestError,
    PluginStartError,
    StepAssertionError,
    TargetUnavailableError,
    UndefinedNameError,
    UnknownActionError,
)
from pytest_testmesh.model import Assertion, Eventually, Retry, Step
from pytest_testmesh.polling import NEVER, Deadline
from pytest_testmesh.records import Attempt
from pytest_testmesh.scope import ResultNames

_MINIMUM_ATTEMPT_S = 1.0
"""What an attempt of ``eventually`` gets at least, so that the last one can still succeed."""

_HOPELESS = (
    ActionConfigError,
    ExpressionSyntaxError,
    MissingDependencyError,
    PluginManifestError,
    PluginStartError,
    UndefinedNameError,
    UnknownActionError,
)


class Repeat(Protocol):
    """One step's policy for one run; *total* is the number of attempts if it is known beforehand."""

    total: int | None
    deadline: Deadline

    def delays(self) -> Iterable[float]:
        """Seconds to wait before the second attempt, the third and so on; the end of it ends the attempts."""

    def attempt_deadline(self) -> Deadline:
        """When the attempt that starts now must end."""

    def unmet(self, attempt: Attempt) -> MeshError | None:
        """Return what another attempt could mend, or None when this attempt is the last word."""


class Once:
    """No repeating."""

    total: int | None = 1
    deadline = NEVER

    def delays(self) -> Iterable[float]:
        return ()

    def attempt_deadline(self) -> Deadline:
        return NEVER

    def unmet(self, attempt: Attempt) -> MeshError | None:
        return None


ONCE = Once()


class RetryRepeat:
    """``retry:`` repeats after failures, or only on the causes that ``retry_on`` names."""

    deadline = NEVER

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self.total: int | None = retry.max_attempts

    def delays(self) -> Iterator[float]:
        """Yield one delay fewer than there are attempts."""
        delay_s = self._retry.delay_s
        limit_s = inf if self._retry.max_delay_s is None else self._retry.max_delay_s
        for number in range(1, self._retry.max_attempts):
            if self._retry.backoff == "linear":
                delay_s = self._retry.delay_s * number
            yield min(delay_s, limit_s)
            if self._retry.backoff == "exponential":
                delay_s *= 2

    def attempt_deadline(self) -> Deadline:
        return NEVER

    def unmet(self, attempt: Attempt) -> MeshError | None:
        error, retry = attempt.error, self._retry
        if attempt.final or isinstance(error, _HOPELESS):
            return None
        if _is_one_of(attempt, retry.retry_on_not_causes) or first_true(retry.retry_on_not, attempt.names):
            return None
        match = first_true(retry.retry_on, attempt.names)
        if error is None:
            return _still_holds(match) if match else None
        if retry.retry_on or retry.retry_on_causes:
            return error if match or _is_one_of(attempt, retry.retry_on_causes) else None
        return error


class EventuallyRepeat:
    """``eventually:`` repeats until everything holds or the time is up."""

    total: int | None = None

    def __init__(self, eventually: Eventually) -> None:
        self._eventually = eventually
        self.deadline = Deadline.after(eventually.within_s, "eventually")

    def delays(self) -> Iterable[float]:
        return forever(self._eventually.every_s)

    def attempt_deadline(self) -> Deadline:
        return Deadline(max(self.deadline.at, time.monotonic() + _MINIMUM_ATTEMPT_S), "eventually")

    def unmet(self, attempt: Attempt) -> MeshError | None:
        hopeless = attempt.final or isinstance(attempt.error, _HOPELESS)
        return None if hopeless else attempt.error


def repeat_for(step: Step) -> Repeat:
    """Return the policy of *step*; its clock starts now."""
    if step.eventually is not None:
        return EventuallyRepeat(step.eventually)
    if step.retry is not None:
        return RetryRepeat(step.retry)
    if step.on_error == "retry":
        return RetryRepeat(Retry())
    return ONCE


def first_true(conditions: tuple[Assertion, ...], names: ResultNames | None) -> Assertion | None:
    """Return the first condition that holds for a result; a key that is not there makes one false.

    Raises:
        ExpressionError: A condition cannot be evaluated for another reason.
    """
    if names is None:
        return None
    for condition in conditions:
        try:
            if condition.expression.test(names):
                return condition
        except MissingPathError:
            continue
    return None


def _still_holds(match: Assertion) -> StepAssertionError:
    error = StepAssertionError(f"retry_on still holds: {match.expression.text}")
    error.location = match.location
    return error


def _is_one_of(attempt: Attempt, causes: frozenset[str]) -> bool:
    if attempt.error is None or not causes:
        return False
    return not causes.isdisjoint(_causes(attempt.error))


def _causes(error: MeshError) -> Iterator[str]:
    code = getattr(error, "code", "")
    yield code
    yield code.lower()
    if isinstance(error, ActionTimeoutError):
        yield "timeout"
    if isinstance(error, TargetUnavailableError):
        yield "connection_error"
    if isinstance(error, ActionError):
        yield "error"
