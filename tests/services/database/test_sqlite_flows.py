"""``database_query`` and ``db_poll`` on SQLite in flows, looked at from the other side with Python's sqlite3."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from itertools import repeat
from typing import Any

import pytest

from pytest_testmesh.polling import Deadline, attempts


@pytest.fixture
def run(flows: Any) -> Callable[[str], Any]:
    """Run one flow; its databases lie beside it."""
    return lambda name: flows.run(str(flows.add(f"database/{name}.yaml")))


def test_rows_are_written_and_read(flows: Any, run: Callable[[str], Any]) -> None:
    done = run("sqlite")
    with closing(sqlite3.connect(flows.folder / "database/shop.db")) as shop:
        rows = shop.execute("SELECT sku, total, state FROM orders").fetchall()

    assert {"passed": 1} == done.outcomes, done.text
    assert [("00123", 25, "NEW"), ("mug", 7.5, "PAID")] == rows


def test_what_another_process_writes_is_waited_for(flows: Any) -> None:
    flow = flows.add("database/poll.yaml")
    with closing(sqlite3.connect(flow.with_name("jobs.db"), timeout=20, isolation_level=None)) as jobs:
        jobs.executescript("CREATE TABLE asked (n); CREATE TABLE jobs (id, state); INSERT INTO jobs VALUES (1, 'NEW')")
        running = flows.start(str(flow))
        for _ in attempts(repeat(0.02), Deadline.after(30, "start")):
            if jobs.execute("SELECT * FROM asked").fetchall():
                break
        time.sleep(0.5)  # the flow polls meanwhile
        jobs.execute("UPDATE jobs SET state = 'DONE'")
    done = flows.finish(running)

    assert {"passed": 1} == done.outcomes, done.text
