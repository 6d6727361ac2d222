"""``database_query`` on SQLite: values, results, files, time-outs, and what is said when it fails."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    ActionTimeoutError,
    TargetError,
    TargetUnavailableError,
)
from pytest_testmesh.integrations.database import database_query
from pytest_testmesh.integrations.database.sqlite_failures import BY_EXCEPTION, find_row
from pytest_testmesh.polling import NEVER, Deadline

NASTY = {
    "injection": "Robert'); DROP TABLE people;--",
    "quotes": "' \" ` [ ] \\",
    "placeholders": "? $1 :name %s",
    "a NUL character": "a\0b",
    "emoji": "🌍 e\u0301",
    "empty": "",
    "a megabyte": "é'" * 500_000,
}
EXCEPTIONS = [each for each in vars(sqlite3).values() if isinstance(each, type) and issubclass(each, Exception)]
FOR_EVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture(autouse=True)
def end_of_the_flow(steps: Any) -> Iterator[None]:
    """Close the databases in memory, as the end of a run does."""
    yield
    steps.item.close()


@pytest.fixture
def query(steps: Any) -> Callable[..., Any]:
    """``query("SELECT 1", ...)`` runs one step on ``sqlite:///shop.db``."""

    def run(text: str, *params: Any, deadline: Deadline = NEVER, **config: Any) -> Any:
        if params:
            config["params"] = list(params)
        return database_query({"connection": "sqlite:///shop.db", "query": text, **config}, steps.context(deadline))

    return run


@pytest.fixture
def people(query: Callable[..., Any]) -> Callable[..., Any]:
    """A database with a table ``people``; runs steps as `query` does."""
    query(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT UNIQUE, size REAL NOT NULL DEFAULT 0 CHECK (size >= 0))"
    )
    return query


@pytest.mark.parametrize("value", NASTY.values(), ids=NASTY)
@pytest.mark.parametrize(
    ("placeholder", "bound"),
    [
        ("?", lambda value: {"params": [value]}),
        ("$1", lambda value: {"params": [value]}),
        ("?1", lambda value: {"params": [value]}),
        (":n", lambda value: {"params": {"n": value}}),
        (":n", lambda value: {"named_params": {"n": value}}),
        ("?", lambda value: {"params": [value], "transaction": True}),
    ],
    ids=["?", "$1", "?1", "params by name", "named_params", "transaction"],
)
def test_any_text_is_stored_and_read_back(
    people: Callable[..., Any], tmp_path: Path, placeholder: str, bound: Callable[[str], dict[str, Any]], value: str
) -> None:
    people(f"INSERT INTO people (name) VALUES ({placeholder})", **bound(value))
    found = people(f"SELECT name FROM people WHERE name = {placeholder} AND '100%' LIKE '%'", **bound(value))
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        seen = shop.execute("SELECT name FROM people").fetchall()

    assert [{"name": value}] == found["rows"]
    assert [(value,)] == seen


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_bound_and_filled_in_text_comes_back(steps: Any, value: str) -> None:
    steps.scope.define_env("x", value, "env")
    config = {"connection": "sqlite://", "query": "SELECT ? AS bound, '${x}' AS filled", "params": [value]}

    assert {"bound": value, "filled": value} == database_query(config, steps.context())["first_row"]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("5, -9223372036854775808, 1.5, 10.0", [5, -9223372036854775808, 1.5, 10.0]),
        ("'00123', 'x', NULL", ["00123", "x", None]),
        ("9e999, -9e999", ["Infinity", "-Infinity"]),
        ("x'68c3a9', x'ff00'", ["hé", "/wA="]),
        ("CAST(x'ff' AS TEXT)", ["/w=="]),
        ("true, date('2024-01-31')", [1, "2024-01-31"]),
    ],
)
def test_values_become_json(query: Callable[..., Any], sql: str, expected: list[Any]) -> None:
    assert expected == list(query(f"SELECT {sql}", connection="sqlite://")["first_row"].values())


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), (True, 1), (5, 5), (1.5, 1.5), ([1, "é"], '[1, "é"]'), ({"a": 1}, '{"a": 1}')]
)
def test_values_of_each_kind_are_bound(query: Callable[..., Any], value: Any, expected: Any) -> None:
    assert {"x": expected} == query("SELECT ? AS x", value, connection="sqlite://")["first_row"]


