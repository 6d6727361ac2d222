"""The databases that ``database_query`` and ``db_poll`` speak to, behind one way to run a statement."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from math import inf
from pathlib import Path
from typing import Any, Protocol

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionConfigError, TargetUnavailableError
from pytest_testmesh.integrations._clients import ClientPool
from pytest_testmesh.integrations._durations import duration_s
from pytest_testmesh.integrations.database.sqlite import SqliteConnection, SqliteTarget, parse_sqlite, sqlite_file
from pytest_testmesh.integrations.database.sqlite_failures import MAPPED, failure, offset_of
from pytest_testmesh.integrations.sql.lexer import Dialect, first_word
from pytest_testmesh.integrations.sql.outcome import Outcome, Received, Sent, caret, place_in
from pytest_testmesh.integrations.sql.statement import Statement
from pytest_testmesh.polling import Deadline
from pytest_testmesh.units import format_duration

Run = Callable[[Deadline], Outcome]
"""Runs the statement, once more each time, until a deadline."""


class Database(Protocol):
    """One database of a step."""

    dialect: Dialect

    def opened(
        self, statement: Statement, context: ActionContext, deadline: Deadline, *, transaction: bool
    ) -> AbstractContextManager[Run]:
        """Lend a connection for *statement*; with *transaction* all of a script is done, or nothing."""


def find_database(config: Mapping[str, Any], context: ActionContext) -> Database:
    """Return the database that ``connection`` means.

    Raises:
        ActionConfigError: None that is known.
    """
    given = config.get("connection", context.settings.get("postgresql_url"))
    if isinstance(given, Mapping):
        return _from_parts(given, context)
    if given is not None and given.startswith("sqlite"):
        return Sqlite(parse_sqlite(given, context.flow_dir))
    scheme, colon, _ = (given or "").partition("://")
    if colon and not scheme.startswith("postgres"):
        raise _unknown(scheme)
    return Postgresql({} if given is None else {"connectionString": given})


def _from_parts(given: Mapping[str, Any], context: ActionContext) -> Database:
    kind = given.get("type", "postgresql")
    if kind in ("sqlite", "sqlite3"):
        return Sqlite(sqlite_file(str(given.get("database", ":memory:")), context.flow_dir))
    if not kind.startswith("postgres"):
        raise _unknown(kind)
    config = {key: given[key] for key in ("host", "port", "database", "password", "sslmode", "timeout") if key in given}
    if "username" in given or "user" in given:
        config["user"] = given.get("username", given.get("user"))
    if "ssl" in given and "sslmode" not in given:
        config["sslmode"] = "require" if given["ssl"] else "disable"
    return Postgresql(config)


def _unknown(kind: str) -> ActionConfigError:
    return ActionConfigError(
        f"config.connection: {kind} is not supported",
        hint="PostgreSQL (postgresql://...) and SQLite (sqlite:///file.db) are; others need a plugin",
    )


class Postgresql:
    """A PostgreSQL database."""

    dialect: Dialect = "postgresql"

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config

    @contextmanager
    def opened(
        self, statement: Statement, context: ActionContext, deadline: Deadline, *, transaction: bool
    ) -> Iterator[Run]:
        """Lend the session's connection."""
        from pytest_testmesh.integrations.postgresql.client import connected_to
        from pytest_testmesh.integrations.postgresql.target import find_target

        connect_s = duration_s(self._config, "timeout", "30s") if "timeout" in self._config else inf
        with connected_to(find_target(self._config, context), context, deadline, connect_s) as client:

            def run(deadline: Deadline) -> Outcome:
                client.restart(deadline)
                if not transaction:
                    return client.run(statement)
                with client.transaction():
                    return client.run(statement)

            yield run


class Sqlite:
    """A SQLite database."""

    dialect: Dialect = "sqlite"

    def __init__(self, target: SqliteTarget) -> None:
        self._target = target

    @contextmanager
    def opened(
        self, statement: Statement, context: ActionContext, deadline: Deadline, *, transaction: bool
    ) -> Iterator[Run]:
        """Lend a connection of the session, or the one of this item's database in memory."""
        context.exchange.sent = Sent(((statement.text, statement.params),), self._target.shown)
        _check_file(self._target, statement)
        with self._lent(context, deadline) as connection:
            try:
                yield _SqliteRun(statement, connection, context, transaction)
            finally:
                connection.rollback()

    @contextmanager
    def _lent(self, context: ActionContext, deadline: Deadline) -> Iterator[SqliteConnection]:
        if self._target.path is None:
            yield context.item.get(SqliteTarget, lambda: SqliteConnection(self._target), SqliteConnection.close)
            return
        pool = context.session.get(SqliteTarget, _make_pool, ClientPool.close)
        try:
            with pool.lend(self._target, deadline) as connection:
                yield connection
        except MAPPED as exc:
            raise failure(exc, self._target, deadline, "") from exc


def _make_pool() -> ClientPool[SqliteTarget, SqliteConnection]:
    return ClientPool(
        lambda target, deadline: SqliteConnection(target),
        is_alive=lambda connection: connection.is_alive,
        close=SqliteConnection.close,
        survives=lambda connection, error: isinstance(error, Exception),
    )


class _SqliteRun:
    """Runs the statement of one step."""

    def __init__(
        self, statement: Statement, connection: SqliteConnection, context: ActionContext, transaction: bool
    ) -> None:
        self._statement = statement
        self._connection = connection
        self._context = context
        self._transaction = transaction

    def __call__(self, deadline: Deadline) -> Outcome:
        """Run it.

        Raises:
            ActionError: It failed; says where in the statement.
        """
        target, exchange, statement = self._connection.target, self._context.exchange, self._statement
        started = time.perf_counter()
        try:
            outcome = self._run(deadline)
        except MAPPED as exc:
            offset = offset_of(exc, statement.text)
            if offset is not None:
                shown = (statement.text, statement.params)
                exchange.sent = Sent((shown,), target.shown, caret(statement.text, offset))
            waited = format_duration(time.perf_counter() - started)
            place = place_in(statement.text, offset)
            raise failure(exc, target, deadline, waited, self._connection, place) from exc
        exchange.received = Received((outcome,), round((time.perf_counter() - started) * 1000))
        return outcome

    def _run(self, deadline: Deadline) -> Outcome:
        if self._transaction:
            self._connection.begin(deadline)
        outcome = self._connection.run(self._statement, deadline)
        if self._transaction:
            self._connection.commit(deadline)
        elif self._connection.in_transaction:
            raise ActionConfigError(
                "the step left a transaction open, which was undone",
                hint="`transaction: true` runs all statements of a query in one",
            )
        return outcome


def _check_file(target: SqliteTarget, statement: Statement) -> None:
    """Refuse to make a file for a statement that cannot find anything in it: its path is wrong."""
    if target.path is None or Path(target.path).exists():
        return
    if target.mode != "rwc" or first_word(statement.text, "sqlite") not in _MAKES_FILE:
        raise TargetUnavailableError(
            f"{target.shown}: there is no file {target.path}",
            hint="a path is relative to the flow's folder; a CREATE statement makes a new file",
        )


_MAKES_FILE = frozenset({"CREATE", "PRAGMA", "BEGIN"})
