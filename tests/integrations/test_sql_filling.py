"""``${...}`` in SQL text: no value can become SQL."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import ActionConfigError, UndefinedNameError
from pytest_testmesh.integrations.sql.filling import fill_sql
from pytest_testmesh.integrations.sql.lexer import Dialect, tokens
from pytest_testmesh.scope import Scope

EVIL = "x'; DROP TABLE users; --"


def filled(text: str, value: Any, dialect: Dialect = "postgresql", *, raw: bool = False) -> str:
    scope = Scope(builtins=BuiltinValues({}), environ={})
    scope.define_env("x", value, "env")
    context = ActionContext(flow_id="flow", execution_id="run", step_id="step", scope=scope, raw=raw)
    return fill_sql(text, dialect, context, "config.query")


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        pytest.param("a = '${x}'", EVIL, "a = 'x''; DROP TABLE users; --'", id="literal"),
        pytest.param("a = '{{x}}'", "O'Hara", "a = 'O''Hara'", id="the other braces"),
        pytest.param("a LIKE '%${x}%'", "50%", "a LIKE '%50%%'", id="within a literal"),
        pytest.param(r"a = E'\n${x}'", "\\'", r"a = E'\n\\'''", id="literal with escapes"),
        pytest.param("a = '${x}'", "\\", r"a = '\'", id="a backslash in a literal without"),
        pytest.param(r"a = E'\\${x}'", "'", r"a = E'\\''" + "'", id="an escaped backslash before a placeholder"),
        pytest.param("a = '${x}'", 5, "a = '5'", id="a number in a literal"),
        pytest.param("a = '${x}'", {"a": "it's"}, "a = '{\"a\":\"it''s\"}'", id="JSON in a literal"),
        pytest.param('SELECT "${x}"', 'a"b', 'SELECT "a""b"', id="quoted name"),
        pytest.param("a = ${x}", None, "a = NULL", id="null"),
        pytest.param("a = ${x}", True, "a = TRUE", id="boolean"),
        pytest.param("a = ${x}", 1.5, "a = 1.5", id="number"),
        pytest.param("a = ${x}", "42", "a = 42", id="text of a number"),
        pytest.param("a = 1-${x}", -5, "a = 1- -5", id="two minus make no comment"),
        pytest.param("SELECT * FROM ${x}", "shop.orders", "SELECT * FROM shop.orders", id="plain name"),
        pytest.param("SELECT * FROM orders_${x}", 2024, "SELECT * FROM orders_2024", id="part of a name"),
        pytest.param("a = '$${x}' -- ${x}", "y", "a = '${x}' -- y", id="escaped placeholder"),
        pytest.param("${x}", "SELECT 1", "SELECT 1", id="the whole statement"),
        pytest.param("SELECT 'a' || '${x}' || 'b'", "'", "SELECT 'a' || '''' || 'b'", id="between literals"),
    ],
)
def test_values_are_filled_in(text: str, value: Any, expected: str) -> None:
    assert expected == filled(text, value)


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        ("a = ${x}", EVIL, "outside quotes only null, numbers, booleans and plain names can be filled in"),
        ("a = ${x}", "00123", 'is the string "00123"; outside quotes'),
        ("a IN (${x})", [1, 2], "is an array of 2"),
        ("a = ${x}", {"a": 1}, "is an object"),
        ("a = ${x}", "", "outside quotes"),
        ("a = 1 -- ${x}", "\nDROP TABLE t", "in a comment only"),
        ("a = 1 /* ${x} */", "*/ DROP TABLE t", "in a comment only"),
        ("DO $$ BEGIN ${x} END $$", "$$; DROP TABLE t", "inside dollar quotes only"),
        ("a = ${x}'b'", "E", "${x} touches a quote"),
        (r"a = E'\${x}'", EVIL[1:], "a backslash stands before ${x}"),
        ("a = 'b ${x}", "c", "the quote before ${x} is never closed"),
        ("a = '\0${x}'", "c", "holds a NUL character"),
        ("${x}", 5, "${x} is the number 5, not a statement"),
    ],
)
def test_what_could_become_sql_is_refused(text: str, value: Any, message: str) -> None:
    with pytest.raises(ActionConfigError) as caught:
        filled(text, value)

    assert "config.query" in caught.value.message
    assert message in caught.value.message


def test_the_hint_points_to_params() -> None:
    with pytest.raises(ActionConfigError) as caught:
        filled("a = ${x}", EVIL)

    assert "bind it instead: write ? in its place and `params: ['${x}']`" == caught.value.hint


def test_a_raw_step_is_left_as_it_is() -> None:
    assert "a = ${x} $${x}" == filled("a = ${x} $${x}", EVIL, raw=True)


def test_an_undefined_name_is_an_error() -> None:
    with pytest.raises(UndefinedNameError, match="nope is not defined"):
        filled("a = '${nope}'", 1)


CONTEXTS = ["a = '{}' ?", "a = E'{}' ?", 'a = "{}" ?', "a = {} ?", "-- {}\n?", "/* {} */ ?", "$q$ {} $q$ ?", "U&'{}' ?"]


@given(
    st.sampled_from(CONTEXTS),
    st.sampled_from(["postgresql", "sqlite"]),
    st.text(alphabet=st.sampled_from(list("'\"\\-/*$q;?\n ab\0é"))),
)
def test_no_value_changes_how_the_text_around_it_is_read(text: str, dialect: Dialect, value: str) -> None:
    """A harmless value in its place shows the tokens that the author meant."""
    expected = [token.kind for token in tokens(text.format("a"), dialect)]
    try:
        found = filled(text.format("${x}"), value, dialect)
    except ActionConfigError:
        return

    assert expected == [token.kind for token in tokens(found, dialect)]
