"""Keeps one plugin going: start, health, ``/info``, ``/execute``, a new start after a crash, ``/shutdown``."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_testmesh.errors import (
    ActionTimeoutError,
    ExternalPluginError,
    PluginGoneError,
    PluginProtocolError,
    PluginStartError,
)
from pytest_testmesh.external.health import Health, await_health
from pytest_testmesh.external.output import OutputTail
from pytest_testmesh.external.process import PluginProcess, describe_exit, free_port
from pytest_testmesh.external.protocol import DeclaredAction, parse_info
from pytest_testmesh.polling import NEVER, Deadline
from pytest_testmesh.units import format_duration

if TYPE_CHECKING:
    from pytest_testmesh.external.answer import Answer
    from pytest_testmesh.external.connection import PluginEndpoint
    from pytest_testmesh.external.guard import Guard
    from pytest_testmesh.external.manifest import Manifest

_PORT_TRIES = 3
_CRASH_SEEN_S = 1.0
_ENDS_UNASKED_S = 1.0
_SHOWN_LINES = 10
_SEARCHED_LINES = 40  # the end of a stack trace can be long
_PORT_IN_USE = re.compile(r"address (is )?already in use|EADDRINUSE", re.IGNORECASE)
_TROUBLE = re.compile(r"error|exception|panic|fatal|denied|not found|cannot|failed", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a plugin may take, in seconds, and how much it may answer, in bytes.

    *execute_s* bounds an action only where neither step, flow nor phase has a time-out.
    """

    start_s: float = 30.0
    execute_s: float = 30.0
    shutdown_s: float = 5.0
    answer_bytes: int = 64 * 1024 * 1024


