"""One real server: its facts, and what a test may do to it."""

from __future__ import annotations

import os
import pwd
import secrets
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

RESTARTED_BY = "TESTMESH_TEST_SERVICES_RESTART"
"""A command that, given a name, stops that server and starts it again with its data: ``docker compose restart``."""
_RESTART_TRIES = 3
_ENVIRON = dict(os.environ)
"""The environment of the whole run; pytester and fixtures give tests another one."""
_PORTS = range(20_000, 32_768)
"""Below those that the kernel gives to outgoing connections, and to who asks for any: a server binds its port later."""


class Server:
    """One server: its facts, and where they come from."""

    def __init__(self, name: str, source: str, read: Callable[[], Mapping[str, Any]]) -> None:
        self.name = name
        self.source = source
        self._read = read

    @property
    def facts(self) -> Mapping[str, Any]:
        """Urls, credentials, ports, files; read anew each time, since a restart gives another pid."""
        return self._read()

    @property
    def url(self) -> str:
        """The address that clients use: the plain one where there are several."""
        urls = self.facts.get("urls", self.facts)
        return str(next(urls[key] for key in ("url", "bolt", "plaintext") if key in urls))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the server's process in its tracks; skips the test where no pid is known."""
        pid = self.facts.get("pid")
        if pid is None:
            pytest.skip(f"the pid of {self.name} is not known to {self.source}")
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until_stopped(pid)
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def restart(self) -> None:
        """Stop the server and start it again, with its data, at the same address."""
        command = self.facts.get("restart") or shlex.split(_ENVIRON.get(RESTARTED_BY, ""))
        if not command:
            pytest.skip(f"how to restart {self.name} is not known: set {RESTARTED_BY}")
        for tries_left in reversed(range(_RESTART_TRIES)):
            # While it is down, somebody's connection may have its port for a moment.
            done = subprocess.run([*command, self.name], env=_ENVIRON, check=not tries_left, timeout=120)
            if done.returncode == 0:
                return


def wait_until_stopped(pid: int) -> None:
    """Wait until no thread of the process runs any more: one on another processor may just be answering."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if _states_of_threads(pid) <= {"T", "t", "Z", "X"}:
            return
        time.sleep(0.001)


def _states_of_threads(pid: int) -> set[str]:
    states = set()
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended since it was listed
            states.add(stat.read_text().rpartition(")")[2].split()[0])
    return states


class OwnServer(Server):
    """A server that the tests start themselves on a free loopback port; it ends with them."""

    def __init__(
        self,
        name: str,
        source: str,
        argv: Sequence[str],
        folder: Path,
        run_as: str | None = None,
        serves: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(name, source, lambda: {**self.own_facts, "pid": self._process.pid if self._process else None})
        self.own_facts: dict[str, Any] = {}
        self.folder = folder
        self._argv = argv
        self._run_as = run_as
        self._serves = serves or self._takes_connections
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when it serves: some take connections before."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **as_user(self._run_as)
            )
        wait_until_it_serves(self._serves, self._process, self.folder / "server.log")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, if it runs; a frozen one, too."""
        if self._process is None:
            return
        for each in (number, signal.SIGCONT):  # this order: a frozen server must not answer before it goes
            self._process.send_signal(each)
        try:
            self._process.wait(60)  # a PostgreSQL that is killed leaves processes, beside which none can start
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _takes_connections(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.own_facts["port"]), 1):
            return True
        return False

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()


def as_user(name: str | None) -> dict[str, Any]:
    """Return the arguments that let subprocess run a program as *name*."""
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def free_port(*offsets: int) -> int:
    """Return a port that nobody has now, and which is not given to others; those at *offsets* from it are free, too."""
    candidates = range(_PORTS.start, _PORTS.stop - max(offsets, default=0))
    while True:
        port = secrets.choice(candidates)  # not random, which pytest-randomly seeds alike in all processes
        with suppress(OSError), ExitStack() as held:
            for offset in (0, *offsets):
                held.enter_context(socket.create_server(("127.0.0.1", port + offset)))
            return port


def wait_until_it_serves(
    serves: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, timeout_s: float = 60
) -> None:
    end = time.monotonic() + timeout_s
    while not serves():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{process.args!r} does not serve:\n{log.read_text(errors='replace')}")
        time.sleep(0.01)
