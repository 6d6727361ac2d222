"""How ``within`` waits for assertions to hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_testmesh import polling
from pytest_testmesh.errors import ActionTimeoutError, MeshError, MissingPathError, StepAssertionError, TargetError
from pytest_testmesh.integrations import _within
from pytest_testmesh.integrations._within import holds_within
from pytest_testmesh.polling import NEVER, Deadline


class Clock:
    """A time that goes on only where somebody sleeps: the real one may stand still between any two looks."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What `holds_within` takes for the time."""
    made = Clock()
    monkeypatch.setattr(polling, "time", made)
    monkeypatch.setattr(_within, "time", made)
    return made


def answering(*answers: str | MeshError) -> Callable[[], str]:
    """Return a function that gives each answer in turn, the last one for ever."""
    left = list(answers)

    def answer() -> str:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, MeshError):
            raise found
        return found

    return answer


def test_what_holds_at_once_is_looked_at_once() -> None:
    slept: list[float] = []

    assert "yes" == holds_within(answering("yes"), 10, NEVER, slept.append)
    assert [] == slept


@pytest.mark.parametrize("not_yet", [StepAssertionError("count is 0"), MissingPathError("rows[0] is missing")])
def test_what_does_not_hold_yet_is_looked_at_again(not_yet: MeshError) -> None:
    slept: list[float] = []

    assert "yes" == holds_within(answering(not_yet, not_yet, not_yet, "yes"), 10, NEVER, slept.append)
    assert [0.05, 0.075, 0.1125] == pytest.approx(slept)


def test_the_last_problem_is_told_with_how_often_was_looked(clock: Clock) -> None:
    check = answering(StepAssertionError("count is 0"), StepAssertionError("count is 1", hint="2 are wanted"))
    with pytest.raises(StepAssertionError, match="count is 1") as caught:
        holds_within(check, 0.5, NEVER, clock.sleep)

    assert str(caught.value.hint).startswith("still so after ")
    assert str(caught.value.hint).endswith(" looks; 2 are wanted")


def test_no_time_is_one_look(clock: Clock) -> None:
    with pytest.raises(StepAssertionError) as caught:
        holds_within(answering(StepAssertionError("count is 0")), 0, NEVER, clock.sleep)

    assert "still so after 0ms and 1 look" == caught.value.hint


def test_the_step_may_end_earlier() -> None:
    with pytest.raises(StepAssertionError):
        holds_within(answering(StepAssertionError("count is 0")), 60, Deadline.after(0.1, "step timeout 100ms"))


def test_an_error_of_the_target_ends_the_wait() -> None:
    with pytest.raises(TargetError):
        holds_within(
            answering(StepAssertionError("count is 0"), TargetError("no such table")), 60, NEVER, lambda s: None
        )


def test_a_timeout_of_the_last_look_does_not_hide_what_was_seen(clock: Clock) -> None:
    check = answering(StepAssertionError("count is 0"), ActionTimeoutError("timed out"))
    with pytest.raises(StepAssertionError, match="count is 0") as caught:
        holds_within(check, 0.5, NEVER, clock.sleep)

    assert str(caught.value.hint).endswith("; but the last look got no answer: timed out")


def test_the_hint_tells_what_explains_the_problem(clock: Clock) -> None:
    check = answering(StepAssertionError("count is 0"))
    with pytest.raises(StepAssertionError) as caught:
        holds_within(check, 0, NEVER, clock.sleep, explain=lambda problem: [f"why: {problem}"])

    assert "still so after 0ms and 1 look\n  why: count is 0" == caught.value.hint


def test_a_server_that_fell_silent_is_not_asked_why(clock: Clock) -> None:
    asked: list[object] = []
    check = answering(StepAssertionError("count is 0"), ActionTimeoutError("timed out"))
    with pytest.raises(StepAssertionError):
        holds_within(check, 0.5, NEVER, clock.sleep, explain=lambda problem: asked.append(problem) or [])

    assert [] == asked


def test_an_answer_after_a_timeout_is_all_that_is_told(clock: Clock) -> None:
    check = answering(
        StepAssertionError("count is 0"), ActionTimeoutError("timed out"), StepAssertionError("count is 1")
    )
    with pytest.raises(StepAssertionError, match="count is 1") as caught:
        holds_within(check, 0.5, NEVER, clock.sleep)

    assert "timed out" not in str(caught.value.hint)


def test_a_timeout_without_an_earlier_answer_is_told() -> None:
    with pytest.raises(ActionTimeoutError):
        holds_within(answering(ActionTimeoutError("timed out")), 0.1, NEVER)
