"""``database_query`` steps on SQLite against the module sqlite3 doing the same calls.

A call takes some microseconds, in the same thread; a step's runs in another, so that a deadline and Ctrl-C can end it.
"""

from __future__ import annotations

from pathlib import Path

from calls import measure_calls
from harness import Figure

WHAT = "one of 1,000 database_query steps on SQLite, beyond sqlite3 doing the same call"
UNIT = "ms"
TARGET = 0.5

STEP = """\
    - action: database_query
      config:
        connection: sqlite:///../script/bench.db
        query: SELECT id, name FROM bench WHERE id = ?
        params: [{n}]
      assert: ["first_row.name == 'value {n}'"]
"""
BEFORE = """\
import sqlite3

database = sqlite3.connect("bench.db")
with database:
    database.execute("CREATE TABLE IF NOT EXISTS bench (id INTEGER PRIMARY KEY, name TEXT)")
    database.executemany("INSERT OR IGNORE INTO bench VALUES (?, ?)", [(n, f"value {n}") for n in range(COUNT)])
"""
CALL = """\
    assert database.execute("SELECT id, name FROM bench WHERE id = ?", [n]).fetchall()[0][1] == f"value {n}"
"""


def measure(folder: Path, quick: bool) -> Figure:
    """Time them."""
    return measure_calls(
        folder, quick, client="sqlite3", step=STEP, before=BEFORE, call=CALL, after="database.close()"
    ).milliseconds_more()
