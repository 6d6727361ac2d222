"""``within``: the one way in which an action waits until what it looks at is as its assertions say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pytest_testmesh.errors import ActionConfigError, ActionTimeoutError, MissingPathError, StepAssertionError
from pytest_testmesh.integrations._durations import own_deadline
from pytest_testmesh.polling import Deadline, attempts, pause
from pytest_testmesh.units import format_duration

T = TypeVar("T")
NotYet = StepAssertionError | MissingPathError
"""What says that it is not so, but may be soon."""

_LAST_LOOK_S = 5.0
"""Long, since a machine that runs tests is often a busy one; a server that answers is not waited for."""
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_GROWTH = 1.5


def look_deadline(config: Mapping[str, Any], deadline: Deadline, within: Deadline | None = None) -> Deadline:
    """Return when one look must have ended: by ``timeout``, by *deadline*, and not long after *within*.

    The last look, which begins when *within* is over, still gets five seconds.
    """
    if within is not None:
        deadline = deadline.earlier(Deadline.after(max(within.remaining(), _LAST_LOOK_S), within.cause))
    return own_deadline(config, deadline)


def holds_within(
    check: Callable[[], T],
    within_s: float,
    deadline: Deadline,
    sleep: Callable[[float], None] = pause,
    explain: Callable[[NotYet], Iterable[str]] = lambda problem: (),
) -> T:
    """Call *check* until it returns, and return that; by `StepAssertionError` or `MissingPathError` it says "not yet".

    The first call always happens, the last one when *within_s* is over or *deadline* comes, whichever is first.
    *explain* gives further lines of the hint; a server that has fallen silent is not asked for them.

    Raises:
        StepAssertionError, MissingPathError: The last one; its hint tells how long and how often was looked.
        ActionError: What *check* raised; a time-out only when there was no earlier answer to tell.
    """
    started = time.monotonic()
    problem: NotYet | None = None
    silence: ActionTimeoutError | None = None
    looks = 0
    for number in attempts(_pauses(), deadline.earlier(Deadline.after(within_s, "")), sleep):
        looks = number
        try:
            return check()
        except (StepAssertionError, MissingPathError) as exc:
            problem, silence = exc, None
        except ActionTimeoutError as exc:
            if problem is None:
                raise
            silence = exc
    assert problem is not None
    waited = f"still so after {format_duration(time.monotonic() - started)} and {looks} look{'s' * (looks != 1)}"
    unanswered = f"but the last look got no answer: {silence.message}" if silence else None
    told = "; ".join(filter(None, [waited, unanswered, problem.hint]))
    problem.hint = told if silence else "\n  ".join([told, *explain(problem)])
    raise problem


def not_again(problem: NotYet) -> ActionConfigError:
    """Return the error for a statement that would change data once more with each look."""
    return ActionConfigError(
        f"{problem.message}, and a statement that changes data is not run again",
        hint="give the change a step of its own, and let `within` look at what came of it",
    )


def _pauses() -> Iterator[float]:
    """Short ones first: most of what is waited for is there soon."""
    pause_s = _FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(pause_s * _GROWTH, _LONGEST_PAUSE_S)
