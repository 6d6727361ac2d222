"""``postgresql.query`` steps against psycopg2 doing the same calls.

Both commit each statement by itself, and have the server end one that takes over 30 seconds. psycopg2's own wait has no
end where the server does not answer; the steps', in Python, has.
"""

from __future__ import annotations

from pathlib import Path

from calls import measure_calls, server
from harness import Figure

WHAT = "1,000 postgresql.query steps / psycopg2 doing the same calls"
UNIT = "x"
TARGET = 1.2

STEP = """\
    - action: postgresql.query
      config: {{query: "SELECT ?::int AS id, 'value ' || ?::int AS name", params: [{n}, {n}]}}
      assert: ["first_row.name == 'value {n}'"]
"""
BEFORE = """\
import psycopg2

connection = psycopg2.connect(os.environ["TESTMESH_POSTGRESQL_URL"], options="-c statement_timeout=30000")
connection.autocommit = True
cursor = connection.cursor()
"""
CALL = """\
    cursor.execute("SELECT %s::int AS id, 'value ' || %s::int AS name", [n, n])
    assert cursor.fetchall()[0][1] == f"value {n}"
"""


def measure(folder: Path, quick: bool) -> Figure:
    """Time them."""
    with server("postgres") as found:
        return measure_calls(
            folder,
            quick,
            client="psycopg2",
            step=STEP,
            before=BEFORE,
            call=CALL,
            after="connection.close()",
            TESTMESH_POSTGRESQL_URL=found.url,
        ).ratio()
