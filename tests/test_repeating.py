"""Which attempts are tried again, after how long, and which are the last word."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import islice
from typing import Any

import pytest

from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    ActionTimeoutError,
    ExpressionError,
    MeshError,
    MissingPathError,
    PluginProtocolError,
    StepAssertionError,
    StepError,
    StepNotCompletedError,
    TargetError,
    TargetUnavailableError,
    UndefinedNameError,
)
from pytest_testmesh.expressions import compile_expression
from pytest_testmesh.model import Assertion, Eventually, Location, Retry
from pytest_testmesh.polling import NEVER
from pytest_testmesh.records import Attempt
from pytest_testmesh.repeating import ONCE, EventuallyRepeat, RetryRepeat, first_true
from pytest_testmesh.scope import ResultNames, Scope

HERE = Location("flow.yaml", 1)
FALSE = StepAssertionError("status == 200 is false")


def conditions(*texts: str) -> tuple[Assertion, ...]:
    return tuple(Assertion(expression=compile_expression(text), location=HERE) for text in texts)


def names(result: Mapping[str, Any]) -> ResultNames:
    return ResultNames(result, Scope(builtins=BuiltinValues({}), environ={}))


def attempt(error: MeshError | None = None, *, final: bool = False, **result: Any) -> Attempt:
    return Attempt(error=error, final=final, result=result, names=names(result) if result else None)


def code(word: str) -> ActionError:
    return ActionError("it failed", code=word)


@pytest.mark.parametrize(
    ("delays", "retry"),
    [
        ([], Retry(max_attempts=1)),
        ([1.0, 1.0], Retry()),
        ([0.0, 0.0], Retry(delay_s=0.0)),
        ([2.0, 2.0, 2.0], Retry(max_attempts=4, delay_s=2.0)),
        ([2.0, 4.0, 6.0], Retry(max_attempts=4, delay_s=2.0, backoff="linear")),
        ([2.0, 4.0, 8.0], Retry(max_attempts=4, delay_s=2.0, backoff="exponential")),
        ([2.0, 4.0, 5.0, 5.0], Retry(max_attempts=5, delay_s=2.0, backoff="exponential", max_delay_s=5.0)),
        ([2.0, 4.0, 5.0, 5.0], Retry(max_attempts=5, delay_s=2.0, backoff="linear", max_delay_s=5.0)),
        ([0.0, 0.0], Retry(delay_s=2.0, max_delay_s=0.0)),
    ],
    ids=["one attempt", "default", "zero", "constant", "linear", "exponential", "cut", "cut, linear", "cut to zero"],
)
def test_delays_grow_as_the_backoff_says(delays: list[float], retry: Retry) -> None:
    assert delays == list(RetryRepeat(retry).delays())
    assert retry.max_attempts == RetryRepeat(retry).total


@pytest.mark.parametrize("backoff", ["linear", "exponential"])
def test_a_thousand_doublings_are_still_a_delay(backoff: Any) -> None:
    retry = Retry(max_attempts=3000, delay_s=1.0, backoff=backoff, max_delay_s=30.0)

    assert 30.0 == list(RetryRepeat(retry).delays())[-1]


ANY = Retry()
ON_500 = Retry(retry_on=conditions("status >= 500"))
ON_STATE = Retry(retry_on=conditions("body.state == 'BUSY'"))
ON_CAUSES = Retry(retry_on_causes=frozenset({"timeout", "connection_error"}))
ON_CODE = Retry(retry_on_causes=frozenset({"rate_limited"}))
ON_ERROR = Retry(retry_on_causes=frozenset({"error"}))
ON_BOTH = Retry(retry_on=conditions("status >= 500"), retry_on_causes=frozenset({"timeout"}))
NOT_401 = Retry(retry_on_not=conditions("status == 401"))
NOT_TIMEOUT = Retry(retry_on_not_causes=frozenset({"timeout"}))


@pytest.mark.parametrize(
    ("again", "retry", "made"),
    [
        pytest.param(False, ANY, attempt(status=200), id="passed"),
        pytest.param(True, ANY, attempt(FALSE, status=500), id="assertion"),
        pytest.param(True, ANY, attempt(TargetError("no")), id="action"),
        pytest.param(True, ANY, attempt(MissingPathError("no id")), id="missing path"),
        pytest.param(True, ANY, attempt(PluginProtocolError("no JSON", plugin_id="p")), id="plugin"),
        pytest.param(False, ANY, attempt(ActionConfigError("bad")), id="config"),
        pytest.param(False, ANY, attempt(UndefinedNameError("x")), id="undefined"),
        pytest.param(False, ANY, attempt(StepNotCompletedError("x")), id="step not run"),
        pytest.param(False, ANY, attempt(FALSE, final=True), id="final"),
        pytest.param(True, ON_500, attempt(FALSE, status=503), id="on condition, true"),
        pytest.param(False, ON_500, attempt(FALSE, status=404), id="on condition, false"),
        pytest.param(False, ON_STATE, attempt(FALSE, body={}), id="on condition, key absent"),
        pytest.param(False, ON_500, attempt(TargetUnavailableError("refused")), id="on condition, no result"),
        pytest.param(True, ON_500, attempt(status=503), id="on condition, passed"),
        pytest.param(False, ON_500, attempt(status=200), id="on condition, passed and false"),
        pytest.param(True, ON_CAUSES, attempt(ActionTimeoutError("slow")), id="on timeout"),
        pytest.param(True, ON_CAUSES, attempt(TargetUnavailableError("refused")), id="on connection_error"),
        pytest.param(False, ON_CAUSES, attempt(TargetError("no")), id="on other causes"),
        pytest.param(False, ON_CAUSES, attempt(FALSE, status=503), id="on causes, assertion"),
        pytest.param(False, ON_CAUSES, attempt(status=503), id="on causes, passed"),
        pytest.param(True, ON_CODE, attempt(code("RATE_LIMITED")), id="on a plugin's code"),
        pytest.param(False, ON_CODE, attempt(code("BROKEN")), id="on another code"),
        pytest.param(True, ON_ERROR, attempt(code("BROKEN")), id="on error"),
        pytest.param(True, ON_BOTH, attempt(ActionTimeoutError("slow")), id="on both, cause"),
        pytest.param(True, ON_BOTH, attempt(FALSE, status=503), id="on both, condition"),
        pytest.param(False, ON_BOTH, attempt(FALSE, status=404), id="on both, neither"),
        pytest.param(False, NOT_401, attempt(FALSE, status=401), id="not on condition, true"),
        pytest.param(True, NOT_401, attempt(FALSE, status=500), id="not on condition, false"),
        pytest.param(False, NOT_TIMEOUT, attempt(ActionTimeoutError("slow")), id="not on timeout"),
        pytest.param(True, NOT_TIMEOUT, attempt(TargetError("no")), id="not on timeout, other"),
    ],
)
def test_retry_repeats_what_it_may_mend(again: bool, retry: Retry, made: Attempt) -> None:
    unmet = RetryRepeat(retry).unmet(made)

    assert again == (unmet is not None)
    assert unmet is None or made.error in (None, unmet)


def test_a_passing_attempt_that_matches_retry_on_says_so() -> None:
    unmet = RetryRepeat(ON_500).unmet(attempt(status=503))

    assert isinstance(unmet, StepError)
    assert "retry_on still holds: status >= 500" == unmet.message


@pytest.mark.parametrize(
    ("again", "made"),
    [
        pytest.param(False, attempt(status=200), id="passed"),
        pytest.param(True, attempt(FALSE, status=500), id="assertion"),
        pytest.param(True, attempt(MissingPathError("no id")), id="absent key"),
        pytest.param(True, attempt(TargetUnavailableError("refused")), id="refused"),
        pytest.param(True, attempt(ActionTimeoutError("slow")), id="timeout"),
        pytest.param(True, attempt(PluginProtocolError("no JSON", plugin_id="p")), id="plugin"),
        pytest.param(False, attempt(ActionConfigError("bad")), id="config"),
        pytest.param(False, attempt(UndefinedNameError("x")), id="undefined"),
        pytest.param(False, attempt(FALSE, final=True), id="fail_if"),
    ],
)
def test_eventually_stops_at_once_only_where_waiting_cannot_help(again: bool, made: Attempt) -> None:
    assert (made.error if again else None) is EventuallyRepeat(Eventually(within_s=5)).unmet(made)


def test_eventually_waits_the_same_time_until_its_own_end() -> None:
    repeat = EventuallyRepeat(Eventually(within_s=60.0, every_s=0.2))

    assert [0.2] * 100 == list(islice(repeat.delays(), 100))
    assert repeat.total is None
    assert 30 < repeat.deadline.remaining() <= 60


def test_the_last_attempt_of_eventually_has_time_to_succeed() -> None:
    repeat = EventuallyRepeat(Eventually(within_s=0.0))
    now = time.monotonic()

    assert repeat.attempt_deadline().at > now
    assert repeat.deadline.passed


def test_without_a_policy_one_attempt_is_the_last_word() -> None:
    assert ((), NEVER, 1) == (ONCE.delays(), ONCE.attempt_deadline(), ONCE.total)
    assert ONCE.unmet(attempt(FALSE, status=500)) is None


def test_the_first_condition_that_holds_is_found() -> None:
    holds = conditions("body.state == 'FAILED'", "status >= 500", "status > 0")

    assert holds[1] is first_true(holds, names({"status": 503, "body": {}}))
    assert holds[2] is first_true(holds, names({"status": 200, "body": None}))
    assert first_true(holds[:2], names({"status": 200, "body": {}})) is None
    assert first_true(holds, None) is None


def test_a_condition_that_makes_no_sense_is_an_error() -> None:
    with pytest.raises(ExpressionError):
        first_true(conditions("status >= 500"), names({"status": "503"}))
