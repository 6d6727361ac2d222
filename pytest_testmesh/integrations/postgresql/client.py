"""Work on a pooled connection: statements in, JSON out, psycopg2's errors as ours, the exchange for the report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._clients import ClientPool
from pytest_testmesh.integrations._durations import own_deadline
from pytest_testmesh.integrations.postgresql.connection import Connection
from pytest_testmesh.integrations.postgresql.failures import MAPPED, failure
from pytest_testmesh.integrations.postgresql.literals import Composed, compose
from pytest_testmesh.integrations.postgresql.target import Target, find_target
from pytest_testmesh.integrations.sql.outcome import Outcome, Received, Sent, caret, place_in
from pytest_testmesh.integrations.sql.statement import Statement
from pytest_testmesh.polling import Deadline
from pytest_testmesh.units import format_duration

Pool = ClientPool[Target, Connection]


def _make_pool() -> Pool:
    return ClientPool(
        Connection.open,
        is_alive=lambda connection: connection.is_alive,
        close=Connection.close,
        survives=lambda connection, error: connection.is_idle,
    )


class Client:
    """One step's work on one connection; remembers what was sent and what came back."""

    def __init__(self, connection: Connection, target: Target, context: ActionContext, deadline: Deadline) -> None:
        self.connection = connection
        self.deadline = deadline
        self.started = time.perf_counter()
        self._target = target
        self._context = context
        self._sent: list[tuple[str, Any]] = []
        self._outcomes: list[Outcome] = []

    @property
    def duration_ms(self) -> int:
        """Milliseconds since the work began."""
        return round((time.perf_counter() - self.started) * 1000)

    def restart(self, deadline: Deadline) -> None:
        """Forget what was sent: what follows, until *deadline*, is another try of the same."""
        self.deadline = deadline
        self._sent.clear()
        self._outcomes.clear()

    def run(self, statement: Statement) -> Outcome:
        """Run one statement.

        Raises:
            ActionError: It failed; says where in the statement.
        """
        self._sent.append((statement.text, statement.params))
        self._context.exchange.sent = Sent(tuple(self._sent), self._target.shown)
        composed = compose(statement.pieces, self.connection.raw)
        try:
            outcome = self.connection.execute(composed.text, self.deadline)
        except MAPPED as exc:
            offset = _offset(exc, composed)
            waited = format_duration(time.perf_counter() - self.started)
            if offset is not None:
                self._context.exchange.sent = Sent(tuple(self._sent), self._target.shown, caret(statement.text, offset))
            raise failure(exc, self._target, self.deadline, waited, place_in(statement.text, offset)) from exc
        self._outcomes.append(outcome)
        self._context.exchange.received = Received(tuple(self._outcomes), self.duration_ms)
        return outcome

    def json_columns(self, table: str) -> frozenset[str]:
        """Return the columns of type json or jsonb of *table*, a quoted name."""
        with self._mapped():
            return self.connection.json_columns(table, self.deadline)

    def check_no_transaction(self) -> None:
        """Refuse what a pooled connection cannot keep: a transaction that goes on after the step."""
        if not self.connection.is_idle:
            self.connection.rollback()
            raise ActionConfigError(
                "the step left a transaction open, which was undone",
                hint="postgresql.transaction runs all its statements in one",
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block does, or nothing of it."""
        with self._mapped():
            self.connection.begin(self.deadline)
        yield
        with self._mapped():
            self.connection.commit(self.deadline)

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except MAPPED as exc:
            waited = format_duration(time.perf_counter() - self.started)
            raise failure(exc, self._target, self.deadline, waited) from exc


@contextmanager
def connected(config: Mapping[str, Any], context: ActionContext) -> Iterator[Client]:
    """Lend a connection to the database that a step's config means, until its ``timeout``."""
    deadline = own_deadline(config, context.deadline, "the statement")
    with connected_to(find_target(config, context), context, deadline) as client:
        yield client


@contextmanager
def connected_to(
    target: Target, context: ActionContext, deadline: Deadline, connect_s: float = inf
) -> Iterator[Client]:
    """Lend a connection to *target*, made within *connect_s*; whatever the block leaves open is undone.

    Raises:
        ActionError: No connection.
    """
    pool = context.session.get(Connection, _make_pool, ClientPool.close)
    started = time.perf_counter()
    limit = deadline.earlier(Deadline.after(connect_s, "timeout of the connection"))
    try:
        with pool.lend(target, limit) as connection:
            limit = deadline
            connection.claim(context.execution_id, deadline)
            client = Client(connection, target, context, deadline)
            try:
                yield client
                client.check_no_transaction()
            finally:
                connection.rollback()
                for notice in connection.notices():
                    context.log(notice)
    except MAPPED as exc:
        waited = format_duration(time.perf_counter() - started)
        raise failure(exc, target, limit, waited) from exc


def _offset(exc: BaseException, composed: Composed) -> int | None:
    position = getattr(getattr(exc, "diag", None), "statement_position", None)
    return None if position is None else composed.author_offset(int(position) - 1)


def all_rows(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return each outcome as a step's result lists it."""
    return [{"rowCount": each.row_count, "row_count": each.row_count, "rows": each.rows} for each in outcomes]