def test_a_result_has_rows_counts_and_the_kind_of_statement(people: Callable[..., Any]) -> None:
    inserted = people("INSERT INTO people (name, size) VALUES ('a', 1), ('b', 2)")
    found = people("WITH tall AS (SELECT * FROM people WHERE size > ?) SELECT id, name FROM tall", 1)
    changed = people("UPDATE people SET size = 3 RETURNING name")
    nothing = people("SELECT * FROM people WHERE false")

    assert ("INSERT", 2, 0, []) == tuple(inserted[key] for key in ("query_type", "rows_affected", "row_count", "rows"))
    assert ("SELECT", 1, 1, {"id": 2, "name": "b"}, ["id", "name"], 0) == tuple(
        found[key] for key in ("query_type", "row_count", "count", "first_row", "columns", "rows_affected")
    )
    assert ("UPDATE", 2, 2) == tuple(changed[key] for key in ("query_type", "rows_affected", "row_count"))
    assert ([], None, 0) == tuple(nothing[key] for key in ("rows", "first_row", "row_count"))


def test_a_repeated_column_is_not_lost(query: Callable[..., Any]) -> None:
    assert [{"a": 1, "a_2": 2}] == query("SELECT 1 AS a, 2 AS a", connection="sqlite://")["rows"]


def test_a_script_runs_its_statements_in_order(query: Callable[..., Any]) -> None:
    result = query(
        """
        CREATE TABLE t (a, b);  -- with ; in a comment
        CREATE TRIGGER log AFTER INSERT ON t BEGIN UPDATE t SET b = 'x;y' WHERE a = new.a; END;
        INSERT INTO t (a) VALUES (?);
        SELECT * FROM t WHERE a = ?;
        """,
        5,
        5,
    )

    assert [{"a": 5, "b": "x;y"}] == result["rows"]


def test_all_of_a_transaction_or_nothing(people: Callable[..., Any]) -> None:
    with pytest.raises(TargetError, match="UNIQUE"):
        people("INSERT INTO people (name) VALUES ('a'); INSERT INTO people (name) VALUES ('a')", transaction=True)
    before = people("SELECT * FROM people")["row_count"]
    people("INSERT INTO people (name) VALUES ('a'); INSERT INTO people (name) VALUES ('b')", transaction=True)

    assert (0, 2) == (before, people("SELECT * FROM people")["row_count"])


def test_a_transaction_left_open_is_undone_and_told(people: Callable[..., Any]) -> None:
    with pytest.raises(ActionConfigError, match="left a transaction open"):
        people("BEGIN; INSERT INTO people (name) VALUES ('a')")

    assert 0 == people("SELECT * FROM people")["row_count"]


def test_a_path_is_relative_to_the_flow(people: Callable[..., Any], tmp_path: Path) -> None:
    people("INSERT INTO people (name) VALUES ('a')")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        assert [("a",)] == connection.execute("SELECT name FROM people").fetchall()

    for url in (f"sqlite:///{tmp_path}/shop.db", "sqlite+pysqlite:///./shop.db"):
        assert 1 == people("SELECT * FROM people", connection=url)["row_count"]
    assert 1 == people("SELECT * FROM people", connection={"type": "sqlite", "database": "shop.db"})["row_count"]


def test_a_database_in_memory_is_kept_for_one_run_of_a_flow(steps: Any, query: Callable[..., Any]) -> None:
    query("CREATE TABLE t (a)", connection="sqlite:///:memory:")
    assert 0 == query("SELECT * FROM t", connection="sqlite://")["row_count"]
    steps.item.close()
    steps.next_item()

    with pytest.raises(TargetError, match="no such table: t"):
        query("SELECT * FROM t", connection="sqlite:///:memory:")


def test_a_file_that_was_made_anew_is_opened_anew(people: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "shop.db").unlink()
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE people (new)")

    assert [] == people("SELECT new FROM people")["rows"]


