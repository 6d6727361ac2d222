"""``database_query`` and ``db_poll`` at work; their configs and results: this package's ``__init__``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionTimeoutError
from pytest_testmesh.integrations._durations import duration_s, own_deadline
from pytest_testmesh.integrations._within import look_deadline
from pytest_testmesh.integrations.database.backends import find_database
from pytest_testmesh.integrations.database.checks import check_poll_config
from pytest_testmesh.integrations.database.conditions import Condition, read_conditions, row_exists
from pytest_testmesh.integrations.sql.lexer import Dialect, first_word
from pytest_testmesh.integrations.sql.outcome import Outcome
from pytest_testmesh.integrations.sql.statement import Statement, read_query
from pytest_testmesh.polling import Deadline, attempts
from pytest_testmesh.units import format_duration


def database_query(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Run the query once, or with ``poll`` until there is a row.

    Raises:
        ActionConfigError: The connection, the placeholders or the values are wrong.
        TargetUnavailableError, TargetError: No connection; the database refused the statement.
        ActionTimeoutError: The time was up.
    """
    database = find_database(config, context)
    statement = read_query(config, database.dialect, context)
    poll = _poll_of(config)
    look = _Look(statement, database.dialect, config, context)
    if poll is not None:
        poller = _Poller(poll, context, [row_exists()], "poll")
        deadline = look.deadline(poller.end)
        with database.opened(statement, context, deadline, transaction=bool(config.get("transaction"))) as run:
            return poller.until(lambda: look.result(run(look.deadline(poller.end))))
    deadline = look.deadline()
    with database.opened(statement, context, deadline, transaction=bool(config.get("transaction"))) as run:
        return look.result(run(deadline))


def _poll_of(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    poll = config.get("poll", False)
    if isinstance(poll, bool):
        return {} if poll else None
    return poll if poll.get("enabled", True) else None


def db_poll(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Run the query until its conditions hold.

    Raises:
        ActionConfigError: As `database_query`, or a condition is wrong.
        ActionTimeoutError: They did not hold in time; tells what was there.
    """
    check_poll_config(config)
    database = find_database(config, context)
    statement = read_query(config, database.dialect, context)
    look = _Look(statement, database.dialect, {}, context)
    poller = _Poller(config, context, read_conditions(config, context), "db_poll")
    with database.opened(statement, context, look.deadline(poller.end), transaction=False) as run:
        result = poller.until(lambda: look.result(run(look.deadline(poller.end))))
    return {"success": True, **result}


class _Look:
    """One query as a result."""

    def __init__(
        self, statement: Statement, dialect: Dialect, config: Mapping[str, Any], context: ActionContext
    ) -> None:
        self._query_type = first_word(statement.text, dialect)
        self._config = config
        self._context = context
        self._started = time.perf_counter()

    def deadline(self, end: Deadline | None = None) -> Deadline:
        """Return when the query that starts now must end: not long after *end* of the poll that it belongs to."""
        self._started = time.perf_counter()
        return look_deadline(self._config, self._context.deadline, end)

    def result(self, outcome: Outcome) -> dict[str, Any]:
        """Return the step's result."""
        rows = outcome.rows[: self._config.get("max_rows")]
        return {
            "rows": rows,
            "row_count": len(rows),
            "count": len(rows),
            "first_row": rows[0] if rows else None,
            "columns": list(outcome.columns),
            "rows_affected": outcome.affected,
            "query_type": self._query_type,
            "duration_ms": round((time.perf_counter() - self._started) * 1000),
            "attempts": 1,
        }


class _Poller:
    """Asks again until conditions hold or the time is up."""

    def __init__(
        self, config: Mapping[str, Any], context: ActionContext, conditions: list[Condition], name: str
    ) -> None:
        self.end = own_deadline(config, context.deadline, name)
        self._conditions = conditions
        interval_s = duration_s(config, "interval", "1s")
        limit = config.get("max_attempts")
        self._pauses = repeat(interval_s) if limit is None else repeat(interval_s, limit - 1)
        self._started = time.monotonic()

    def until(self, look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the first result of which the conditions hold.

        Raises:
            ActionTimeoutError: There was none.
        """
        number, problem, last = 0, "", None  # type: int, str, dict[str, Any] | None
        for number in attempts(self._pauses, self.end):
            try:
                last = look()
            except ActionTimeoutError:
                if last is None:
                    raise
                break
            problem = next((found for each in self._conditions if (found := each(last))), "")
            if not problem:
                return {**last, "attempts": number, "duration_ms": self._waited_ms()}
        raise self._gave_up(number, problem)

    def _waited_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)

    def _gave_up(self, number: int, problem: str) -> ActionTimeoutError:
        waited = format_duration(time.monotonic() - self._started)
        cause = f"; {self.end.cause}" if self.end.passed and self.end.cause else ""
        looks = f"{number} quer{'y' if number == 1 else 'ies'}"
        return ActionTimeoutError(
            f"waited {waited}: {problem} ({looks}{cause})", hint="`received` above is what the last query found"
        )