class ExternalPlugin:
    """One plugin of the session and its process, if one runs.

    *on_info* is told what each start's ``/info`` lists, *guard* watches its processes. All methods may be called
    from any thread.
    """

    def __init__(
        self,
        manifest: Manifest,
        limits: Limits,
        on_info: Callable[[Manifest, Mapping[str, DeclaredAction]], None],
        guard: Guard,
    ) -> None:
        self.manifest = manifest
        self.limits = limits
        self.stdout = OutputTail()
        self.stderr = OutputTail()
        self.error: ExternalPluginError | None = None
        self._on_info = on_info
        self._guard = guard
        self._actions: Mapping[str, DeclaredAction] | None = None
        self._start_lock = threading.Lock()
        self._spawn_lock = threading.Lock()
        self._process: PluginProcess | None = None
        self._endpoint: PluginEndpoint | None = None
        self._healthy = False
        self._stopped = False
        self._end = ""
        self._printed_before = (0, 0)

    @property
    def id(self) -> str:
        """The manifest's id."""
        return self.manifest.id

    @property
    def actions(self) -> Mapping[str, DeclaredAction] | None:
        """What ``/info`` listed at the last start, by action id; None before the first."""
        return self._actions

    @property
    def was_started(self) -> bool:
        """Whether a start has come to its end, well or not."""
        return self.error is not None or self._actions is not None

    @property
    def running(self) -> bool:
        """Whether its process has become healthy and lives."""
        process = self._process
        return process is not None and self._healthy and process.exit_code() is None

    def ensure_started(self, deadline: Deadline = NEVER) -> str:
        """Start the process unless it runs; return why it had to be started *again*, else an empty text.

        A start that fails is not tried again: its error comes at every call.

        Raises:
            PluginStartError: It exited, did not listen, or did not become healthy in time.
            PluginProtocolError: ``/info`` did not answer in the shape of the protocol.
        """
        with self._start_lock:
            if self.error is not None:
                raise _again(self.error)
            if self._process is not None and self._endpoint is not None:
                code = self._process.exit_code()
                if code is None:
                    self._guard.start()  # somebody may have killed the reaper
                    return ""
                self._end = self._end or f"it {describe_exit(code)}"
            self._start(deadline)
            reason, self._end = self._end, ""
            return reason

    def execute(self, action: str, body: bytes, deadline: Deadline) -> Answer:
        """Send ``POST /execute`` and return the answer as it came.

        Raises:
            ActionTimeoutError: No answer in time; the process is killed, since it may be stuck for good.
            PluginGoneError: The process ended before anything was sent.
            ExternalPluginError: The process ended or dropped the connection.
            PluginProtocolError: The answer is not HTTP, or too large.
        """
        process, endpoint = self._process, self._endpoint
        if process is None or endpoint is None:
            # Dropped by a call in another thread, which saw its end first.
            raise PluginGoneError(f"plugin {self.id} is not running, so {action} cannot be run", plugin_id=self.id)
        printed = self.stderr.position
        over = False
        try:
            answer = endpoint.request("POST", "/execute", body, deadline=deadline)
            over = True
            return answer
        except TimeoutError as exc:
            raise self._late(action, deadline) from exc
        except PluginProtocolError:
            over = True
            raise
        except OSError as exc:
            over = True
            raise self._broken(process, action, exc, printed) from exc
        finally:
            if not over:
                self._end = "it was killed while it still ran an earlier step"
                process.kill()

    def collect_output(self) -> None:
        """Bring *stdout* and *stderr* up to date."""
        if self._process is not None:
            self._process.collect_output()

    def stop(self, deadline: Deadline) -> None:
        """Do what `shut_down` does, and kill what has left the process group; it cannot be started again."""
        self.shut_down(deadline)
        self._guard.sweep(self.id)

    def shut_down(self, deadline: Deadline) -> None:
        """Ask the plugin to end, wait for it, kill its process group; it cannot be started again.

        What has left the group still runs: the guard kills it, for all plugins at once.
        """
        with self._spawn_lock:
            self._stopped = True
            process, endpoint = self._process, self._endpoint
        if process is None:
            return
        if endpoint is not None and self._healthy and process.exit_code() is None:
            process.note_descendants()
            if not self._goes(process, endpoint, deadline):
                process.terminate()  # it does not know /shutdown, so that waiting alone would only cost the grace
            process.wait(deadline)
        self.kill()

    def _goes(self, process: PluginProcess, endpoint: PluginEndpoint, deadline: Deadline) -> bool:
        """Send ``POST /shutdown``; False when the plugin will not end by it."""
        try:
            return endpoint.request("POST", "/shutdown", deadline=deadline).status < 400
        except (OSError, PluginProtocolError):
            # It ends without an answer, or its code for /shutdown has failed.
            return process.wait(Deadline.after(_ENDS_UNASKED_S, "").earlier(deadline)) is not None
        finally:
            # A server that waits for open connections before it ends must not wait for ours.
            endpoint.close()

    def kill(self) -> None:
        """End the process group at once; it cannot be started again."""
        with self._spawn_lock:
            self._stopped = True
            process, endpoint = self._process, self._endpoint
        if endpoint is not None:
            endpoint.close()
        if process is not None:
            process.kill()

    def _start(self, deadline: Deadline) -> None:
        cause = f"the start limit of {format_duration(self.limits.start_s)}"
        limit = Deadline.after(self.limits.start_s, cause).earlier(deadline)
        started = False
        try:
            self._start_process(limit)
            self._read_info(limit)
            started = self._healthy = True
        except ExternalPluginError as exc:
            # A caller in a hurry must not decide for all others that the plugin is broken.
            if not deadline.passed and not self._stopped:
                self.error = exc
            raise
        finally:
            if not started:
                self._drop_process()

    def _start_process(self, limit: Deadline) -> None:
        for tries_left in reversed(range(_PORT_TRIES)):
            process, endpoint = self._spawn()
            health, problem = await_health(self.id, process, endpoint, limit)
            if health is Health.HEALTHY:
                return
            if health is Health.TOO_LATE:
                raise self._never_healthy(process, limit, problem)
            if health is Health.EXITED and not (tries_left and self._found_port_in_use(process)):
                raise self._exited(process)
            self._drop_process()
        raise PluginStartError(
            f"plugin {self.id} found its port taken by another program, {_PORT_TRIES} times in a row",
            plugin_id=self.id,
            hint="does it listen on the port that PLUGIN_PORT names?",
        )

    def _spawn(self) -> tuple[PluginProcess, PluginEndpoint]:
        self._drop_process()
        self._printed_before = self.stderr.position, self.stdout.position
        with self._spawn_lock:
            if self._stopped:
                raise self._error("is stopped: the test session has ended")
            process = self._process = PluginProcess(self.manifest, free_port(), self.stdout, self.stderr, self._guard)
        # Loaded while the process starts, so that it costs no time.
        from pytest_testmesh.external.connection import PluginEndpoint

        endpoint = PluginEndpoint(self.id, process.port, max_answer_bytes=self.limits.answer_bytes)
        self._endpoint = endpoint
        return process, endpoint

    def _drop_process(self) -> None:
        process, self._process = self._process, None
        endpoint, self._endpoint = self._endpoint, None
        self._healthy = False
        if endpoint is not None:
            endpoint.close()
        if process is not None:
            process.kill()
            # What it left elsewhere would stand in the way of the next: sockets, locks.
            self._guard.sweep(self.id)

    def _read_info(self, limit: Deadline) -> None:
        assert self._process is not None
        assert self._endpoint is not None
        try:
            answer = self._endpoint.request("GET", "/info", deadline=limit)
        except TimeoutError as exc:
            told = f"plugin {self.id} did not answer GET /info within {limit.cause}"
            raise PluginStartError(told, plugin_id=self.id) from exc
        except OSError as exc:
            broken = self._broken(self._process, "GET /info", exc, self._printed_before[0])
            raise PluginStartError(broken.message, plugin_id=self.id, stderr=broken.stderr) from exc
        self._actions = {each.id: each for each in parse_info(self.id, answer)}
        self._on_info(self.manifest, self._actions)

    def _found_port_in_use(self, process: PluginProcess) -> bool:
        """Whether it says so: who took the port for a moment, as a connection does, may have left it since."""
        process.kill()
        stderr, stdout = self._printed_since_start()
        return any(_PORT_IN_USE.search(line) for line in stderr + stdout)

    def _exited(self, process: PluginProcess) -> PluginStartError:
        process.kill()
        code = process.exit_code() or 0
        hint = "the entry point must stay in the foreground until /shutdown" if code == 0 else None
        return self._failed_start(f"{describe_exit(code)} before it was healthy", hint)

    def _never_healthy(self, process: PluginProcess, limit: Deadline, problem: str | None) -> PluginStartError:
        process.collect_output()
        if problem is not None:
            return self._failed_start(f"did not become healthy within {limit.cause}: {problem}")
        ports = process.listening_ports()
        hint = "the port to listen on is in the environment variable PLUGIN_PORT"
        if process.port in ports:
            hint = f"it listens on port {process.port} of another address; listen on 127.0.0.1"
        elif ports:
            hint += f"; it listens on {', '.join(map(str, sorted(ports)))}"
        return self._failed_start(f"did not listen on 127.0.0.1:{process.port} within {limit.cause}", hint)

    def _failed_start(self, problem: str, hint: str | None = None) -> PluginStartError:
        stderr, stdout = self._printed_since_start()
        return PluginStartError(
            f"plugin {self.id} {problem}{_telling(stderr or stdout)}",
            plugin_id=self.id,
            hint=hint,
            stderr=tuple(stderr[-_SHOWN_LINES:]),
        )

    def _printed_since_start(self) -> tuple[list[str], list[str]]:
        """Return the last lines of stderr and of stdout since the process was started."""
        before_in_stderr, before_in_stdout = self._printed_before
        return (
            self.stderr.last_lines(_SEARCHED_LINES, before_in_stderr),
            self.stdout.last_lines(_SEARCHED_LINES, before_in_stdout),
        )

    def _late(self, action: str, deadline: Deadline) -> ActionTimeoutError:
        within = f"within {deadline.cause}" if deadline.cause else "in time"
        return ActionTimeoutError(
            f"plugin {self.id} did not answer {action} {within}",
            hint="its process was killed, and is started again when a step needs it; "
            "a step that may take longer needs a longer timeout",
        )

    def _broken(self, process: PluginProcess, action: str, exc: OSError, printed: int) -> ExternalPluginError:
        """Tell why the connection broke; the end of the process, if that is why, shows a moment later."""
        code = process.wait(Deadline.after(_CRASH_SEEN_S, ""))
        process.collect_output()
        if code is None and isinstance(exc, ConnectionRefusedError):
            self._end = "it no longer listened"
            process.kill()
            return self._error(f"no longer listens on 127.0.0.1:{process.port}, so {action} cannot be run")
        if code is None:
            return self._error(f"dropped {action}, its process still runs: {exc.strerror or exc}")
        lines = self.stderr.last_lines(_SEARCHED_LINES, printed)
        # Refused, so nothing was sent.
        kind = PluginGoneError if isinstance(exc, ConnectionRefusedError) else ExternalPluginError
        return kind(
            f"plugin {self.id} {describe_exit(code)} while it ran {action}{_telling(lines)}",
            plugin_id=self.id,
            stderr=tuple(lines[-_SHOWN_LINES:]),
        )

    def _error(self, problem: str) -> ExternalPluginError:
        return ExternalPluginError(f"plugin {self.id} {problem}", plugin_id=self.id)


def _telling(lines: list[str]) -> str:
    """Return what stderr says about the end, for the end of a message: its last line that tells of an error."""
    if not lines:
        return ""
    return f": {next((line for line in reversed(lines) if _TROUBLE.search(line)), lines[-1]).strip()}"


def _again(error: ExternalPluginError) -> ExternalPluginError:
    """Return a fresh copy: an exception that is raised twice would collect the tracebacks of both."""
    return type(error)(error.message, plugin_id=error.plugin_id, hint=error.hint, stderr=error.stderr)
