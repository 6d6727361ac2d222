"""Values: their type names, their text form, and where text becomes a value."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_testmesh.errors import ExpressionError, MissingPathError
from pytest_testmesh.values import Missing, Namespace, describe, from_text, to_json, to_text, type_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", 8080),
        ("0", 0),
        ("-5", -5),
        ("29.9", 29.9),
        ("0.5", 0.5),
        ("true", True),
        ("false", False),
        ("01234", "01234"),
        ("1.10", "1.10"),
        ("1.0", "1.0"),
        ("1e5", "1e5"),
        ("+5", "+5"),
        ("-0", "-0"),
        (".5", ".5"),
        ("5.", "5."),
        ("1_000", "1_000"),
        (" 5", " 5"),
        ("5\n", "5\n"),
        ("True", "True"),
        ("null", "null"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("0x10", "0x10"),
        ("٣", "٣"),
        ("", ""),
        ("-", "-"),
        ("12345678901234567890", 12345678901234567890),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("1" * 400, "1" * 400),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_text_becomes_a_value_only_where_it_loses_nothing(text: str, expected: Any) -> None:
    value = from_text(text)

    assert expected == value
    assert type(expected) is type(value)


@given(st.text(max_size=20) | st.from_regex(r"[-+]?[0-9]{1,18}(\.[0-9]{1,18})?([eE][0-9])?", fullmatch=True))
@settings(deadline=None, max_examples=200)
def test_text_of_a_value_is_the_text_it_came_from(text: str) -> None:
    assert text == to_text(from_text(text))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        ("", ""),
        (5, "5"),
        (5.0, "5"),
        (0.1, "0.1"),
        (1e16, "1e+16"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (Decimal("1.50"), "1.5"),
        (Decimal("2.0"), "2"),
        ([1, "é", None], '[1,"é",null]'),
        ({"a": {"b": [True]}}, '{"a":{"b":[true]}}'),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        ([MappingProxyType({"a": Decimal("0.5")})], '[{"a":0.5}]'),
    ],
    ids=repr,
)
def test_value_is_written_as_text(value: Any, expected: str) -> None:
    assert expected == to_text(value)


@pytest.mark.parametrize(
    "value", [object(), b"bytes", {1, 2}, [object()], Namespace(), 10**5000], ids=lambda v: type(v).__name__
)
def test_what_is_no_json_is_not_written(value: Any) -> None:
    with pytest.raises(ExpressionError):
        to_text(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (5, "number"),
        (0.5, "number"),
        (Decimal(1), "number"),
        ("a", "string"),
        (True, "boolean"),
        ([], "array"),
        ({}, "object"),
        (MappingProxyType({}), "object"),
        (Missing("a", "b"), "missing"),
        (Namespace(), "group"),
        (object(), "Python object"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_type_has_a_name(value: Any, expected: str) -> None:
    assert expected == type_name(value)


@pytest.mark.parametrize(
    ("value", "expected"), [(Decimal("2.00"), 2), (Decimal("0.30"), 0.3), (5, 5), ("a", "a"), (None, None)], ids=repr
)
def test_decimal_leaves_as_int_where_it_is_whole(value: Any, expected: Any) -> None:
    left = to_json(value)

    assert expected == left
    assert type(expected) is type(left)


def test_missing_value_says_what_was_there() -> None:
    missing = Missing("body.nme", "body has no key nme", ("id", "name"), "nme")

    with pytest.raises(MissingPathError) as caught:
        to_json(missing)

    assert "body.nme is missing: body has no key nme" == caught.value.message
    assert "did you mean name? keys there: id, name" == caught.value.hint


@pytest.mark.parametrize(
    ("keys", "sought", "expected"),
    [
        ((), "a", None),
        (("b", "c"), "a", "keys there: b, c"),
        (("b",), None, "keys there: b"),
        (("Content-Type",), "Content", 'did you mean ["Content-Type"]? keys there: Content-Type'),
        (("Request", "X-Request-Id"), "X", 'did you mean ["X-Request-Id"]? keys there: Request, X-Request-Id'),
        (("userId",), "userid", "did you mean userId? keys there: userId"),
        (tuple(f"key{n:02}" for n in range(15)), "zzz", None),
    ],
    ids=repr,
)
def test_keys_are_suggested(keys: tuple[str, ...], sought: str | None, expected: str | None) -> None:
    hint = Missing("x", "y", keys, sought).error().hint

    assert expected == hint if len(keys) < 15 else str(hint).endswith("key11 and 3 more")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, "the number 5"),
        ("a", 'the string "a"'),
        ("x" * 100, f'the string "{"x" * 56}...'),
        (None, "null"),
        (True, "the boolean true"),
        ([1, 2], "an array of 2"),
        ({"a": 1}, "an object with keys a"),
        ({}, "an empty object"),
        (Namespace(), "a group"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_value_is_described(value: Any, expected: str) -> None:
    assert expected == describe(value)


def test_group_without_members_refuses_each() -> None:
    with pytest.raises(ExpressionError, match="there is no member a"):
        Namespace().member("a")
    with pytest.raises(ExpressionError, match="a cannot be called"):
        Namespace().call("a", [])


def test_any_mapping_is_an_object() -> None:
    class Headers(Mapping[str, str]):
        def __getitem__(self, key: str) -> str:
            return {"content-type": "json"}[key.lower()]

        def __iter__(self) -> Any:
            return iter(["content-type"])

        def __len__(self) -> int:
            return 1

    assert '{"content-type":"json"}' == to_text(Headers())
