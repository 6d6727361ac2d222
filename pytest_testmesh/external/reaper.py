"""Finds and kills what plugins leave behind; as a program of its own it does so when its parent is gone.

As a program (``python -I -S reaper.py MARK FOLDER_OF_PSUTIL``) it waits on stdin for the end of whoever started it, so
it works after SIGKILL as well. It is told ``+PID`` and ``-PID`` for plugins that start and end, and ``done`` when
nothing is left to do. It imports nothing of this package, so that it costs no start-up time.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

VARIABLE = "TESTMESH_GUARD"
"""The environment variable that marks plugins: children inherit it, also those that leave session and group.

Its value is ``GUARD/PLUGIN``, after a colon for each testmesh process that runs inside another's plugin.
"""

_PARENT_CHECK_S = 0.5
_GIVE_UP_S = 10.0
_BETWEEN_SCANS_S = 0.01
_CLOCK_SLACK_S = 2.0


def find(mark: str, leaders: Mapping[int, float]) -> list[psutil.Process]:
    """Return the living processes with *mark*, those in the sessions of *leaders*, and all their descendants.

    *mark* is ``GUARD`` or ``GUARD/PLUGIN``. *leaders* maps process ids to the time at which they were known to
    run, in seconds since the epoch: a process of that id that began later is another one.
    """
    import psutil

    living = {process.pid: process for process in psutil.process_iter() if _lives(process)}
    sessions = {leader for leader, known_at in leaders.items() if not _is_another(living.get(leader), known_at)}
    found = {pid for pid, process in living.items() if _session(pid) in sessions or _is_marked(process, mark)}
    parents = {pid: _parent(process) for pid, process in living.items()}
    grown = -1
    while grown != len(found):
        grown = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return [living[pid] for pid in found]


def sweep(mark: str, leaders: Mapping[int, float]) -> None:
    """Kill all that `find` finds, again and again until nothing is found: one may start another meanwhile."""
    import psutil

    until = time.monotonic() + _GIVE_UP_S
    while (found := find(mark, leaders)) and time.monotonic() < until:
        for process in found:
            # psutil compares start times first: the id may be another process's by now.
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(_BETWEEN_SCANS_S)


def _lives(process: psutil.Process) -> bool:
    import psutil

    try:
        return process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _is_another(process: psutil.Process | None, known_at: float) -> bool:
    import psutil

    try:
        return process is not None and process.create_time() > known_at + _CLOCK_SLACK_S
    except psutil.Error:
        return False


def _is_marked(process: psutil.Process, mark: str) -> bool:
    import psutil

    try:
        value = process.environ().get(VARIABLE, "")
    except (psutil.Error, OSError):  # another user's
        return False
    return any(each == mark or each.startswith(f"{mark}/") for each in value.split(":"))


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _parent(process: psutil.Process) -> int | None:
    import psutil

    try:
        return process.ppid()
    except psutil.Error:
        return None


def _wait_for_end(parent: int) -> dict[int, float] | None:
    """Listen until stdin ends or the parent is gone; return who led a plugin then, None after ``done``.

    A process that the parent has forked may hold the other end of stdin for longer than the parent lives.
    """
    leaders: dict[int, float] = {}
    rest = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], _PARENT_CHECK_S)[0]:
            continue
        data = os.read(0, 4096)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line == b"done":
                return None
            _note(leaders, line)
    return leaders


def _note(leaders: dict[int, float], line: bytes) -> None:
    pid = int(line[1:])
    if line.startswith(b"+"):
        leaders[pid] = time.time()
    else:
        leaders.pop(pid, None)


def main(mark: str, library_dir: str) -> None:
    """Wait for the parent's end, then kill what is left of its plugins."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    leaders = _wait_for_end(os.getppid())
    if leaders is not None:
        sys.path.append(library_dir)
        sweep(mark, leaders)


if __name__ == "__main__":
    main(*sys.argv[1:])
