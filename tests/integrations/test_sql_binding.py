"""Which value goes to which placeholder, and what is said when they do not fit together."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations.sql.lexer import Dialect
from pytest_testmesh.integrations.sql.statement import Statement, build_statement, joined, value


def shown(statement: Statement) -> str:
    """The statement with its values in angle brackets."""
    return "".join(f"<{piece.value}>" if piece.text is None else piece.text for piece in statement.pieces)


@pytest.mark.parametrize(
    ("text", "params", "expected"),
    [
        ("a = ? AND b = ?", [1, 2], "a = <1> AND b = <2>"),
        ("a = $2 AND b = $1 OR $2", [1, 2], "a = <2> AND b = <1> OR <2>"),
        ("a = :x AND b = :y OR :x", {"x": 1, "y": 2}, "a = <1> AND b = <2> OR <1>"),
        ("a = ? -- ?", [None], "a = <None> -- ?"),
        ("a LIKE '100%' AND b = ?", ["%s"], "a LIKE '100%' AND b = <%s>"),
        ("?", [[1, 2]], "<[1, 2]>"),
        ("j ?? 'k' AND a = ?", [1], "j ? 'k' AND a = <1>"),
        ("j ? 'k' AND x::int = :x", {"x": 1}, "j ? 'k' AND x::int = <1>"),
        ("j ?? k AND a[i:j] AND :x", None, "j ? k AND a[i:j] AND :x"),
    ],
)
def test_values_take_the_place_of_placeholders(text: str, params: Any, expected: str) -> None:
    assert expected == shown(build_statement(text, "postgresql", params))


def test_positional_and_named_values_go_together() -> None:
    assert "<1>, <2>" == shown(build_statement("?, :x", "postgresql", [1], {"x": 2}))


@pytest.mark.parametrize(
    ("text", "params", "message", "hint"),
    [
        ("a = ?", [1, 2], "params has 2 values, the statement takes 1", "write one ? or $1 for each value"),
        ("?, ?, ?", [1], "there is no value for the 2nd ?: params has 1 value", "add it to `params: [...]`"),
        ("$3", [1, 2], "there is no value for $3: params has 2 values", "add it"),
        ("j ? k", None, "there is no value for the 1st ?: params has none", "the operator ? on JSON is written ??"),
        ("$0", [1], "there is no value for $0", "add it"),
        ("$1", None, "there is no value for $1: params has none", "add it"),
        (":user_id", {"user_di": 1}, "there is no value for :user_id", "did you mean :user_di?"),
        (":a", {"a": 1, "b": 2}, "there is no :b in the statement", None),
        ("a = '?'", [1], "params has 1 value, the statement takes 0", "? stands in quotes, where it is just text"),
        ("a = ':x'", {"x": 1}, "there is no :x in the statement", ":x stands in quotes, where it is just text"),
        (" -- nothing", None, "there is no statement: the text is empty or a comment", None),
        ("a\0b", None, "the statement holds a NUL character", None),
    ],
)
def test_what_does_not_fit_is_told(text: str, params: Any, message: str, hint: str | None) -> None:
    with pytest.raises(ActionConfigError) as caught:
        build_statement(text, "postgresql", params)

    assert caught.value.message.startswith(message)
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["SELECT ?", "SELECT :x", "SELECT $1"])
def test_in_sqlite_every_placeholder_needs_a_value(text: str) -> None:
    with pytest.raises(ActionConfigError, match="there is no value for"):
        build_statement(text, "sqlite")


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_pieces_cover_the_text(dialect: Dialect) -> None:
    text = "SELECT ?, :a, '?' FROM t WHERE x = ?"
    pieces = build_statement(text, dialect, [1, 2], {"a": 3}).pieces

    assert text == "".join(text[piece.start : piece.end] for piece in pieces)


def test_joined_statements_keep_their_values_in_place() -> None:
    condition = build_statement("id = $1", "postgresql", [7])
    statement = joined(["UPDATE t SET a = ", value(5), " WHERE ", condition])

    assert "UPDATE t SET a = <5> WHERE id = <7>" == shown(statement)
    assert "UPDATE t SET a = ? WHERE id = $1" == statement.text
    assert [5, 7] == statement.params
