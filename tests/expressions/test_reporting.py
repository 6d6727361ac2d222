"""What a failure report asks of an expression: the names it reads, its parts, the two sides of a comparison."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.expressions import Comparison, Part, compile_expression
from pytest_testmesh.scope import ResultNames, Scope

RESULT = {"status": 500, "body": {"total": 25, "items": [{"price": 1}, {"price": 0}], "flag": False, "none": None}}


@pytest.fixture
def names() -> ResultNames:
    """An assertion on RESULT with two variables."""
    scope = Scope(options={"cart_total": 25, "shipping": 5}, builtins=BuiltinValues({}), environ={})
    return ResultNames(RESULT, scope)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("body.total == cart_total + shipping", {"body.total": "25", "cart_total + shipping": "30"}),
        ("body.total == 30", {"body.total": "25"}),
        ("30 == 5", {}),
        ("body.total == ${cart_total} + 5", {"body.total": "25", "${cart_total} + 5": "30"}),
        ("(body.total + 1) * 2 == 5", {"(body.total + 1) * 2": "52"}),
        ("5 == (body.total)", {"body.total": "25"}),
        ("status == 200 && body.total == 25", {"status": "500"}),
        ("status == 500 && body.total == 26", {"status": "500", "body.total": "25"}),
        ("status == 200 || body.total == 26", {"status": "500", "body.total": "25"}),
        ("not (status == 500)", {"status": "500"}),
        ("!body.flag == true", {"!body.flag": "true"}),
        ("body.flag", {"body.flag": "false"}),
        ("body.nope exists", {"body.nope": "body.nope is missing: body has no key nope"}),
        ("body.total not exists", {"body.total": "25"}),
        ("body.total is null", {"body.total": "25"}),
        ("status in [200, 201]", {"status": "500"}),
        ("status in [200, cart_total]", {"status": "500", "[200, cart_total]": "[200,25]"}),
        ("len(body.items) == 3", {"len(body.items)": "2"}),
        ("bool(body.flag)", {"body.flag": "false"}),
        ("status == 200 ? true : body.flag", {"status": "500", "body.flag": "false"}),
        (
            "all(body.items, {.price > 0})",
            {"body.items": '[{"price":1},{"price":0}]', "body.items[1]": '{"price":0}'},
        ),
        (
            "none(body.items, .price == 1)",
            {"body.items": '[{"price":1},{"price":0}]', "body.items[0]": '{"price":1}'},
        ),
        ("any(body.items, .price == 7)", {"body.items": '[{"price":1},{"price":0}]'}),
        ("body.nope.deeper == 5", {"body.nope.deeper": "body.nope.deeper is missing: body has no key nope"}),
        ("undefined_name == 5", {"undefined_name": "undefined_name is not defined"}),
        ("status == status + 1", {"status": "500", "status + 1": "501"}),
        ("'${cart_total}' == '5'", {"'${cart_total}'": '"25"'}),
        ("body.none ?? false", {"body.none ?? false": "false"}),
    ],
    ids=repr,
)
def test_parts_explain_a_false_result(names: ResultNames, text: str, expected: dict[str, str]) -> None:
    parts = compile_expression(text).parts(names)

    assert expected == {part.text: part.shown() for part in parts}
    assert all(part.text.startswith(text[part.offset : part.offset + part.length]) for part in parts)


def test_part_of_two_places_is_told_once(names: ResultNames) -> None:
    expected = (Part(text="status", value=500, offset=0, length=6),)

    assert expected == compile_expression("status == 1 || status == 2").parts(names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("body.total == 30", Comparison(operator="==", left=25, right=30)),
        ("(body.total != 30)", Comparison(operator="!=", left=25, right=30)),
        ("status not in [200]", Comparison(operator="not in", left=500, right=[200])),
        ("'abc' startsWith 'b'", Comparison(operator="startsWith", left="abc", right="b")),
        ("0.1 + 0.2 == 0.4", Comparison(operator="==", left=0.3, right=0.4)),
        ("status == 200 && true", None),
        ("body.flag", None),
        ("body.nope == 5", None),
        ("undefined_name == 5", None),
    ],
    ids=repr,
)
def test_comparison_gives_both_sides(names: ResultNames, text: str, expected: Comparison | None) -> None:
    assert expected == compile_expression(text).comparison(names)


@pytest.mark.parametrize(
    ("text", "bare", "in_placeholders"),
    [
        ("status == 200", {"status"}, set()),
        ("body.total == cart + ${shipping} + '{{tax}}'", {"body", "cart"}, {"shipping", "tax"}),
        ("all(items, .price > limit)", {"items", "limit"}, set()),
        ("map(items, {id: .id})", {"items"}, set()),
        ("$uuid != '' && random.string(5) exists", {"$uuid", "random"}, set()),
        ("$.a.b == 5", set(), set()),
        ("create-user.id == ${delete-user.id}", {"create-user"}, {"delete-user"}),
        ("a - b", {"a", "b"}, set()),
        ("${NAME:${OTHER:x}}", set(), {"NAME", "OTHER"}),
        ("body[key].x ?? y", {"body", "key", "y"}, set()),
        ("exists", {"exists"}, set()),
        ("true && null == nil", set(), set()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_are_those_that_are_read(text: str, bare: set[str], in_placeholders: set[str]) -> None:
    expression = compile_expression(text, frozenset({"create-user", "delete-user"}))

    assert bare == expression.names
    assert in_placeholders == expression.placeholder_names


def test_equal_texts_are_compiled_once() -> None:
    assert compile_expression("a == 1") is compile_expression("a == 1")


def test_longer_step_id_wins() -> None:
    ids = frozenset({"create", "create-user", "create-user-2"})

    assert {"create-user-2"} == compile_expression("create-user-2.id", ids).names


def test_step_id_is_not_a_part_of_a_longer_name() -> None:
    expected: Any = {"create", "users"}

    assert expected == compile_expression("create-users", frozenset({"create-user"})).names
    assert {"create", "user"} == compile_expression("create-user-2", frozenset({"create-user"})).names
