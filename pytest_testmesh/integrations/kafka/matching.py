"""Which messages a consume step wants, and for every other one the first reason why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionConfigError, ExpressionSyntaxError, MissingPathError
from pytest_testmesh.expressions.jsonpath import JsonPath, compile_path
from pytest_testmesh.expressions.operators import same
from pytest_testmesh.integrations._assertions import Check, compile_check, with_hyphens
from pytest_testmesh.integrations._places import part_of_config
from pytest_testmesh.scope import ResultNames, Scope
from pytest_testmesh.template import compile_template
from pytest_testmesh.values import Missing, describe, shorten, to_text

_SHOWN = 80

Reason = Callable[[], str]
"""Says why a message is not wanted: in words only once asked, since most are never told."""

Test = Callable[[Mapping[str, Any]], "Reason | None"]
"""Returns why a message, as JSON, is not wanted; None: it is."""


def wanted_messages(config: Mapping[str, Any], context: ActionContext) -> tuple[Test, ...]:
    """Return the tests of ``match`` and ``filter``, which come as written; all must say None.

    Raises:
        ActionConfigError: A text is no expression or no JSONPath.
        ExpressionError: A placeholder has no value.
    """
    if not config.keys() & {"match", "filter"}:
        return ()
    ids = context.scope.hyphenated_ids()
    match = config.get("match", {})
    plain = {name: each for name, each in match.items() if name != "expression"}
    with part_of_config("match"):
        filled = compile_template(plain, ids, raw=context.raw).fill(context.scope)
    tests = [make(filled[name]) for name, make in _MAKERS.items() if name in filled]
    make_test = _strict_expression if config.get("count") == 0 else _expression
    return (*tests, *(make_test(check, context.scope) for check in _checks(config, ids)))


def first_reason(tests: tuple[Test, ...], message: Mapping[str, Any]) -> Reason | None:
    """Return why *message* is not wanted, None if it is."""
    for test in tests:
        reason = test(message)
        if reason is not None:
            return reason
    return None


def check_matching(config: Mapping[str, Any]) -> None:
    """Refuse, before anything runs, texts that are no expressions or JSONPaths.

    Raises:
        ActionConfigError: There is one.
    """
    with_hyphens(lambda ids: _checks(config, ids), config)
    given = config.get("match", {}).get("json_path", {})
    for text in [given] if isinstance(given, str) else given:
        if "${" not in text and "{{" not in text:
            _path(text)


def _checks(config: Mapping[str, Any], ids: frozenset[str]) -> list[Check]:
    texts = {("match", "expression"): config.get("match", {}).get("expression"), ("filter",): config.get("filter")}
    return [compile_check(text, None, path, ids) for path, text in texts.items() if text is not None]


def _key(wanted: Any) -> Test:
    text = None if wanted is None else to_text(wanted)

    def test(message: Mapping[str, Any]) -> Reason | None:
        return None if message["key"] == text else lambda: f"key is {_shown(message['key'])}, not {_shown(text)}"

    return test


def _headers(wanted: Mapping[str, Any]) -> Test:
    texts = {name: value if value is None else to_text(value) for name, value in wanted.items()}

    def test(message: Mapping[str, Any]) -> Reason | None:
        there = message["headers"]
        for name, text in texts.items():
            if name not in there:
                return lambda: f"there is no header {name}"
            values = there[name] if isinstance(there[name], list) else [there[name]]
            if text not in values:
                return lambda: f"header {name} is {_shown(there[name])}, not {_shown(text)}"
        return None

    return test


def _json_path(wanted: str | Mapping[str, Any]) -> Test:
    if isinstance(wanted, str):
        path = _path(wanted)
        return lambda message: (
            None if _finds(path, message["value"]) else lambda: f"{wanted} finds nothing in the value"
        )
    paths = [(_path(text), value) for text, value in wanted.items()]

    def test(message: Mapping[str, Any]) -> Reason | None:
        for path, value in paths:
            found = path.find(message["value"])
            if isinstance(found, Missing):
                return lambda: f"{path.text} is missing"
            if not same(found, value):
                return lambda: f"{path.text} is {_shown(found)}, not {_shown(value)}"
        return None

    return test


def _finds(path: JsonPath, value: Any) -> bool:
    found = path.find(value)
    return not isinstance(found, Missing) and (path.singular or bool(found))


def _path(text: str) -> JsonPath:
    try:
        return compile_path(text)
    except ExpressionSyntaxError as exc:
        raise ActionConfigError(f"config.match.json_path: {exc.message}", hint=exc.hint) from exc


def _expression(check: Check, scope: Scope) -> Test:
    return lambda message: _as_reason(check.problem(ResultNames(message, scope, complete=True)))


def _strict_expression(check: Check, scope: Scope) -> Test:
    """For steps to which no match is success: an expression that cannot be evaluated must not be one."""

    def test(message: Mapping[str, Any]) -> Reason | None:
        names = ResultNames(message, scope, complete=True)
        try:
            check.expression.test(names)
        except MissingPathError:
            pass  # messages of other kinds lack it
        return _as_reason(check.problem(names))

    return test


def _as_reason(problem: str | None) -> Reason | None:
    return None if problem is None else lambda: problem


def _shown(value: Any) -> str:
    text = describe(value)
    return shorten(text.removeprefix("the ").removeprefix("string ").removeprefix("number "), _SHOWN)


_MAKERS: Mapping[str, Callable[[Any], Test]] = {"key": _key, "headers": _headers, "json_path": _json_path}