def test_a_missing_file_is_told_and_not_made(query: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(TargetUnavailableError) as caught:
        query("SELECT 1", connection="sqlite:///shpo.db")

    assert f"sqlite:///shpo.db: there is no file {tmp_path / 'shpo.db'}" == caught.value.message
    assert "relative to the flow's folder" in (caught.value.hint or "")
    assert not (tmp_path / "shpo.db").exists()


def test_read_only(people: Callable[..., Any]) -> None:
    read_only = "sqlite:///shop.db?mode=ro"
    assert 0 == people("SELECT * FROM people", connection=read_only)["row_count"]
    with pytest.raises(TargetError, match="attempt to write a readonly database"):
        people("DELETE FROM people", connection=read_only)


@pytest.mark.parametrize(
    ("sql", "code", "message", "hint"),
    [
        ("SELEC 1", "SYNTAX_ERROR", 'near "SELEC": syntax error (column 1)', None),
        ("SELECT *\n FORM people", "SYNTAX_ERROR", 'near "FORM": syntax error (line 2, column 2)', None),
        ("SELECT (1", "SYNTAX_ERROR", "incomplete input", None),
        ("SELECT nme FROM people", "UNDEFINED_COLUMN", "no such column: nme (column 8)", "did you mean name?"),
        ("INSERT INTO people (nam) VALUES (1)", "UNDEFINED_COLUMN", "has no column named nam", "did you mean name?"),
        ("SELECT * FROM pepole", "UNDEFINED_TABLE", "no such table: pepole (column 15)", "did you mean people?"),
        ("SELECT * FROM xyz", "UNDEFINED_TABLE", "no such table: xyz", "tables there: people"),
        ("SELECT nofn(1)", "UNDEFINED_FUNCTION", "no such function: nofn (column 8)", None),
        ("INSERT INTO people (name) VALUES ('a')", "UNIQUE_VIOLATION", "UNIQUE constraint failed: people.name", None),
        (
            "INSERT INTO people (size) VALUES (NULL)",
            "NOT_NULL_VIOLATION",
            "NOT NULL constraint failed: people.size",
            None,
        ),
        ("INSERT INTO people (size) VALUES (-1)", "CHECK_VIOLATION", "CHECK constraint failed", None),
        ("CREATE TABLE people (a)", "DUPLICATE_TABLE", "table people already exists", "IF NOT EXISTS"),
        ("SELECT @x", "CONFIG_ERROR", "", "write placeholders as ?, $1 or :name"),
    ],
)
def test_a_refused_statement(people: Callable[..., Any], sql: str, code: str, message: str, hint: str | None) -> None:
    people("INSERT INTO people (name) VALUES ('a')")
    with pytest.raises(ActionError) as caught:
        people(sql)

    assert caught.value.message.startswith("sqlite:///shop.db: ")
    assert message in caught.value.message
    assert (code, hint is None or hint in (caught.value.hint or "")) == (caught.value.code, True)


def test_a_table_that_no_step_made_yet(query: Callable[..., Any]) -> None:
    with pytest.raises(TargetError) as caught:
        query("SELECT * FROM people", connection="sqlite://")

    assert "there is no table yet: does a step create it?" == caught.value.hint


def test_a_report_shows_the_place_of_an_error(people: Callable[..., Any], steps: Any) -> None:
    with pytest.raises(TargetError):
        people("SELECT *\n  FORM people\nWHERE id = ?", 5)

    assert "SELECT *\n  FORM people\n  ^\nparams [5]" == steps.exchange.sent()


def test_a_report_tells_statement_values_and_rows(people: Callable[..., Any], steps: Any) -> None:
    people("INSERT INTO people (name) VALUES ('a'), ('b'), ('c'), ('d')")
    people("SELECT name\nFROM people WHERE id > ?", 0)

    assert "SELECT name FROM people WHERE id > ?  params [0]" == steps.exchange.sent()
    expected = '4 rows  {"name": "a"}  {"name": "b"}  {"name": "c"}  ... 1 more in '
    assert steps.exchange.received().startswith(expected)


@pytest.mark.parametrize(
    ("value", "message"), [(2**63, "too large"), ("\ud800", "surrogates not allowed")], ids=["integer", "text"]
)
def test_values_that_sqlite_cannot_hold(query: Callable[..., Any], value: Any, message: str) -> None:
    with pytest.raises(ActionConfigError, match=message):
        query("SELECT ?", value, connection="sqlite://")


@pytest.mark.parametrize(
    ("connection", "message", "hint"),
    [
        ("sqlite://shop.db", "has a slash too few", "sqlite:///shop.db"),
        ("sqlite:shop.db", "names no SQLite database", "sqlite:///shop.db"),
        ("sqlite:///shop.db?cache=shared", "SQLite has no option cache", "?mode=ro"),
        ("sqlite:///shop.db?mode=rx", "SQLite has no option mode=rx", "?mode=ro"),
        ("sqlite:///a\0b", "a path cannot hold a NUL character", None),
        ("mysql://root@localhost/shop", "mysql is not supported", "PostgreSQL (postgresql://...) and SQLite"),
        ({"type": "mongodb", "database": "shop"}, "mongodb is not supported", "others need a plugin"),
    ],
)
def test_a_wrong_connection(query: Callable[..., Any], connection: Any, message: str, hint: str | None) -> None:
    with pytest.raises(ActionConfigError) as caught:
        query("SELECT 1", connection=connection)

    assert message in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("path", "hint"), [("folder", "is a folder"), ("nowhere/shop.db", "there is no folder")], ids=["folder", "nowhere"]
)
def test_a_file_that_cannot_be_opened(query: Callable[..., Any], tmp_path: Path, path: str, hint: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(TargetUnavailableError, match="unable to open database file") as caught:
        query("CREATE TABLE t (a)", connection=f"sqlite:///{path}")

    assert hint in (caught.value.hint or "")


def test_a_file_that_is_no_database(query: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_text("these are just words, " * 100)
    with pytest.raises(TargetError, match="file is not a database"):
        query("SELECT 1 FROM t")


@pytest.mark.parametrize("after_s", [0, 0.3], ids=["over", "left"])
def test_a_slow_statement_ends_at_the_deadline(people: Callable[..., Any], after_s: float) -> None:
    """Also one that has not begun when the time is up."""
    for _ in range(10 if after_s == 0 else 1):
        with pytest.raises(ActionTimeoutError) as caught:
            people(FOR_EVER, deadline=Deadline.after(after_s, "step timeout"))

    assert "waiting for the statement (step timeout)" in caught.value.message
    assert [] == people("SELECT * FROM people")["rows"]


def test_a_lock_of_another_connection(people: Callable[..., Any], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ActionTimeoutError) as caught:
            people("INSERT INTO people (name) VALUES ('a')", timeout="1s")

    assert "waiting for another connection to release its lock (timeout 1s" in caught.value.message


def test_a_lock_that_is_released_in_time_is_waited_for(people: Callable[..., Any], tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        timer = threading.Timer(0.2, other.rollback)
        timer.start()
        assert 1 == people("INSERT INTO people (name) VALUES ('a')")["rows_affected"]
        timer.join()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, LookupError], ids=["Ctrl-C", "pytest-timeout"])
def test_what_interrupts_a_step_ends_its_statement(
    people: Callable[..., Any], interruption: type[BaseException]
) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise interruption

    def work() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.2)  # on a busy machine it may be over before the step begins
        people(FOR_EVER)

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(interruption):
            work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)

    assert [] == people("SELECT * FROM people")["rows"]


