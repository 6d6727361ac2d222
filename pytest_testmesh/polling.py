"""Deadlines and the one loop that everything repeated goes through."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point on the monotonic clock, in seconds, that work must not pass.

    *cause* is what a time-out message names: ``"step timeout 10s"``.
    """

    at: float = inf
    cause: str = ""

    @classmethod
    def after(cls, seconds: float, cause: str) -> Deadline:
        """Return the deadline *seconds* from now."""
        return cls(time.monotonic() + seconds, cause)

    def remaining(self) -> float:
        """Seconds left, never negative; infinite when there is no limit."""
        return max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.at

    def earlier(self, other: Deadline) -> Deadline:
        """Return the one of the two that comes first."""
        return self if self.at <= other.at else other


NEVER = Deadline()
_SLICE_S = 0.5


def pause(seconds: float) -> None:
    """Sleep, in slices: a signal that another thread took, which interrupts no sleep, is handled between two."""
    end = Deadline.after(seconds, "")
    while not end.passed:
        time.sleep(min(end.remaining(), _SLICE_S))


def attempts(delays: Iterable[float], deadline: Deadline, sleep: Callable[[float], None] = pause) -> Iterator[int]:
    """Count attempts from 1, sleeping between two; stop when delays or time run out.

    The first attempt always happens. A delay that would reach past the deadline is cut so that the last attempt
    starts at the deadline: what becomes true during a wait is still seen.
    """
    number = 1
    yield number
    for delay in delays:
        remaining = deadline.remaining()
        if remaining <= 0:
            return
        sleep(min(delay, remaining))
        number += 1
        yield number
