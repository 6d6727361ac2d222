"""What ``postgresql.assert`` checks: ``{field, operator, value}`` of the first row, and expressions."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.expressions.operators import same
from pytest_testmesh.integrations._assertions import Check, Problem, compile_check, raise_problems
from pytest_testmesh.integrations._places import Path, part_of_config, refused
from pytest_testmesh.integrations.postgresql.checks import NULL_CHECKS, check_assertions
from pytest_testmesh.integrations.sql.filling import fill_values
from pytest_testmesh.scope import ResultNames, Scope
from pytest_testmesh.values import keys_hint, shorten, type_name

_COMPARABLE = ("number", "string")


class _WrongTypes(Exception):
    """The operator cannot compare these two."""


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def test(found: Any, wanted: Any) -> bool:
        if type_name(found) != type_name(wanted) or type_name(found) not in _COMPARABLE:
            raise _WrongTypes
        return compare(found, wanted)

    return test


def _equal(found: Any, wanted: Any) -> bool:
    if found is not None and wanted is not None and type_name(found) != type_name(wanted):
        raise _WrongTypes
    return same(found, wanted)


def _contains(found: Any, wanted: Any) -> bool:
    if isinstance(found, str) and isinstance(wanted, str):
        return wanted in found
    if isinstance(found, list):
        return any(same(each, wanted) for each in found)
    if isinstance(found, Mapping) and isinstance(wanted, str):
        return wanted in found
    raise _WrongTypes


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    **dict.fromkeys(("eq", "==", "===", "="), _equal),
    **dict.fromkeys(("neq", "ne", "!=", "!=="), lambda found, wanted: not _equal(found, wanted)),
    **dict.fromkeys(("gt", ">"), _ordered(operator.gt)),
    **dict.fromkeys(("gte", "ge", ">="), _ordered(operator.ge)),
    **dict.fromkeys(("lt", "<"), _ordered(operator.lt)),
    **dict.fromkeys(("lte", "le", "<="), _ordered(operator.le)),
    "contains": _contains,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldCheck:
    """``{field, operator, value}``; *message* is shown when it does not hold."""

    field: str
    operator: str
    wanted: Any
    message: str | None = None

    def problem(self, names: Mapping[str, Any], scope: Scope) -> str | None:
        """Say why it does not hold of the row, or None if it does."""
        row: Mapping[str, Any] | None = names["first_row"]
        if row is None:
            return self._told("the query returned no rows")
        if self.field not in row:
            hint = keys_hint(tuple(row), self.field)
            return self._told(f"there is no column {self.field} ({hint})")
        found = row[self.field]
        shown = f"{self.field} is {_shown(found)}"
        if self.operator in NULL_CHECKS:
            holds = (found is None) is NULL_CHECKS[self.operator]
            return None if holds else self._told(f"{self.field} {self.operator} is false: {shown}")
        claim = f"{self.field} {self.operator} {_shown(self.wanted)}"
        try:
            return None if _OPERATORS[self.operator](found, self.wanted) else self._told(f"{claim} is false: {shown}")
        except _WrongTypes:
            kinds = f"{type_name(found)} and {type_name(self.wanted)}"
            return self._told(f"{claim} compares {kinds}: {shown}")

    def _told(self, problem: str) -> str:
        return f"{self.message}: {problem}" if self.message else problem


@dataclass(frozen=True, slots=True)
class ExpressionCheck:
    """An expression over the row's columns and the keys of the result."""

    check: Check

    def problem(self, names: Mapping[str, Any], scope: Scope) -> str | None:
        """Say why it does not hold, or None if it does.

        Raises:
            UndefinedNameError: It names what does not exist.
        """
        return self.check.problem(
            ResultNames({**(names["first_row"] or {}), **names, "row": names["first_row"]}, scope)
        )


Assertion = FieldCheck | ExpressionCheck


def read_assertions(config: Mapping[str, Any], context: ActionContext) -> list[Assertion]:
    """Return the assertions of a config, where they stand as written.

    Raises:
        ActionConfigError: There are none, or one is wrong.
    """
    check_assertions(config)
    return [_read(each, ("assertions", index), context) for index, each in enumerate(config["assertions"])]


def _read(written: Any, path: Path, context: ActionContext) -> Assertion:
    if isinstance(written, str):
        return ExpressionCheck(compile_check(written, None, path, context.scope.hyphenated_ids()))
    with part_of_config(*path):
        entry = fill_values(written, context)
    named = entry.get("operator", "eq")
    if named not in _OPERATORS and named not in NULL_CHECKS:
        raise refused(path, f"there is no operator {named!r}")
    return FieldCheck(field=entry["field"], operator=named, wanted=entry.get("value"), message=entry.get("message"))


def check_row(assertions: Sequence[Assertion], names: Mapping[str, Any], scope: Scope) -> None:
    """Check all assertions of what a query returned.

    Raises:
        StepAssertionError: At least one does not hold; tells each.
    """
    problems = [
        Problem(text, ("assertions", index))
        for index, each in enumerate(assertions)
        if (text := each.problem(names, scope))
    ]
    # without a row, all say the same
    raise_problems(problems if names["first_row"] is not None else problems[:1], len(assertions))


def _shown(value: Any) -> str:
    return shorten(json.dumps(value, ensure_ascii=False), 200)
