"""Steps that ask a server of logs or metrics: once, or until what it finds is as asserted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.integrations._assertions import compile_check
from pytest_testmesh.integrations._http_api import Access
from pytest_testmesh.integrations._watching import log_once, watch
from pytest_testmesh.integrations._within import look_deadline
from pytest_testmesh.polling import Deadline

Result = Mapping[str, Any]


class Server(Protocol):
    """A server at *url*, which shows no credentials."""

    url: str


class Found(Protocol):
    """What a question found."""

    @property
    def remarks(self) -> Iterable[tuple[str, str]]:
        """Texts for the step's log, with their levels."""
        ...

    def result(self) -> dict[str, Any]:
        """Return it as the step's result holds it."""
        ...


S = TypeVar("S", bound=Server)
Q = TypeVar("Q")
F = TypeVar("F", bound=Found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Generic[S, Q, F]):
    """What one service does its own way.

    *setting* names the setting of its URL, *within* is how long ``*.assert`` waits where the config does not say.
    *read_question* gets the config, when the step began and when it is now, in Unix nanoseconds. *describe* makes one
    line, or with True all lines, of what was found. *explain* says what there is instead of what a step waited for.
    """

    setting: str
    default_url: str
    within: str
    connect: Callable[[str, Access], S]
    read_question: Callable[[Mapping[str, Any], int, int], Q]
    find: Callable[[S, Q, Deadline], F]
    describe: Callable[[F, float, bool], str]
    explain: Callable[[S, Q, F, Deadline], Iterable[str]]


def ask(service: Service[S, Q, F], config: Mapping[str, Any], context: ActionContext) -> Result:
    """Ask once.

    Raises:
        ActionConfigError: A time is none, or the keys do not go together.
        ActionError: The server could not be reached or said no.
    """
    return _Step(service, config, context).look(look_deadline(config, context.deadline))


def ask_until(service: Service[S, Q, F], config: Mapping[str, Any], context: ActionContext) -> Result:
    """Ask until every assertion holds; by default, that something was found.

    Raises:
        StepAssertionError, MissingPathError: They did not hold within ``within``; tells what was there.
        ActionError: As for `ask`.
    """
    step = _Step(service, config, context)
    something = compile_check("count > 0", "nothing matches", (), frozenset())
    return watch(step.look, step.explain, something, service.within, config, context)


class _Step(Generic[S, Q, F]):
    """One step, which may look more than once."""

    def __init__(self, service: Service[S, Q, F], config: Mapping[str, Any], context: ActionContext) -> None:
        self._service = service
        self._config = config
        self._context = context
        self._began_ns = time.time_ns()
        url = config.get("url") or context.settings.get(service.setting) or service.default_url
        self._server = service.connect(url, Access.of(config, context))
        self._last: tuple[Q, F] | None = None

    def look(self, deadline: Deadline) -> Result:
        """Look once."""
        question = self._service.read_question(self._config, self._began_ns, time.time_ns())
        exchange = self._context.exchange
        exchange.sent = _Sent(question, self._server.url)
        started = time.perf_counter()
        found = self._service.find(self._server, question, deadline)
        duration_s = time.perf_counter() - started
        exchange.received = lambda verbose=False: self._service.describe(found, duration_s, verbose)
        self._last = question, found
        log_once(self._context, found.remarks)
        return found.result()

    def explain(self, deadline: Deadline) -> Sequence[str]:
        """Say what the last look saw."""
        return list(self._service.explain(self._server, *self._last, deadline)) if self._last else ()


@dataclass(frozen=True, slots=True)
class _Sent:
    """``up{app="shop"}  at http://localhost:9090``."""

    question: object
    url: str

    def __call__(self, verbose: bool = False) -> str:
        return f"{self.question}  at {self.url}"
