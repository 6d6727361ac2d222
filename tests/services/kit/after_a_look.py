"""What happens while a step waits: not before its first look, however slow the machine is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.polling import Deadline, attempts


@contextmanager
def after_a_look(context: ActionContext, act: Callable[[], object]) -> Iterator[None]:
    """Call *act* from another thread when the step of *context* has got its first answer."""
    thread = threading.Thread(target=_after_a_look, args=(context, act))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _after_a_look(context: ActionContext, act: Callable[[], object]) -> None:
    for _ in attempts(repeat(0.01), Deadline.after(60, "")):
        if context.exchange.received is not None:
            break
    act()
