"""The actions ``postgresql.*``: what their configs and results look like; the client is loaded by their first step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pytest_testmesh.actions import BUILTIN
from pytest_testmesh.integrations._durations import DURATION
from pytest_testmesh.integrations._lazy import lazy

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionContext, ActionRegistry

CONNECTION: dict[str, Any] = {
    "connectionString": {
        "type": "string",
        "description": "postgresql://user:password@host:5432/database, or libpq's key=value pairs; "
        "by default what is set for all flows, else localhost",
    },
    "host": {"type": "string", "default": "localhost", "description": "host, in place of the connection string's"},
    "port": {"type": ["integer", "string"], "default": 5432, "description": "port"},
    "database": {"type": "string", "description": "name of the database"},
    "user": {"type": "string", "description": "user name"},
    "password": {"type": "string", "description": "password"},
    "sslmode": {
        "type": "string",
        "enum": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
        "description": "whether to speak TLS and what to check",
    },
    "timeout": {**DURATION, "default": "30s", "description": "when the statement is given up, by the server too"},
}
PARAMS: dict[str, Any] = {
    "params": {
        "type": ["array", "object"],
        "description": "a list: values of `?` or `$1`; a mapping: values of `:name`. A list in it is an array, "
        "a mapping JSON",
    },
    "named_params": {"type": "object", "description": "values of `:name`"},
}
_QUERY = {"query": {"type": "string", "minLength": 1, "description": "the SQL statement"}, **PARAMS}
_TABLE = {"table": {"type": "string", "minLength": 1, "description": "orders, or shop.orders"}}
_RETURNING = {
    "type": ["array", "string"],
    "items": {"type": "string"},
    "description": "columns of the changed rows to return; `*` for all, an empty list for none",
}
_WHERE: dict[str, Any] = {
    "where": {
        "type": ["string", "object", "boolean"],
        "description": 'the condition: "id = ?", or {id: 5}; there must be one',
    },
    "whereParams": {"type": ["array", "object"], "description": "values of the condition's placeholders"},
    "params": {"type": ["array", "object"], "description": "same as whereParams"},
}
_STATEMENTS: dict[str, Any] = {
    "statements": {
        "type": ["array", "string"],
        "description": "SQL statements: texts, or {query, params, named_params}",
        "items": {
            "type": ["string", "object"],
            "required": ["query"],
            "additionalProperties": False,
            "properties": _QUERY,
        },
    },
}


def _schema(required: tuple[str, ...], properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": {**properties, **CONNECTION},
    }


QUERY = _schema(("query",), _QUERY)
INSERT = _schema(
    ("table", "data"),
    {
        **_TABLE,
        "data": {
            "type": ["object", "array"],
            "items": {"type": "object"},
            "description": "values by column; a list of such mappings inserts many rows",
        },
        "returning": {**_RETURNING, "default": "*"},
    },
)
UPDATE = _schema(
    ("table", "data", "where"),
    {
        **_TABLE,
        "data": {"type": "object", "description": "new values by column"},
        **_WHERE,
        "returning": {**_RETURNING, "default": "*"},
    },
)
DELETE = _schema(("table", "where"), {**_TABLE, **_WHERE, "returning": _RETURNING})
ASSERT = _schema(
    ("query", "assertions"),
    {
        **_QUERY,
        "assertions": {
            "type": "array",
            "description": "what must hold of the first row: {field, operator, value}, or expressions over its columns "
            "and rows, rowCount, row",
            "items": {
                "type": ["object", "string"],
                "required": ["field"],
                "additionalProperties": False,
                "properties": {
                    "field": {"type": "string", "description": "name of a column"},
                    "operator": {
                        "type": "string",
                        "default": "eq",
                        "description": "eq, neq, gt, gte, lt, lte, contains, isNull or isNotNull",
                    },
                    "value": {"description": "what to compare with"},
                    "message": {"type": "string", "description": "shown when it does not hold"},
                },
            },
        },
        "within": {**DURATION, "description": "ask again until all hold, for so long"},
    },
)
_ONE_STATEMENT = {
    "statement": {"type": "string", "description": "one SQL statement"},
    "query": {"type": "string", "description": "same as statement"},
}
EXECUTE = _schema((), {**_STATEMENTS, **_ONE_STATEMENT, **PARAMS})
TRANSACTION = _schema(("statements",), _STATEMENTS)
_SCHEMA = {"schema": {"type": "string", "default": "public", "description": "the database's schema"}}
TABLES = _schema((), _SCHEMA)
COLUMNS = _schema(("table",), {**_TABLE, **_SCHEMA})

_ROWS = {
    "rows": "the rows, each a mapping by column",
    "rowCount": "how many rows came back, or were changed by a statement that returns none",
    "row_count": "same as rowCount",
    "count": "same as rowCount",
    "first_row": "the first row, or null",
    "duration_ms": "milliseconds it took",
}
_RESULTS = {"results": "for each statement {rowCount, row_count, rows}", "duration_ms": "milliseconds it took"}

_CHECKS = {
    "update": "check_condition",
    "delete": "check_condition",
    "execute": "check_statements",
    "assert": "check_assertions",
}
_Act = Callable[[Mapping[str, Any], "ActionContext"], Mapping[str, Any]]


def register(registry: ActionRegistry) -> None:
    """Add ``postgresql.query`` and the others."""
    for name, summary, schema, result, expressions in _TABLE_OF_ACTIONS:
        registry.add(
            f"postgresql.{name}",
            _act(name),
            summary=summary,
            schema=schema,
            result=result,
            expressions=expressions,
            check=lazy(f"postgresql.checks:{_CHECKS[name]}") if name in _CHECKS else None,
            provider=BUILTIN,
        )


def _act(name: str) -> _Act:
    def act(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
        from pytest_testmesh.integrations.postgresql.actions import ACTIONS

        return ACTIONS[name](config, context)

    return act


_TABLE_OF_ACTIONS: tuple[tuple[str, str, Mapping[str, Any], Mapping[str, str], tuple[str, ...]], ...] = (
    ("query", "Run one SQL statement", QUERY, {**_ROWS, "fields": "the columns, each {name}"}, ("query",)),
    ("insert", "Insert rows into a table", INSERT, {"inserted": "how many rows", **_ROWS}, ()),
    ("update", "Change rows of a table", UPDATE, {"updated": "how many rows", **_ROWS}, ("where",)),
    ("delete", "Delete rows of a table", DELETE, {"deleted": "how many rows", **_ROWS}, ("where",)),
    (
        "assert",
        "Run a query and check its first row",
        ASSERT,
        {
            "passed": "true: a false assertion fails the step",
            "assertions_checked": "how many",
            "row": "the first row",
            **_ROWS,
        },
        ("query", "assertions"),
    ),
    (
        "execute",
        "Run SQL statements one after the other",
        EXECUTE,
        {"executed": "how many statements", **_RESULTS},
        ("statements", "statement", "query"),
    ),
    (
        "transaction",
        "Run SQL statements in one transaction",
        TRANSACTION,
        {"committed": "true: a failed statement fails the step, and all are undone", **_RESULTS},
        ("statements",),
    ),
    (
        "tables",
        "List the tables and views of a schema",
        TABLES,
        {"schema": "the schema", "tables": "each {table_name, table_type}", "count": "how many"},
        (),
    ),
    (
        "columns",
        "List the columns of a table",
        COLUMNS,
        {
            "table": "the table",
            "schema": "its schema",
            "columns": "each {column_name, data_type, is_nullable, column_default, character_maximum_length}",
            "count": "how many",
        },
        (),
    ),
)
