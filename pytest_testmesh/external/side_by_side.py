"""Jobs that run at once, each in a thread that does not keep the program alive."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable


def in_threads(name: str, jobs: Iterable[Callable[[], None]]) -> list[threading.Thread]:
    """Start the jobs, and return without waiting for them."""
    threads = [threading.Thread(target=job, name=f"testmesh-{name}", daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    return threads


def side_by_side(name: str, jobs: Iterable[Callable[[], None]]) -> None:
    """Do the jobs, and return when the last one has ended."""
    for thread in in_threads(name, jobs):
        thread.join()
