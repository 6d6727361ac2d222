"""``neo4j.query`` steps against the official driver doing the same calls."""

from __future__ import annotations

from pathlib import Path

from calls import measure_calls, server
from harness import Figure

WHAT = "1,000 neo4j.query steps / Session.run doing the same calls"
UNIT = "x"
TARGET = 1.2

STEP = """\
    - action: neo4j.query
      config: {{query: RETURN $n AS n, params: {{n: {n}}}}}
      assert: [first_row.n == {n}]
"""
BEFORE = """\
import neo4j

login = (os.environ["TESTMESH_NEO4J_USERNAME"], os.environ["TESTMESH_NEO4J_PASSWORD"])
driver = neo4j.GraphDatabase.driver(os.environ["TESTMESH_NEO4J_URL"], auth=login)
with driver.session() as session:
    for n in range(COUNT):
        session.run("RETURN $n AS n", n=n).data()
"""
CALL = """\
    with driver.session() as session:
        assert session.run("RETURN $n AS n", n=n).data() == [{"n": n}]
"""


def measure(folder: Path, quick: bool) -> Figure:
    """Time them."""
    with server("neo4j") as found:
        return measure_calls(
            folder,
            quick,
            client="the driver",
            step=STEP,
            before=BEFORE,
            call=CALL,
            after="driver.close()",
            TESTMESH_NEO4J_URL=found.url,
            TESTMESH_NEO4J_USERNAME=found.facts["user"],
            TESTMESH_NEO4J_PASSWORD=found.facts["password"],
        ).ratio()
