"""``database_query`` and ``db_poll``: SQL on PostgreSQL and SQLite; a driver is loaded by the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_testmesh.actions import BUILTIN
from pytest_testmesh.integrations._durations import DURATION
from pytest_testmesh.integrations._lazy import lazy

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionRegistry

_CONNECTION = {
    "type": ["string", "object"],
    "description": "postgresql://user:password@host:5432/database, sqlite:///file.db (relative to the flow's folder) "
    "or {type, host, port, database, username, password, ssl}; by default what is set for all flows",
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string", "default": "postgresql", "description": "postgresql or sqlite"},
        "host": {"type": "string", "description": "host"},
        "port": {"type": ["integer", "string"], "description": "port"},
        "database": {"type": "string", "description": "name of the database; of SQLite the file, or :memory:"},
        "username": {"type": "string", "description": "user name"},
        "user": {"type": "string", "description": "same as username"},
        "password": {"type": "string", "description": "password"},
        "ssl": {"type": "boolean", "description": "true: only with TLS; false: without"},
        "sslmode": {"type": "string", "description": "as in postgresql.query"},
        "timeout": {**DURATION, "description": "how long connecting may take"},
        "pool_size": {
            "type": "integer",
            "description": "of no effect: a worker has one connection, kept between steps",
        },
    },
}
_QUERY: dict[str, Any] = {
    "connection": _CONNECTION,
    "query": {"type": "string", "minLength": 1, "description": "the SQL statement"},
    "params": {
        "type": ["array", "object"],
        "description": "a list: values of `?` or `$1`; a mapping: values of `:name`",
    },
    "named_params": {"type": "object", "description": "values of `:name`"},
}

QUERY: dict[str, Any] = {
    "type": "object",
    "required": ["query"],
    "additionalProperties": False,
    "properties": {
        **_QUERY,
        "transaction": {
            "type": "boolean",
            "default": False,
            "description": "run all statements of the query in one transaction",
        },
        "poll": {
            "type": ["object", "boolean"],
            "description": "ask again until there is a row: {timeout: 30s, interval: 1s}",
            "additionalProperties": False,
            "properties": {
                "enabled": {"type": "boolean", "default": True, "description": "false: ask once"},
                "timeout": {**DURATION, "default": "30s", "description": "how long to wait"},
                "interval": {**DURATION, "default": "1s", "description": "pause between two queries"},
            },
        },
        "timeout": {**DURATION, "default": "30s", "description": "when a query is given up"},
        "max_rows": {"type": "integer", "minimum": 1, "description": "return no more rows than this"},
    },
}
POLL: dict[str, Any] = {
    "type": "object",
    "required": ["query"],
    "additionalProperties": False,
    "properties": {
        **_QUERY,
        "condition": {
            "type": ["string", "object"],
            "description": "an expression over the result (rows, row_count, first_row), or {type, column, value, "
            "min_count}; by default: there is a row",
            "required": ["type"],
            "additionalProperties": False,
            "properties": {
                "type": {
                    "type": "string",
                    "description": "row_exists, row_count, row_value (or value_equals), value_not_null",
                },
                "column": {"type": "string", "description": "row_value, value_not_null: the column"},
                "value": {"description": "row_value: what must be there; row_count: how many rows at least"},
                "min_count": {"type": "integer", "description": "row_count: how many rows at least"},
            },
        },
        "column": {"type": "string", "description": "the column of expected_value"},
        "expected_value": {"description": "what must be in `column` of a row"},
        "expected_rows": {"type": "integer", "description": "how many rows there must be"},
        "timeout": {**DURATION, "default": "30s", "description": "how long to wait"},
        "interval": {**DURATION, "default": "1s", "description": "pause between two queries"},
        "max_attempts": {"type": "integer", "minimum": 1, "description": "give up after so many queries"},
    },
}

_ROWS = {
    "rows": "the rows, each a mapping by column",
    "row_count": "how many rows",
    "count": "same as row_count",
    "first_row": "the first row, or null",
    "columns": "the names of the columns",
    "rows_affected": "how many rows the statement inserted, changed or deleted",
    "query_type": "SELECT, INSERT, UPDATE, DELETE or another command",
    "duration_ms": "milliseconds it took",
}

check_poll_config = lazy("database.checks:check_poll_config")
database_query = lazy("database.actions:database_query")
db_poll = lazy("database.actions:db_poll")


def register(registry: ActionRegistry) -> None:
    """Add ``database_query`` and ``db_poll``."""
    registry.add(
        "database_query",
        database_query,
        summary="Run SQL on PostgreSQL or SQLite",
        schema=QUERY,
        result={**_ROWS, "attempts": "with `poll`: how many queries"},
        expressions=("query",),
        provider=BUILTIN,
    )
    registry.add(
        "db_poll",
        db_poll,
        summary="Run SQL again and again until its rows are as wanted",
        schema=POLL,
        result={
            **_ROWS,
            "success": "true: a condition that never holds fails the step",
            "attempts": "how many queries",
        },
        expressions=("query", "condition"),
        check=check_poll_config,
        provider=BUILTIN,
    )
