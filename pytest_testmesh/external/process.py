"""Runs the process of one plugin: how it is started, watched and ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_testmesh.errors import PluginStartError
from pytest_testmesh.external.guard import Guard, environment_now
from pytest_testmesh.external.output import OutputPipes, OutputTail

if TYPE_CHECKING:
    import psutil

    from pytest_testmesh.external.manifest import Manifest
    from pytest_testmesh.polling import Deadline

_INTERPRETERS = {".js": "node", ".mjs": "node", ".cjs": "node", ".sh": "bash"}
_KILL_WAIT_S = 5.0


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses right now; another program may still take it first."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_taken(port: int) -> bool:
    """Whether some process listens on the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without this, connections of a process that has just ended would count as well.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def describe_exit(code: int) -> str:
    """Write an exit code for people: ``"exited with code 3"``, ``"was killed by SIGKILL"``."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


class PluginProcess:
    """One running process with everything it starts, in a session and process group of its own.

    *guard* marks and watches it, so that it ends with this program.
    """

    def __init__(self, manifest: Manifest, port: int, stdout: OutputTail, stderr: OutputTail, guard: Guard) -> None:
        self.port = port
        self._id = manifest.id
        self._guard = guard
        self._lock = threading.Lock()
        self._group_is_gone = False
        self._descendants: list[psutil.Process] = []
        self._sessions: set[int] = set()
        self._pipes = OutputPipes([stdout, stderr], manifest.id)
        try:
            guard.start()
            self._popen = _spawn(manifest, port, guard.environment(manifest.id), *self._pipes.write_ends)
        except BaseException:
            self._pipes.close()
            raise
        guard.watch(self._popen.pid)
        self._pipes.close_write_ends()

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its session and of its process group."""
        return self._popen.pid

    def exit_code(self) -> int | None:
        """Return the exit code (minus the signal's number after a signal), or None while it runs.

        A plugin ends with its first process: what that one leaves behind is killed as soon as its end is
        seen, while its process id cannot yet have been given to another.
        """
        with self._lock:
            code = self._popen.poll()
            if code is not None and not self._group_is_gone:
                self._kill_group()
        return code

    def wait(self, deadline: Deadline) -> int | None:
        """Wait for the end until the deadline; return what `exit_code` does."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(min(deadline.remaining(), threading.TIMEOUT_MAX))
        return self.exit_code()

    def note_descendants(self) -> None:
        """Keep in mind whom the process has started: nothing else may tell of one that left session and environment."""
        import psutil

        with contextlib.suppress(psutil.Error):
            self._descendants = psutil.Process(self.pid).children(recursive=True)
        # The reaper knows them, too: this process may be ended between the end of their parent and their own.
        for session in _sessions(self._descendants) - self._sessions - {self.pid}:
            self._sessions.add(session)
            self._guard.watch(session)

    def terminate(self) -> None:
        """Ask the process with SIGTERM to end; what is left is still to be killed."""
        with self._lock:
            if self._popen.poll() is None:
                self._popen.terminate()

    def kill(self) -> None:
        """End the process and its group at once and close the pipes; safe to repeat."""
        with self._lock:
            if self._popen.poll() is None:
                self.note_descendants()
                self._kill_group()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(_KILL_WAIT_S)
        self.exit_code()
        self._pipes.close()

    def collect_output(self) -> None:
        """Bring the output tails up to date."""
        self._pipes.collect()

    def holds_port(self) -> bool:
        """Whether one of the plugin's own processes listens on the port; True where that is kept secret."""
        return self.port in self.listening_ports(default=self.port)

    def listening_ports(self, *, default: int | None = None) -> set[int]:
        """Return the TCP ports that the plugin's processes listen on, and *default* for one that hides them."""
        import psutil

        found: set[int] = set()
        for process in self._family():
            try:
                found.update(_listening(process))
            except psutil.NoSuchProcess:
                continue
            except (psutil.Error, OSError):
                found.update(() if default is None else (default,))
            if default in found:
                break
        return found

    def _family(self) -> Iterator[Any]:
        """The plugin's first process, then its descendants, then whoever else carries its mark."""
        import psutil

        with contextlib.suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.pid)
            yield first
            yield from first.children(recursive=True)
        yield from self._guard.find(self._id)

    def _kill_group(self) -> None:
        # Gone already, or (macOS) only a zombie is left: nothing to end in both cases.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._group_is_gone = True
        self._kill_descendants()
        for session in (*self._sessions, self.pid):
            self._guard.forget(session)

    def _kill_descendants(self) -> None:
        import psutil

        for process in self._descendants:
            # psutil compares start times first: the id may be another process's by now.
            with contextlib.suppress(psutil.Error):
                process.kill()


def _sessions(processes: Iterable[psutil.Process]) -> set[int]:
    found = set()
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            found.add(os.getsid(process.pid))
    return found


def _listening(process: Any) -> set[int]:
    return {each.laddr.port for each in process.net_connections(kind="tcp") if each.status == "LISTEN"}


def _spawn(manifest: Manifest, port: int, mark: Mapping[str, str], stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    command = _command(manifest)
    environment = {
        **environment_now(),
        **mark,
        "PLUGIN_PORT": str(port),
        "PLUGIN_ID": manifest.id,
        # What a plugin prints must reach the report of the step that caused it, not a buffer.
        "PYTHONUNBUFFERED": "1",
    }
    try:
        return subprocess.Popen(
            command,
            cwd=manifest.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as exc:
        raise _cannot_start(
            manifest,
            f"{command[0]} cannot be run: {exc.strerror or exc}",
            "an entry point without .py, .js or .sh is run as a program of its own: it needs a #! line that "
            "names an interpreter, or to be built for this machine",
        ) from exc


def _command(manifest: Manifest) -> list[str]:
    entry_point = manifest.entry_point
    suffix = entry_point.suffix
    if suffix == ".py":
        return [_python(manifest.folder), str(entry_point)]
    if suffix in _INTERPRETERS:
        return [_interpreter(manifest, _INTERPRETERS[suffix]), str(entry_point)]
    if not os.access(entry_point, os.X_OK):
        raise _cannot_start(manifest, f"entry point {entry_point} is not executable", f"run: chmod +x {entry_point}")
    return [str(entry_point)]


def _python(folder: Path) -> str:
    own = folder / ".venv" / "bin" / "python"
    return str(own) if os.access(own, os.X_OK) else sys.executable


def _interpreter(manifest: Manifest, name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise _cannot_start(
            manifest,
            f"{name} is not installed, and {manifest.entry_point.name} needs it",
            f"install {name}, or put its folder on PATH",
        )
    return found


def _cannot_start(manifest: Manifest, problem: str, hint: str) -> PluginStartError:
    return PluginStartError(f"plugin {manifest.id} cannot be started: {problem}", plugin_id=manifest.id, hint=hint)
