"""What ``db_poll`` waits for: conditions over the result of a query."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionConfigError, ExpressionSyntaxError, MeshError, UndefinedNameError
from pytest_testmesh.expressions import compile_expression
from pytest_testmesh.expressions.operators import same
from pytest_testmesh.integrations._places import part_of_config
from pytest_testmesh.integrations.sql.filling import fill_values
from pytest_testmesh.integrations.sql.outcome import count
from pytest_testmesh.scope import ResultNames, Scope
from pytest_testmesh.values import keys_hint, shorten

Condition = Callable[[Mapping[str, Any]], "str | None"]
"""Says why a result is not what is waited for, or None if it is."""

_VALUES_SHOWN = 3


def read_conditions(config: Mapping[str, Any], context: ActionContext) -> list[Condition]:
    """Return all conditions of a config, ``condition`` of which comes as written; without any: there is a row.

    Raises:
        ActionConfigError: One of them is wrong.
    """
    found: list[Condition] = []
    condition = config.get("condition")
    if isinstance(condition, str):
        found.append(_expression(condition, context.scope))
    elif condition is not None:
        with part_of_config("condition"):
            found.append(_from_parts(fill_values(condition, context)))
    if "expected_value" in config:
        found.append(_value(config["column"], config["expected_value"]))
    if "expected_rows" in config:
        found.append(_exactly(config["expected_rows"]))
    return found or [row_exists()]


def row_exists() -> Condition:
    """Wait for a row."""
    return at_least(1)


def at_least(wanted: int) -> Condition:
    """Wait for so many rows."""

    def problem(result: Mapping[str, Any]) -> str | None:
        if result["row_count"] >= wanted:
            return None
        return _rows(result) if wanted == 1 else f"{_rows(result)}, not {wanted} or more"

    return problem


def _exactly(wanted: int) -> Condition:
    return lambda result: None if result["row_count"] == wanted else f"{_rows(result)}, not {wanted}"


def _rows(result: Mapping[str, Any]) -> str:
    number = result["row_count"]
    return f"the query returned {count(number, 'row') if number else 'no rows'}"


def _from_parts(condition: Mapping[str, Any]) -> Condition:
    kind = condition["type"]
    if kind == "row_count":
        return at_least(condition.get("min_count", condition.get("value", 1)))
    if kind in ("row_value", "value_equals"):
        return _value(condition["column"], condition["value"])
    return _not_null(condition["column"]) if kind == "value_not_null" else row_exists()


def _value(column: str, wanted: Any) -> Condition:
    def problem(result: Mapping[str, Any]) -> str | None:
        values = _column(result, column)
        if any(same(each, wanted) for each in values):
            return None
        shown = ", ".join(dict.fromkeys(map(_shown, values[:_VALUES_SHOWN])))
        return f"{column} is {shown}, not {_shown(wanted)}" if values else _rows(result)

    return problem


def _not_null(column: str) -> Condition:
    def problem(result: Mapping[str, Any]) -> str | None:
        values = _column(result, column)
        if any(each is not None for each in values):
            return None
        return f"{column} is null" if values else _rows(result)

    return problem


def _column(result: Mapping[str, Any], column: str) -> list[Any]:
    if column not in result["columns"]:
        raise ActionConfigError(f"there is no column {column}", hint=keys_hint(tuple(result["columns"]), column))
    return [row[column] for row in result["rows"]]


def _expression(text: str, scope: Scope) -> Condition:
    try:
        expression = compile_expression(text, scope.hyphenated_ids())
    except ExpressionSyntaxError as exc:
        raise ActionConfigError(f"config.condition: {exc.message}", hint=exc.hint) from exc

    def problem(result: Mapping[str, Any]) -> str | None:
        row = result["first_row"] or dict.fromkeys(result["columns"])
        names = ResultNames({**row, **result}, scope, complete=True)
        try:
            if expression.test(names):
                return None
        except UndefinedNameError:
            raise
        except MeshError as exc:
            return f"{text}: {exc.message}"
        parts = ", ".join(f"{part.text} is {part.shown()}" for part in expression.parts(names))
        return f"{text} is false" + (f": {parts}" if parts else "")

    return problem


def _shown(value: Any) -> str:
    return shorten(json.dumps(value, ensure_ascii=False))
