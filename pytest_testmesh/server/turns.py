"""Who waits for whom: operations on one plugin take turns, and nobody waits for an installation at the end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from itertools import repeat
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from pytest_testmesh.errors import RegistryError
from pytest_testmesh.polling import Deadline, attempts
from pytest_testmesh.units import format_duration

if TYPE_CHECKING:
    from pytest_testmesh.registry.registry import InstalledPlugin

_WAIT_S = 60.0
_TRY_S = 0.1


class Turns:
    """One operation at a time for each plugin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Forgotten with their last user, so that ids which do not exist leave nothing behind.
        self._locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

    @contextlib.contextmanager
    def alone(self, plugin_id: str, hurry: Callable[[str], None] = lambda plugin_id: None) -> Iterator[None]:
        """Wait until no other operation on this plugin runs; *hurry* is called again and again to make it end.

        Raises:
            RegistryError: One still runs after a minute.
        """
        with self._lock:
            lock = self._locks.setdefault(plugin_id, threading.Lock())
        for _ in attempts(repeat(0.0), Deadline.after(_WAIT_S, "")):
            hurry(plugin_id)
            if lock.acquire(timeout=_TRY_S):
                break
        else:
            raise RegistryError(
                f"another operation on plugin {plugin_id} has been running for {format_duration(_WAIT_S)}",
                hint="try again when it is over",
            )
        try:
            yield
        finally:
            lock.release()


class Installations:
    """Runs what may take minutes in threads that the end of the server need not wait for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Future[InstalledPlugin]] = set()
        self._closed = False

    def run(self, install: Callable[[], InstalledPlugin]) -> InstalledPlugin:
        """Return what *install* does.

        Raises:
            RegistryError: The server is closed before that.
        """
        result: Future[InstalledPlugin] = Future()
        with self._lock:
            self._running.add(result)
            if self._closed:
                result.cancel()
        threading.Thread(target=_settle, args=(result, install), name="testmesh-install", daemon=True).start()
        try:
            return result.result()
        except CancelledError:
            raise RegistryError("not installed: the server is shutting down") from None
        finally:
            with self._lock:
                self._running.discard(result)

    def close(self) -> None:
        """Let those who wait go; what still runs ends with this process, and leaves nothing that counts."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for each in running:
            each.cancel()


def _settle(result: Future[InstalledPlugin], install: Callable[[], InstalledPlugin]) -> None:
    if result.cancelled():
        return
    with contextlib.suppress(InvalidStateError):  # cancelled meanwhile
        try:
            result.set_result(install())
        except Exception as exc:  # noqa: BLE001 - it is raised in the thread that waits
            result.set_exception(exc)
