"""The statements of ``postgresql.insert``, ``.update`` and ``.delete``: every name quoted, every value bound."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._places import part_of_config
from pytest_testmesh.integrations.postgresql.checks import check_condition
from pytest_testmesh.integrations.sql.filling import fill_sql, fill_values
from pytest_testmesh.integrations.sql.statement import Statement, build_statement, joined, value


def insert(config: Mapping[str, Any], json_columns: frozenset[str]) -> Statement:
    """Return the INSERT of one row, or of a list of them; a column that a row lacks gets its default.

    Raises:
        ActionConfigError: There is no row.
    """
    data = config["data"]
    rows = data if isinstance(data, list) else [data]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if not rows or (not columns and len(rows) > 1):
        raise ActionConfigError("config.data holds no row", hint="write `data: {name: Ada}`")
    parts: list[str | Statement] = [f"INSERT INTO {quoted_table(config['table'])}"]
    if columns:
        parts += [" (", ", ".join(map(_quoted, columns)), ") VALUES "]
        parts += _separated([joined(_row(row, columns, json_columns)) for row in rows])
    else:
        parts.append(" DEFAULT VALUES")
    return joined([*parts, _returning(config, "*")])


def update(config: Mapping[str, Any], json_columns: frozenset[str], context: ActionContext) -> Statement:
    """Return the UPDATE.

    Raises:
        ActionConfigError: Nothing to set, or no condition.
    """
    data = config["data"]
    if not data:
        raise ActionConfigError("config.data sets nothing", hint="write `data: {name: Ada}`")
    settings = [joined([f"{_quoted(name)} = ", _bound(name, data[name], json_columns)]) for name in data]
    return joined(
        [
            f"UPDATE {quoted_table(config['table'])} SET ",
            *_separated(settings),
            *_where(config, context),
            _returning(config, "*"),
        ]
    )


def delete(config: Mapping[str, Any], context: ActionContext) -> Statement:
    """Return the DELETE.

    Raises:
        ActionConfigError: No condition.
    """
    return joined([f"DELETE FROM {quoted_table(config['table'])}", *_where(config, context), _returning(config, None)])


def holds_list(data: Any) -> bool:
    """Whether a value of a row is a list, which is an array in one column and JSON in another."""
    rows = data if isinstance(data, list) else [data]
    return any(isinstance(each, list) for row in rows for each in row.values())


def quoted_table(table: str) -> str:
    """Quote ``orders`` or ``shop.orders``; a name that is in quotes already may hold dots.

    Raises:
        ActionConfigError: There is no name.
    """
    if table.startswith('"'):
        parts = [part.replace('""', '"') for part in table[1:].removesuffix('"').split('"."')]
    else:
        parts = table.split(".")
    if not all(parts) or len(parts) > 3:
        raise ActionConfigError(f"config.table: {table!r} is no table's name", hint="write orders, or shop.orders")
    return ".".join(map(_quoted, parts))


def _quoted(name: str) -> str:
    if not name or "\0" in name:
        raise ActionConfigError(f"{name!r} is no name of a column or table")
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def _row(row: Mapping[str, Any], columns: Sequence[str], json_columns: frozenset[str]) -> Iterable[str | Statement]:
    values = [_bound(name, row[name], json_columns) if name in row else joined(["DEFAULT"]) for name in columns]
    return ["(", *_separated(values), ")"]


def _bound(name: str, bound: Any, json_columns: frozenset[str]) -> Statement:
    if isinstance(bound, list) and name in json_columns:
        return value(json.dumps(bound, ensure_ascii=False))
    return value(bound)


def _where(config: Mapping[str, Any], context: ActionContext) -> Iterable[str | Statement]:
    where = config.get("where")
    if isinstance(where, str):
        where = fill_sql(where, "postgresql", context, "config.where")
    elif isinstance(where, Mapping):
        with part_of_config("where"):
            where = fill_values(where, context)
    check_condition({"where": where})
    if isinstance(where, str):
        return [" WHERE ", _condition(where, config.get("whereParams", config.get("params")))]
    if isinstance(where, Mapping):
        return [" WHERE ", *_separated(list(map(_equal, where, where.values())), " AND ")]
    return [" WHERE true"]


def _condition(text: str, params: Any) -> Statement:
    try:
        return build_statement(text, "postgresql", params)
    except ActionConfigError as exc:
        message = exc.message.replace("params has", "whereParams has")
        raise ActionConfigError(f"config.where: {message}", hint=exc.hint) from None


def _equal(name: str, wanted: Any) -> Statement:
    if wanted is None:
        return joined([f"{_quoted(name)} IS NULL"])
    return joined([f"{_quoted(name)} = ", value(wanted)])


def _returning(config: Mapping[str, Any], default: str | None) -> str:
    names = config.get("returning", default)
    if not names:
        return ""
    listed = [names] if isinstance(names, str) else names
    # on a line of its own: the condition may end in a comment
    return "\nRETURNING " + ", ".join("*" if each == "*" else _quoted(each) for each in listed)


def _separated(parts: Sequence[Statement], separator: str = ", ") -> list[str | Statement]:
    return [each for part in parts for each in (separator, part)][1:]
