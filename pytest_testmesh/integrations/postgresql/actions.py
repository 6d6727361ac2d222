"""The actions ``postgresql.*`` at work; their configs and results: this package's ``__init__``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import StepAssertionError
from pytest_testmesh.integrations._durations import TIMEOUT, duration_s
from pytest_testmesh.integrations._within import holds_within, look_deadline, not_again
from pytest_testmesh.integrations.postgresql.assertions import check_row, read_assertions
from pytest_testmesh.integrations.postgresql.changes import delete, holds_list, insert, quoted_table, update
from pytest_testmesh.integrations.postgresql.checks import GIVEN_AS, check_statements
from pytest_testmesh.integrations.postgresql.client import (
    Client,
    all_rows,
    connected,
    connected_to,
)
from pytest_testmesh.integrations.postgresql.target import find_target
from pytest_testmesh.integrations.sql.outcome import Outcome
from pytest_testmesh.integrations.sql.statement import Statement, build_statement, read_query, read_statements
from pytest_testmesh.polling import Deadline

Result = Mapping[str, Any]


def query(config: Mapping[str, Any], context: ActionContext) -> Result:
    """Run ``query`` with its values."""
    statement = read_query(config, "postgresql", context)
    with connected(config, context) as client:
        return _rows(client, client.run(statement))


def _rows(client: Client, outcome: Outcome) -> dict[str, Any]:
    return {
        "rows": outcome.rows,
        "rowCount": outcome.row_count,
        "row_count": outcome.row_count,
        "count": outcome.row_count,
        "first_row": outcome.first_row,
        "fields": [{"name": name} for name in outcome.columns],
        "duration_ms": client.duration_ms,
    }


def _insert(config: Mapping[str, Any], context: ActionContext) -> Result:
    with connected(config, context) as client:
        return _changed("inserted", client, insert(config, _json_columns(config, client)))


def _update(config: Mapping[str, Any], context: ActionContext) -> Result:
    statement = None if holds_list(config["data"]) else update(config, frozenset(), context)
    with connected(config, context) as client:
        return _changed("updated", client, statement or update(config, _json_columns(config, client), context))


def _delete(config: Mapping[str, Any], context: ActionContext) -> Result:
    statement = delete(config, context)
    with connected(config, context) as client:
        return _changed("deleted", client, statement)


def _changed(name: str, client: Client, statement: Statement) -> Result:
    outcome = client.run(statement)
    rows = _rows(client, outcome)
    return {name: outcome.affected, **rows}


def _json_columns(config: Mapping[str, Any], client: Client) -> frozenset[str]:
    if not holds_list(config["data"]):
        return frozenset()
    return client.json_columns(quoted_table(config["table"]))


def _assert(config: Mapping[str, Any], context: ActionContext) -> Result:
    statement = read_query(config, "postgresql", context)
    assertions = read_assertions(config, context)
    within_s = duration_s(config, "within", "0")
    deadline = context.deadline.earlier(Deadline.after(within_s + duration_s(config, "timeout", TIMEOUT), ""))
    end = Deadline.after(within_s, f"within {config.get('within')}") if within_s else None
    with connected_to(find_target(config, context), context, deadline) as client:

        def look() -> Result:
            client.restart(look_deadline(config, context.deadline, end))
            outcome = client.run(statement)
            rows = _rows(client, outcome)
            try:
                check_row(assertions, rows, context.scope)
            except StepAssertionError as exc:
                if within_s and outcome.affected:
                    raise not_again(exc) from None
                raise
            facts = {"passed": True, "assertions_checked": len(assertions), "row": outcome.first_row}
            return {**facts, **rows}

        return holds_within(look, within_s, context.deadline) if within_s else look()


def _execute(config: Mapping[str, Any], context: ActionContext) -> Result:
    statements = _to_execute(config, context)
    with connected(config, context) as client:
        outcomes = [client.run(statement) for statement in statements]
        client.connection.forget_types()
        return {"executed": len(outcomes), "results": all_rows(outcomes), "duration_ms": client.duration_ms}


def _to_execute(config: Mapping[str, Any], context: ActionContext) -> list[Statement]:
    check_statements(config)
    written = next(config[key] for key in GIVEN_AS if key in config)
    if "params" in config or "named_params" in config:
        return [read_query({**config, "query": written}, "postgresql", context)]
    return read_statements(written, "postgresql", context)


def _transaction(config: Mapping[str, Any], context: ActionContext) -> Result:
    statements = read_statements(config["statements"], "postgresql", context)
    with connected(config, context) as client:
        with client.transaction():
            outcomes = [client.run(statement) for statement in statements]
        client.connection.forget_types()
        return {"committed": True, "results": all_rows(outcomes), "duration_ms": client.duration_ms}


_TABLES = """\
SELECT table_name::text, table_type::text FROM information_schema.tables WHERE table_schema = ? ORDER BY table_name"""
_COLUMNS = """\
SELECT column_name::text, data_type::text, is_nullable::text, column_default::text, character_maximum_length::int
FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position"""


def _tables(config: Mapping[str, Any], context: ActionContext) -> Result:
    schema = config.get("schema", "public")
    with connected(config, context) as client:
        found = client.run(build_statement(_TABLES, "postgresql", [schema])).rows
    return {"schema": schema, "tables": found, "count": len(found)}


def _columns(config: Mapping[str, Any], context: ActionContext) -> Result:
    schema, dot, table = config["table"].rpartition(".")
    schema = schema if dot and "schema" not in config else config.get("schema", "public")
    table = table if dot and "schema" not in config else config["table"]
    with connected(config, context) as client:
        found = client.run(build_statement(_COLUMNS, "postgresql", [schema, table])).rows
    return {"table": table, "schema": schema, "columns": found, "count": len(found)}


ACTIONS: Mapping[str, Callable[[Mapping[str, Any], ActionContext], Result]] = {
    "query": query,
    "insert": _insert,
    "update": _update,
    "delete": _delete,
    "assert": _assert,
    "execute": _execute,
    "transaction": _transaction,
    "tables": _tables,
    "columns": _columns,
}
"""By the part of their names after the dot."""