def test_a_child_process_has_a_connection_of_its_own(people: Callable[..., Any]) -> None:
    people("INSERT INTO people (name) VALUES ('a')")
    child = os.fork()
    if not child:
        os._exit(people("SELECT * FROM people")["row_count"])

    assert 1 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert 1 == people("SELECT * FROM people")["row_count"]


@pytest.mark.parametrize("exception", EXCEPTIONS, ids=lambda each: each.__name__)
def test_every_error_of_sqlite_has_a_row(exception: type[Exception]) -> None:
    assert issubclass(find_row(exception("some words")).error, ActionError)
    assert any(kind in BY_EXCEPTION for kind in exception.__mro__)


def test_no_driver_is_imported_by_a_run_that_needs_none() -> None:
    code = (
        "import sys; from pytest_testmesh.integrations import *; from pytest_testmesh.actions import ActionRegistry; "
        "from pytest_testmesh.integrations import register_builtins; register_builtins(ActionRegistry()); "
        "assert not {'psycopg2', 'sqlite3'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sqlite_needs_no_postgresql_driver(tmp_path: Path, pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("shop.yaml").write_text(FLOW, encoding="utf-8")
    code = "import sys; sys.modules['psycopg2'] = None; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "-p", "no:cacheprovider", "-W", "error"], cwd=pytester.path, capture_output=True,
        text=True,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout


FLOW = """\
flow:
  name: Orders are kept
  setup:
    - action: database_query
      config:
        connection: sqlite:///shop.db
        query: |
          CREATE TABLE orders (id INTEGER PRIMARY KEY, sku TEXT, state TEXT);
          INSERT INTO orders (sku, state) VALUES ('00123', 'NEW'), ('mug', 'PAID');
  steps:
    - id: first
      action: database_query
      config: {connection: "sqlite:///shop.db", query: SELECT * FROM orders WHERE state = ?, params: [NEW]}
      assert: [row_count == 1, "rows[0].sku == '00123'", "query_type == 'SELECT'"]
      output: {sku: "$.rows[0].sku"}
    - action: database_query
      config: {connection: "sqlite:///shop.db", query: "SELECT id FROM orders WHERE sku = '{{sku}}'"}
      assert: ["first_row.id == first.rows[0].id"]
    - action: database_query
      config: {connection: "sqlite:///shop.db", query: "UPDATE orders SET state = 'SENT'"}
      assert: [rows_affected == 2]
    - action: db_poll
      config:
        connection: {type: sqlite, database: shop.db}
        query: SELECT state FROM orders WHERE sku = :sku
        params: {sku: mug}
        column: state
        expected_value: SENT
      assert: [success, attempts == 1]
"""
