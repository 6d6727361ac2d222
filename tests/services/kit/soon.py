"""What happens to a block of code while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def soon(seconds: float, act: Callable[[], object]) -> Iterator[None]:
    """Call *act* from another thread, *seconds* after the block began; it has returned when the block is left.

    To be entered inside ``pytest.raises``: on a busy machine *act* may come before the block does anything.
    """
    timer = threading.Timer(seconds, act)
    timer.start()
    try:
        yield
    finally:
        timer.join()
