"""How the texts under ``output:`` find values in a step's result."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonpath import JSONPathEnvironment

from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import ExpressionError, ExpressionSyntaxError, MissingPathError, UndefinedNameError
from pytest_testmesh.expressions.jsonpath import compile_path
from pytest_testmesh.extraction import compile_extraction
from pytest_testmesh.scope import Scope

HTTP = {
    "status": 201,
    "body": {
        "id": "00123",
        "n": 5,
        "none": None,
        "users": [{"id": 1, "active": True, "name": "Ann"}, {"id": 2, "active": False, "name": "Bob"}],
        "x-y": {"z 1": [10, 20]},
        "status": "NEW",
        "length": 99,
    },
    "headers": {"Content-Type": "application/json"},
}
KAFKA = {"messages": [{"key": "k", "value": {"order": {"id": 7}}}], "count": 1}
KAFKA_TWO = {
    "messages": [{"value": {"id": 1}}, {"value": {"id": 2}}],
    "count": 2,
    "value": {"id": 1},
}
SQL = {"rows": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], "row_count": 2, "first_row": {"id": 1}}
CHILD_FLOW = {"status": "passed", "output": {"token": "t"}, "flow": {"inner": 1}}
TEXT = {"status": 200, "body": '{"id": 5}'}


@pytest.fixture
def scope() -> Scope:
    """Two variables, of which one has the name of a key of a result."""
    return Scope(options={"status": 404, "prefix": "id-"}, builtins=BuiltinValues({}), environ={})


@pytest.mark.parametrize(
    ("result", "text", "expected"),
    [
        (HTTP, "$.body.id", "00123"),
        (HTTP, "$.body.n", 5),
        (HTTP, "$.id", "00123"),
        (HTTP, "$.status", 201),
        (HTTP, "$.body.status", "NEW"),
        (HTTP, "$.none", None),
        (HTTP, "$", HTTP),
        (HTTP, "$.body.users[0].name", "Ann"),
        (HTTP, "$.users[-1].name", "Bob"),
        (HTTP, "$['body']['x-y']['z 1'][1]", 20),
        (HTTP, '$["body"]["x-y"]', {"z 1": [10, 20]}),
        (HTTP, "$.x-y['z 1'][0]", 10),
        (HTTP, "$.headers.Content-Type", "application/json"),
        (HTTP, "$.headers['Content-Type']", "application/json"),
        (HTTP, "$.users[*].id", [1, 2]),
        (HTTP, "$.body.users[*].id", [1, 2]),
        (HTTP, "$.users[?@.active == true].name", ["Ann"]),
        (HTTP, "$.users[?(@.active)].name", ["Ann", "Bob"]),
        (HTTP, "$.users[?(@.id > 1)].name", ["Bob"]),
        (HTTP, "$.users[?@.id > 9].name", []),
        (HTTP, "$.nope[*]", []),
        (HTTP, "$..name", ["Ann", "Bob"]),
        (HTTP, "$.users[0, 1].id", [1, 2]),
        (HTTP, "$.users[0:1].id", [1]),
        (HTTP, "$.users[?length(@.name) == 3].id", [1, 2]),
        (HTTP, "$['\\u0062ody'].n", 5),
        (HTTP, " $.body.n ", 5),
        (HTTP, "$.length", 99),
        (HTTP, "$.users.length", 2),
        (HTTP, "$.users[?@.active == true].length", 1),
        (HTTP, "$.body.n + 1", 6),
        (HTTP, "$.nope ?? 'none'", "none"),
        (HTTP, "body.id", "00123"),
        (HTTP, "response.body.id", "00123"),
        (HTTP, "result.status", 201),
        (HTTP, "status", 201),
        (HTTP, "${status}", 404),
        (HTTP, "prefix + body.id", "id-00123"),
        (HTTP, "'${prefix}' + body.id", "id-00123"),
        (HTTP, '"Bearer ${prefix}"', "Bearer id-"),
        (HTTP, 'headers["Content-Type"]', "application/json"),
        (HTTP, "body.users.length", 2),
        (HTTP, "map(body.users, .id)", [1, 2]),
        (HTTP, "body.n * 1.1", 5.5),
        (KAFKA, "messages[0].value.order.id", 7),
        (KAFKA, "$.order.id", 7),
        (KAFKA, "$.messages[0].key", "k"),
        (KAFKA, "$.count", 1),
        (KAFKA_TWO, "$.id", 1),
        (KAFKA_TWO, "$.messages[*].value.id", [1, 2]),
        (SQL, "result.rows[0].name", "a"),
        (SQL, "$.rows[*].id", [1, 2]),
        (SQL, "rows[-1].id", 2),
        (SQL, "$.first_row.id", 1),
        (CHILD_FLOW, "flow.inner", 1),
        ({"output": {"x": 1}}, "flow.output.x", 1),
        (CHILD_FLOW, "response.output.token", "t"),
        (TEXT, "$.body", '{"id": 5}'),
        (TEXT, "$..id", []),
        (TEXT, "fromJSON(body).id", 5),
    ],
    ids=lambda value: repr(value) if isinstance(value, str) else "",
)
def test_value_is_extracted(scope: Scope, result: dict[str, Any], text: str, expected: Any) -> None:
    value = compile_extraction(text).extract(result, scope)

    assert expected == value
    assert type(expected) is type(value)


@pytest.mark.parametrize(
    ("result", "text", "message", "hint"),
    [
        (HTTP, "$.nme", "$.nme is missing: it is not in the result nor in its body", None),
        (HTTP, "$.body.nme", "$.body.nme is missing: $.body has no key nme", None),
        (HTTP, "$.usrs[0]", "$.usrs[0] is missing: it is not in the result nor in its body", None),
        (HTTP, "$.users[-3].id", "$.users[-3].id is missing: $.body.users is an array of 2", None),
        (HTTP, "$.users[2].id", "$.users[2].id is missing: $.body.users is an array of 2", None),
        (
            HTTP,
            "$.users[1].nam",
            "$.users[1].nam is missing: $.body.users[1] has no key nam",
            "did you mean name? keys there: id, active, name",
        ),
        (HTTP, "$.n.deeper", "$.n.deeper is missing: $.body.n is a number", None),
        (HTTP, "$.body[0]", "$.body[0] is missing: $.body is an object", None),
        (HTTP, "$['n\\u006fpe']", "$['n\\u006fpe'] is missing: it is not in the result nor in its body", None),
        (HTTP, "body.nme", "body.nme is missing: body has no key nme", None),
        (
            KAFKA,
            "$.nope",
            "$.nope is missing: it is not in the result nor in its message's value",
            "keys there: messages, count, order",
        ),
        (SQL, "$.nope", "$.nope is missing: it is not in the result", "keys there: rows, row_count, first_row"),
        (SQL, "rows[5].id", "rows[5].id is missing: rows has 2 elements", None),
        (
            TEXT,
            "$.id",
            "$.id is missing: it is not in the result nor in its body, which is a string",
            "keys there: status, body",
        ),
        ({}, "$.id", "$.id is missing: it is not in the result", None),
    ],
    ids=lambda value: repr(value) if isinstance(value, str) else "",
)
def test_missing_value_says_what_was_there(
    scope: Scope, result: dict[str, Any], text: str, message: str, hint: str | None
) -> None:
    with pytest.raises(MissingPathError) as caught:
        compile_extraction(text).extract(result, scope)

    assert message == caught.value.message
    assert hint in (None, caught.value.hint)


@pytest.mark.parametrize("text", ["$.nope", "$.body.nope.deeper", "body.nope", "body.none.a", "$['\\u0061b']"])
@pytest.mark.parametrize("default", [None, 5, []], ids=repr)
def test_default_makes_a_missing_value_optional(scope: Scope, text: str, default: Any) -> None:
    assert default == compile_extraction(text, default=default).extract(HTTP, scope)


def test_default_does_not_replace_what_is_there(scope: Scope) -> None:
    assert compile_extraction("$.none", default=5).extract(HTTP, scope) is None
    assert [] == compile_extraction("$.users[?@.id > 9]", default=5).extract(HTTP, scope)


@pytest.mark.parametrize(
    ("text", "error"),
    [("nope", UndefinedNameError), ("body.nope + 1", MissingPathError), ("body.id + 1", ExpressionError)],
)
def test_default_does_not_hide_mistakes(scope: Scope, text: str, error: type[ExpressionError]) -> None:
    with pytest.raises(error):
        compile_extraction(text, default=None).extract(HTTP, scope)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "an empty expression", None),
        ("$.a[", "this [ of a JSONPath is never closed", None),
        (
            "$.a[01]",
            "$.a[01] is not a JSONPath: leading zero in index selector",
            "JSONPath as in RFC 9535: $.users[0].name, $.users[?@.active == true].id",
        ),
        ("$.a[?@.x =~ /b/]", None, "JSONPath as in RFC 9535: $.users[0].name, $.users[?@.active == true].id"),
        (
            "$.a.",
            "expected a key after the dot but found the end",
            "a JSONPath ends at white space; JSONPath as in RFC 9535: $.users[0].name",
        ),
        ("$..", None, "a JSONPath ends at white space; JSONPath as in RFC 9535: $.users[0].name"),
        ("$.a b", "unexpected b", "a JSONPath ends at white space; JSONPath as in RFC 9535: $.users[0].name"),
        (
            "Bearer ${token}",
            None,
            "text around a placeholder is written in quotes inside quotes: \"'Bearer ${token}'\"",
        ),
        (
            "body.",
            "expected a key after the dot but found the end",
            'other keys are written ["content-type"], elements [0]',
        ),
    ],
    ids=repr,
)
def test_text_is_refused(text: str, message: str | None, hint: str | None) -> None:
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_extraction(text)

    assert message in (None, caught.value.message)
    assert hint in (None, caught.value.hint)


def test_names_of_an_extraction_are_known() -> None:
    extraction = compile_extraction("prefix + body.id + '${suffix}' + create-user.id", frozenset({"create-user"}))

    assert {"prefix", "body", "create-user"} == extraction.names
    assert {"suffix"} == extraction.placeholder_names
    assert frozenset() == compile_extraction("$.body.id").names


def test_value_too_deep_for_the_library_is_refused(scope: Scope) -> None:
    nested: dict[str, Any] = {}
    for _ in range(200):
        nested = {"a": nested}

    with pytest.raises(ExpressionError, match="cannot be searched"):
        compile_extraction("$..b").extract(nested, scope)


KEYS = st.sampled_from(["a", "b", "é", "x-y", "z 1", ""])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 5) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
SEGMENTS = KEYS.map(lambda key: f"['{key}']") | st.integers(-3, 3).map(lambda index: f"[{index}]")


@given(tree=st.dictionaries(KEYS, TREES, max_size=3), path=st.lists(SEGMENTS, max_size=4).map("".join))
@settings(deadline=None, max_examples=150)
def test_plain_path_finds_what_the_library_finds(tree: dict[str, Any], path: str) -> None:
    query = compile_path(f"${path}")
    expected = JSONPathEnvironment(strict=True).findall(f"${path}", tree)

    found = query.find(tree)

    assert query.keys is not None
    assert expected == ([found] if expected else [])
