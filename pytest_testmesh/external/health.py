"""Waits until a plugin that starts is healthy, and tells what was seen of one that never is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from pytest_testmesh.errors import PluginProtocolError
from pytest_testmesh.external.process import PluginProcess, port_is_taken
from pytest_testmesh.external.protocol import health_problem
from pytest_testmesh.polling import Deadline, attempts

if TYPE_CHECKING:
    from pytest_testmesh.external.connection import PluginEndpoint

_ANSWER_S = 5.0
_NO_ANSWER = "GET /health: no answer"


class Health(Enum):
    """How the wait for a plugin's health ended."""

    HEALTHY = auto()
    EXITED = auto()
    PORT_TAKEN = auto()
    TOO_LATE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Poll:
    """One look: whether there was anybody to ask, and what was wrong with the answer."""

    listened: bool = True
    problem: str | None = None

    @property
    def is_healthy(self) -> bool:
        return self.listened and self.problem is None


def await_health(
    plugin_id: str, process: PluginProcess, endpoint: PluginEndpoint, limit: Deadline
) -> tuple[Health, str | None]:
    """Poll ``/health`` until the plugin is healthy, or cannot become so any more.

    Return with it what was wrong with the last answer, None where nobody listened.
    """
    import psutil  # noqa: F401 - loaded while the process starts, so that it costs no time

    problem = None
    for _ in attempts(_delays(), limit):
        if process.exit_code() is not None:
            return (Health.PORT_TAKEN if _port_is_anothers(process) else Health.EXITED), problem
        if limit.passed:
            break
        poll = _poll(plugin_id, endpoint, limit)
        if poll.listened and _port_is_anothers(process):
            return Health.PORT_TAKEN, None
        if poll.is_healthy:
            # One that has ended meanwhile is told when it does not answer the next request.
            return Health.HEALTHY, None
        if poll.problem == _NO_ANSWER and limit.passed:
            return Health.TOO_LATE, problem or _at_the_limit(process)
        problem = poll.problem
    return Health.TOO_LATE, problem


def _poll(plugin_id: str, endpoint: PluginEndpoint, limit: Deadline) -> _Poll:
    """Ask once. A server may answer anything while it starts."""
    try:
        answer = endpoint.request("GET", "/health", deadline=Deadline.after(_ANSWER_S, "").earlier(limit))
    except ConnectionRefusedError:
        return _Poll(listened=False)
    except TimeoutError:
        return _Poll(problem=_NO_ANSWER)
    except OSError as exc:
        return _Poll(problem=f"GET /health: {exc.strerror or exc}")
    except PluginProtocolError as exc:
        return _Poll(problem=exc.message.removeprefix(f"plugin {plugin_id}: "))
    return _Poll(problem=health_problem(plugin_id, answer))


def _at_the_limit(process: PluginProcess) -> str | None:
    """Say what a poll means that the limit cut short: it may have had no time even to be refused."""
    return _NO_ANSWER if port_is_taken(process.port) else None


def _port_is_anothers(process: PluginProcess) -> bool:
    # Looked at again: a plugin that ended between the two looks holds the port no more, and nobody else does.
    return port_is_taken(process.port) and not process.holds_port() and port_is_taken(process.port)


def _delays() -> Iterator[float]:
    """Seconds between polls: short while most plugins start, never longer than the protocol's 100 ms."""
    delay = 0.005
    while True:
        yield delay
        delay = min(delay * 1.2, 0.1)
