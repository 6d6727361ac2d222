"""The actions ``neo4j.*``: what their configs and results look like; the driver is loaded by the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_testmesh.actions import BUILTIN
from pytest_testmesh.integrations._assertions import ASSERTIONS
from pytest_testmesh.integrations._durations import DURATION
from pytest_testmesh.integrations._lazy import lazy
from pytest_testmesh.integrations.http import TLS_PROPERTIES

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionRegistry

_PROPERTIES: dict[str, Any] = {
    "query": {
        "type": "string",
        "description": "one Cypher statement; values belong into params, where it says $name",
    },
    "params": {"type": "object", "description": "values by name, bound to $name in the query"},
    "url": {
        "type": "string",
        "default": "bolt://localhost:7687",
        "description": "bolt://host:port for one server, neo4j://host:port for a cluster; with +s TLS, "
        "with +ssc TLS that takes any certificate; by default testmesh_neo4j_url",
    },
    "username": {"type": "string", "description": "user; without one nobody logs in"},
    "password": {"type": "string", "description": "password"},
    "database": {"type": "string", "description": "database; by default the user's home database"},
    "timeout": {**DURATION, "default": "30s", "description": "bounds everything: connect, TLS, login and the query"},
    **TLS_PROPERTIES,
}


def _schema(required: tuple[str, ...], properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": {**properties, **_PROPERTIES},
    }


QUERY_SCHEMA = _schema(("query",), {})
ASSERT_SCHEMA = _schema(
    ("query", "assert"),
    {
        "assert": {**ASSERTIONS, "description": "expressions over the result that must hold"},
        "within": {**DURATION, "description": "ask again until all hold, for so long"},
    },
)

QUERY_RESULT = {
    "rows": "the rows, each a mapping by column; "
    "nodes as {id, element_id, labels, properties}, relationships as {id, element_id, type, start, end, properties}, "
    "paths as {nodes, relationships, length}, points as {srid, x, y, z}, times and durations as ISO 8601",
    "count": "how many rows",
    "columns": "names of the columns",
    "keys": "same as columns",
    "first_row": "the first row, or null",
    "counters": "what was changed: nodes_created, nodes_deleted, relationships_created, relationships_deleted, "
    "properties_set, labels_added, labels_removed, indexes_added, indexes_removed, constraints_added, "
    "constraints_removed, system_updates",
    "query_type": "r, w, rw, or s for a change of the schema",
    "database": "the database that was asked",
    "duration_ms": "milliseconds it took",
}
ASSERT_RESULT = {
    "passed": "true: a false assertion fails the step",
    "assertions_checked": "how many",
    **QUERY_RESULT,
}

check_query = lazy("neo4j.checks:check_query")
check_assert = lazy("neo4j.checks:check_assert")
neo4j_query = lazy("neo4j.action:query")
neo4j_assert = lazy("neo4j.action:check")


def register(registry: ActionRegistry) -> None:
    """Add ``neo4j.query`` and ``neo4j.assert``."""
    registry.add(
        "neo4j.query",
        neo4j_query,
        summary="Run one Cypher statement",
        schema=QUERY_SCHEMA,
        result=QUERY_RESULT,
        expressions=("query",),
        check=check_query,
        provider=BUILTIN,
    )
    registry.add(
        "neo4j.assert",
        neo4j_assert,
        summary="Run a Cypher statement and check what it returns",
        schema=ASSERT_SCHEMA,
        result=ASSERT_RESULT,
        expressions=("query", "assert"),
        check=check_assert,
        provider=BUILTIN,
    )
