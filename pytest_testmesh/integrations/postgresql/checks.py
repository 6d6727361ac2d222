"""What is wrong with configs of ``postgresql.*`` although their schemas hold; loads no driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._places import Path, refused
from pytest_testmesh.integrations.sql.lexer import statements

GIVEN_AS = ("statements", "statement", "query")
"""The keys of which a config of ``postgresql.execute`` has one."""
WHERE_HINT = "say which rows: `where: id = ?` with `whereParams`; for all rows write `where: true`"
COMPARISONS = frozenset(
    {"eq", "==", "===", "=", "neq", "ne", "!=", "!==", "gt", ">", "gte", "ge", ">=", "lt", "<", "lte", "le", "<="}
    | {"contains"}
)
NULL_CHECKS: Mapping[str, bool] = {"isNull": True, "is_null": True, "isNotNull": False, "is_not_null": False}
"""Operators that take no value, and whether they hold for null."""


def check_condition(config: Mapping[str, Any]) -> None:
    """Refuse to change all rows by accident.

    It may be called with a part of a config, as written, whose schema was not checked yet; so may the others.

    Raises:
        ActionConfigError: ``where`` is empty, or more than a condition.
    """
    where = config.get("where")
    if isinstance(where, str):
        found = statements(where, "postgresql")
        if len(found) > 1:
            raise ActionConfigError("config.where is more than a condition: it holds a ;", hint=WHERE_HINT)
        where = found
    if not where:
        raise ActionConfigError("there is no condition in config.where", hint=WHERE_HINT)


def check_statements(config: Mapping[str, Any]) -> None:
    """Refuse a config without statements, and values that belong to none of many.

    Raises:
        ActionConfigError: So it is.
    """
    given = [key for key in GIVEN_AS if key in config]
    if len(given) != 1 or not config[given[0]]:
        raise ActionConfigError("write one of `statements` and `statement`", hint='`statement: "TRUNCATE orders"`')
    if not isinstance(config[given[0]], str) and ("params" in config or "named_params" in config):
        raise ActionConfigError(
            "`params` beside a list of statements: whose are they?",
            hint="write them with their statement: `- {query: ..., params: [...]}`",
        )


def check_assertions(config: Mapping[str, Any]) -> None:
    """Refuse assertions that check nothing.

    Raises:
        ActionConfigError: There is none, or one has an unknown operator or no value.
    """
    assertions = config.get("assertions")
    if not assertions:
        raise ActionConfigError("there is nothing to check", hint="write `assertions: [{field: state, value: PAID}]`")
    for index, each in enumerate(assertions if isinstance(assertions, list) else ()):
        if isinstance(each, Mapping):
            _check_assertion(each, ("assertions", index))


def _check_assertion(assertion: Mapping[str, Any], path: Path) -> None:
    named = str(assertion.get("operator", "eq"))
    if named in NULL_CHECKS or "${" in named or "{{" in named:
        return
    if named not in COMPARISONS:
        known = "eq, neq, gt, gte, lt, lte, contains, isNull or isNotNull"
        raise refused(path, f"there is no operator {named!r}", known)
    if "value" not in assertion:
        field = assertion.get("field")
        raise refused(path, "the value is missing", f"write {{field: {field}, value: ...}}")
