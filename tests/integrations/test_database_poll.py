"""``db_poll``, and ``poll`` of ``database_query``: what is waited for, and what is said when it does not come."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from pytest_testmesh.errors import ActionConfigError, ActionTimeoutError, TargetError, UndefinedNameError
from pytest_testmesh.integrations.database import database_query, db_poll
from pytest_testmesh.polling import NEVER, Deadline, attempts

ROWS = "SELECT * FROM jobs"


@pytest.fixture
def jobs(tmp_path: Path) -> Callable[[str], None]:
    """A table of jobs; runs a statement on it, as the system under test would."""

    def change(statement: str) -> None:
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
            connection.execute(statement)

    change("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state TEXT)")
    return change


@pytest.fixture
def poll(steps: Any, jobs: Callable[[str], None]) -> Callable[..., Any]:
    """``poll("SELECT ...", ...)`` runs one ``db_poll`` step."""

    def run(query: str, deadline: Deadline = NEVER, **config: Any) -> Any:
        config = {"interval": "20ms", "timeout": "60s", **config}
        return db_poll({"connection": "sqlite:///jobs.db", "query": query, **config}, steps.context(deadline))

    return run


@pytest.fixture
def after_a_look(steps: Any) -> Iterator[Callable[..., None]]:
    """``after_a_look(change, ...)`` calls it, from another thread, once a query found something else."""
    threads: list[threading.Thread] = []

    def start(change: Callable[..., None], *args: Any) -> None:
        def act() -> None:
            for _ in attempts(repeat(0.01), Deadline.after(20, "look")):
                if steps.exchange.received is not None:
                    break
            change(*args)

        threads.append(threading.Thread(target=act))
        threads[-1].start()

    yield start
    for each in threads:
        each.join()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"condition": {"type": "row_exists"}},
        {"condition": {"type": "row_count", "min_count": 2}},
        {"condition": {"type": "row_count", "value": 2}},
        {"condition": {"type": "row_value", "column": "state", "value": "DONE"}},
        {"condition": {"type": "value_equals", "column": "id", "value": 2}},
        {"condition": {"type": "value_not_null", "column": "state"}},
        {"condition": "row_count == 2 and rows[1].state == 'DONE'"},
        {"condition": "first_row.id == 1"},
        {"column": "state", "expected_value": "DONE"},
        {"expected_rows": 2},
        {"column": "state", "expected_value": "DONE", "expected_rows": 2, "condition": "id == 1"},
    ],
    ids=str,
)
def test_a_condition_that_holds_ends_the_poll(
    poll: Callable[..., Any], jobs: Callable[[str], None], config: dict[str, Any]
) -> None:
    jobs("INSERT INTO jobs (state) VALUES ('NEW'), ('DONE')")
    result = poll(ROWS, **config)

    assert (True, 1, 2) == tuple(result[key] for key in ("success", "attempts", "row_count"))
    assert {"id": 1, "state": "NEW"} == result["first_row"]


def test_what_comes_later_is_seen(
    poll: Callable[..., Any], jobs: Callable[[str], None], after_a_look: Callable[..., None]
) -> None:
    jobs("INSERT INTO jobs (state) VALUES ('NEW')")
    after_a_look(jobs, "UPDATE jobs SET state = 'DONE'")
    result = poll("SELECT state FROM jobs WHERE id = ?", params=[1], column="state", expected_value="DONE")

    assert result["attempts"] > 1
    assert {"state": "DONE"} == result["first_row"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "the query returned no rows"),
        ({"condition": {"type": "row_count", "min_count": 3}}, "the query returned no rows, not 3 or more"),
        ({"expected_rows": 0, "query": "SELECT 1"}, "the query returned 1 row, not 0"),
        ({"column": "id", "expected_value": 5}, "the query returned no rows"),
        ({"column": "a", "expected_value": "5", "query": "SELECT 5 AS a"}, 'a is 5, not "5"'),
        ({"condition": {"type": "value_not_null", "column": "a"}, "query": "SELECT NULL AS a"}, "a is null"),
        ({"condition": "row_count > 1"}, "row_count > 1 is false: row_count is 0"),
        ({"condition": "first_row.id == 1"}, "first_row.id == 1: first_row.id is missing"),
    ],
)
def test_a_condition_that_never_holds_is_told(poll: Callable[..., Any], config: dict[str, Any], message: str) -> None:
    with pytest.raises(ActionTimeoutError) as caught:
        poll(**{"query": ROWS, "timeout": "100ms", **config})

    assert f": {message}" in caught.value.message
    assert re.search(r"\(\d+ quer(y|ies); timeout 100ms of db_poll\)$", caught.value.message)


def test_the_number_of_queries_can_be_limited(poll: Callable[..., Any]) -> None:
    with pytest.raises(ActionTimeoutError, match=r"returned no rows \(2 queries\)"):
        poll(ROWS, max_attempts=2)


def test_the_steps_own_deadline_comes_first(poll: Callable[..., Any]) -> None:
    with pytest.raises(ActionTimeoutError, match=r"quer(y|ies); step timeout 2s\)"):
        poll(ROWS, Deadline.after(2, "step timeout 2s"))


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"condition": {"type": "row"}}, ActionConfigError, "there is no type 'row'"),
        ({"condition": {"type": "row_value", "column": "a"}}, ActionConfigError, "config.condition lacks its value"),
        ({"expected_value": 5}, ActionConfigError, "`column` and `expected_value` go together"),
        ({"column": "sate", "expected_value": 5}, ActionConfigError, "there is no column sate"),
        ({"condition": "row_count =="}, ActionConfigError, "config.condition: "),
        ({"condition": "nope == 1"}, UndefinedNameError, "nope is not defined"),
        ({"query": "SELECT * FROM job"}, TargetError, "no such table: job"),
    ],
)
def test_what_waiting_cannot_mend_is_told_at_once(
    poll: Callable[..., Any], config: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        poll(**{"query": ROWS, "timeout": "1h", **config})

    assert message in str(caught.value)


@pytest.mark.parametrize("given", [True, {}, {"enabled": True, "interval": "10ms"}], ids=str)
def test_database_query_waits_for_a_row(
    steps: Any, jobs: Callable[[str], None], after_a_look: Callable[..., None], given: Any
) -> None:
    after_a_look(jobs, "INSERT INTO jobs (state) VALUES ('NEW')")
    config = {"connection": "sqlite:///jobs.db", "query": ROWS, "poll": given}
    result = database_query(config, steps.context())

    assert (1, True) == (result["row_count"], result["attempts"] > 1)


@pytest.mark.parametrize("given", [False, {"enabled": False}], ids=str)
def test_database_query_asks_once_without_poll(steps: Any, jobs: Callable[[str], None], given: Any) -> None:
    config = {"connection": "sqlite:///jobs.db", "query": ROWS, "poll": given}

    assert (0, 1) == tuple(database_query(config, steps.context())[key] for key in ("row_count", "attempts"))


def test_database_query_tells_what_it_waited_for(steps: Any, jobs: Callable[[str], None]) -> None:
    config = {"connection": "sqlite:///jobs.db", "query": ROWS, "poll": {"timeout": "50ms", "interval": "10ms"}}
    with pytest.raises(ActionTimeoutError, match=r"returned no rows \(\d+ quer(y|ies); timeout 50ms of poll\)"):
        database_query(config, steps.context())
