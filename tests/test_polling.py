"""Deadlines, and the loop of everything that is tried again."""

from __future__ import annotations

import signal
import threading
import time
from itertools import repeat

import pytest

from pytest_testmesh import polling
from pytest_testmesh.polling import NEVER, Deadline, attempts, pause


@pytest.mark.parametrize(
    ("numbers", "delays"), [([1], []), ([1, 2], [0.5]), ([1, 2, 3], [1.0, 2.0])], ids=["no delay", "one", "two"]
)
def test_there_is_one_attempt_more_than_there_are_delays(numbers: list[int], delays: list[float]) -> None:
    slept: list[float] = []

    assert numbers == list(attempts(delays, NEVER, slept.append))
    assert delays == slept


def test_the_first_attempt_happens_even_when_the_time_is_up() -> None:
    assert [1] == list(attempts(repeat(0.0), Deadline.after(-1, "a timeout"), _never_sleeps))


def test_a_delay_is_cut_so_that_the_last_attempt_starts_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(polling, "time", clock)

    numbers = list(attempts(repeat(3600.0), Deadline.after(5, "a timeout"), clock.sleep))

    assert ([1, 2], [5.0]) == (numbers, clock.slept)


def test_nothing_is_slept_after_the_last_attempt() -> None:
    slept: list[float] = []

    for number in attempts(repeat(1.0), NEVER, slept.append):
        if number == 3:
            break

    assert [1.0, 1.0] == slept


def test_a_deadline_knows_what_is_left() -> None:
    later, passed = Deadline.after(60, "step timeout 1m"), Deadline.after(-1, "flow timeout 1s")

    assert 30 < later.remaining() <= 60
    assert not later.passed
    assert 0.0 == passed.remaining()
    assert passed.passed


def test_without_a_limit_the_time_is_never_up() -> None:
    assert float("inf") == NEVER.remaining()
    assert not NEVER.passed


def test_the_earlier_of_two_deadlines_wins_with_its_cause() -> None:
    step, flow = Deadline.after(1, "step timeout 1s"), Deadline.after(2, "flow timeout 2s")

    assert step == step.earlier(flow) == flow.earlier(step) == step.earlier(NEVER) == NEVER.earlier(step)
    assert "step timeout 1s" == flow.earlier(step).cause


def _never_sleeps(seconds: float) -> None:
    pytest.fail(f"slept {seconds}")


class Clock:
    """A time that goes on only where somebody sleeps: the real one may stand still between any two looks."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Woken(Exception):
    """What the handler of a signal raises."""


def test_a_pause_ends_by_a_signal_that_another_thread_took() -> None:
    """As the kernel may choose where a process was stopped; nothing interrupts the sleep of the main thread then."""

    def wake(*args: object) -> None:
        raise Woken

    def take() -> None:
        time.sleep(0.2)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    def pause_beside_it() -> None:
        thread.start()
        pause(120)

    before = signal.signal(signal.SIGUSR1, wake)
    thread = threading.Thread(target=take)
    started = time.monotonic()
    try:
        with pytest.raises(Woken):
            pause_beside_it()
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)

    assert time.monotonic() - started < 100
