"""One driver of Neo4j for one step at a time: every wait ends at the step's deadline, and nothing is tried twice."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any

import neo4j
from neo4j.exceptions import DriverError, Neo4jError

from pytest_testmesh.integrations._sockets import bounded_by, connect
from pytest_testmesh.integrations._tls import TLSOptions, tls_context
from pytest_testmesh.integrations.neo4j.address import Address
from pytest_testmesh.integrations.neo4j.sockets import Sockets
from pytest_testmesh.integrations.neo4j.types import value_to_json
from pytest_testmesh.integrations.sql.outcome import Outcome
from pytest_testmesh.polling import Deadline

_GOODBYE_S = 0.5
_HAS_STATUSES = not neo4j.__version__.startswith("5.")  # before 6 they were a preview, and a warning
_COUNTERS = (
    *("nodes_created", "nodes_deleted", "relationships_created", "relationships_deleted", "properties_set"),
    *("labels_added", "labels_removed", "indexes_added", "indexes_removed"),
    *("constraints_added", "constraints_removed", "system_updates"),
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What drivers are pooled by; *tls* is None in the clear."""

    address: Address
    tls: TLSOptions | None


@dataclass(frozen=True, slots=True)
class Notification:
    """What the server said beside its answer: of a label that is not there, of old syntax."""

    severity: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one statement brought back."""

    outcome: Outcome
    counters: Mapping[str, int]
    query_type: str | None
    database: str | None
    notifications: tuple[Notification, ...]

    @property
    def changes(self) -> bool:
        """Whether the statement is one that changes data, or the schema."""
        return self.query_type in ("w", "rw", "s")

    @property
    def warnings(self) -> tuple[str, ...]:
        """The texts of the notifications that are warnings."""
        return tuple(each.text for each in self.notifications if each.severity == "WARNING")


class _TakenNotifications(logging.Filter):
    """Keeps the driver from logging what it returns as well, for each look of a step again; others' log lines stay."""

    def __init__(self) -> None:
        super().__init__()
        self.local = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self.local, "asking", False)


_TAKEN = _TakenNotifications()
logging.getLogger("neo4j.notifications").addFilter(_TAKEN)


class Client:
    """A driver of its own; its methods are called inside ``bounded_by``. *is_new*: the server has answered nothing."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._address = address = endpoint.address
        self._sockets = Sockets(None if endpoint.tls is None else tls_context(endpoint.tls))
        self._driver = neo4j.GraphDatabase.driver(
            address.url,
            auth=None if address.username is None else (address.username, address.password or ""),
            ssl_context=self._sockets,  # type: ignore[arg-type]
            resolver=self._sockets.resolve,  # type: ignore[arg-type]
            telemetry_disabled=True,
        )
        self.is_new = True

    @property
    def is_alive(self) -> bool:
        """Whether its connections look usable."""
        return self._sockets.are_quiet

    def close(self) -> None:
        """Say goodbye and close; a server that does not listen is not waited for."""
        with bounded_by(Deadline.after(_GOODBYE_S, "")), suppress(Neo4jError, DriverError, OSError):
            self._driver.close()
        self._sockets.cut()

    def run(self, text: str, params: Mapping[str, Any], database: str | None, deadline: Deadline) -> Answer:
        """Run one statement in a transaction of its own, which the server ends at *deadline*, too.

        Raises:
            Neo4jError, DriverError, OSError: As the driver does.
        """
        _TAKEN.local.asking = True
        try:
            return self._run(text, params, database, deadline)
        finally:
            _TAKEN.local.asking = False

    def _run(self, text: str, params: Mapping[str, Any], database: str | None, deadline: Deadline) -> Answer:
        self._sockets.deadline, self._sockets.failure = deadline, None
        left_s = deadline.remaining()
        session = self._driver.session(
            database=database,
            fetch_size=-1,
            connection_acquisition_timeout=max(left_s, 0.001),  # 0 is refused
        )
        query = neo4j.Query(text, timeout=None if left_s == inf else max(left_s, 0.001))
        try:
            answer = _answer(session.run(query, dict(params)))
        except Neo4jError:  # the server answered, and the connection can be used again
            self.is_new = False
            with suppress(Neo4jError, DriverError, OSError):
                session.close()
            raise
        except BaseException as exc:
            if isinstance(exc, DriverError) and self._address.routing:
                self._explain(exc)
            # without this, closing would first wait for the rest of the answer
            self._sockets.cut()
            with suppress(Neo4jError, DriverError, OSError):
                session.close()
            raise
        session.close()
        self.is_new = False
        return answer

    def _explain(self, error: DriverError) -> None:
        """Give *error* a cause, if it has none: of a cluster that cannot be reached the driver does not tell why."""
        cause: BaseException | None = self._sockets.failure
        if cause is None and error.__cause__ is None:
            try:
                connect(self._address.host, self._address.port).close()
            except OSError as exc:
                cause = exc
        error.__cause__ = error.__cause__ or cause


def _answer(result: neo4j.Result) -> Answer:
    names = tuple(result.keys())
    rows = [dict(zip(names, map(value_to_json, record), strict=False)) for record in result]
    summary = result.consume()
    counters = {name: getattr(summary.counters, name) for name in _COUNTERS}
    return Answer(
        outcome=Outcome(columns=names, rows=rows, affected=_affected(counters)),
        counters=counters,
        query_type=summary.query_type,
        database=summary.database,
        notifications=tuple(_notifications(summary)),
    )


def _affected(counters: Mapping[str, int]) -> int:
    return sum(count for name, count in counters.items() if name.startswith(("nodes_", "relationships_")))


def _notifications(summary: neo4j.ResultSummary) -> Iterator[Notification]:
    if _HAS_STATUSES:
        for status in summary.gql_status_objects:
            if status.is_notification:
                yield Notification(str(status.raw_severity), status.status_description.removeprefix("warn: "))
        return
    given: Iterable[Any] = summary.summary_notifications
    for each in given:
        yield Notification(str(each.raw_severity_level), each.description)
