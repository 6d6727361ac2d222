"""What happens while a block of code runs: not before something else did, however slow the machine is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import repeat

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.polling import Deadline, attempts


@contextmanager
def once(happened: Callable[[], bool], act: Callable[[], object]) -> Iterator[None]:
    """Call *act* from another thread once *happened* says so, at the latest after a minute.

    It has returned when the block is left.
    """
    thread = threading.Thread(target=_once, args=(happened, act))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _once(happened: Callable[[], bool], act: Callable[[], object]) -> None:
    for _ in attempts(repeat(0.01), Deadline.after(60, "")):
        if happened():
            break
    act()


def after_a_look(context: ActionContext, act: Callable[[], object]) -> AbstractContextManager[None]:
    """Call *act* when the step of *context* has got its first answer."""
    return once(lambda: context.exchange.received is not None, act)
