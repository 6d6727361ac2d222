"""Sees to it that nothing a plugin started outlives this process, however this process ends."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
import uuid
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pytest_testmesh.errors import PluginStartError
from pytest_testmesh.external import reaper

if TYPE_CHECKING:
    import psutil

_REAPER_ENDS_S = 5.0


class Guard:
    """The mark of one set of plugins, and the reaper that kills what carries it once this process is gone.

    The reaper is a small process that starts with the first plugin. All methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._id = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._reaper: subprocess.Popen[bytes] | None = None
        self._leaders: dict[int, float] = {}

    def environment(self, plugin_id: str) -> dict[str, str]:
        """Return the variable that marks the plugin's processes; the mark of a testmesh around this one stays."""
        outer = os.environ.get(reaper.VARIABLE)
        mark = self._mark(plugin_id)
        return {reaper.VARIABLE: f"{outer}:{mark}" if outer else mark}

    def start(self) -> None:
        """Start the reaper unless it runs: before the first plugin, so that no moment is without it.

        One that somebody has killed is replaced.

        Raises:
            PluginStartError: It cannot be started.
        """
        with self._lock:
            if self._reaper is not None:
                if self._reaper.poll() is None:
                    return
                assert self._reaper.stdin is not None
                self._reaper.stdin.close()
            self._reaper = self._spawn()
            for leader in self._leaders:
                self._tell(f"+{leader}")

    def watch(self, pid: int) -> None:
        """Take on the process *pid*, which leads a session, and everything in that session."""
        with self._lock:
            self._leaders[pid] = time.time()
            self._tell(f"+{pid}")

    def forget(self, pid: int) -> None:
        """Let go of a session that has ended: its id may be given to another."""
        with self._lock:
            self._leaders.pop(pid, None)
            self._tell(f"-{pid}")

    def find(self, plugin_id: str) -> list[psutil.Process]:
        """Return the living processes of the plugin, those that left its session included."""
        return reaper.find(self._mark(plugin_id), {})

    def sweep(self, plugin_id: str) -> None:
        """Kill what is left of one plugin."""
        reaper.sweep(self._mark(plugin_id), {})

    def close(self) -> None:
        """Kill what is left of all plugins, and end the reaper; safe to repeat."""
        with self._lock:
            process, self._reaper = self._reaper, None
            leaders = dict(self._leaders)
            self._leaders.clear()
        if process is None:
            return
        reaper.sweep(self._id, leaders)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(b"done\n", timeout=_REAPER_ENDS_S)
        process.kill()
        process.wait()

    def _mark(self, plugin_id: str) -> str:
        return f"{self._id}/{plugin_id}"

    def _tell(self, line: str) -> None:
        if self._reaper is not None and self._reaper.stdin is not None:
            # It was killed by somebody: it is started again with the next plugin.
            with contextlib.suppress(BrokenPipeError):
                self._reaper.stdin.write(f"{line}\n".encode())

    def _spawn(self) -> subprocess.Popen[bytes]:
        library = find_spec("psutil")
        assert library is not None
        assert library.origin is not None
        library_dir = os.path.dirname(os.path.dirname(library.origin))
        environment = {name: value for name, value in environment_now().items() if name != reaper.VARIABLE}
        try:
            return subprocess.Popen(
                # Without the site module it starts in a few milliseconds.
                [sys.executable, "-I", "-S", reaper.__file__, self._id, library_dir],
                env=environment,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C goes to the whole group of this process.
                start_new_session=True,
            )
        except OSError as exc:
            raise PluginStartError(
                f"the process that ends plugins when pytest is killed cannot be started: {exc.strerror or exc}",
                plugin_id="",
                hint="plugins are not started without it",
            ) from exc


def environment_now() -> dict[str, str]:
    """Return a copy of the environment; pytest changes it while plugins start in threads of their own."""
    return {name: value for name in os.environ if (value := os.environ.get(name)) is not None}
