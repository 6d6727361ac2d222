"""Whatever the text, nothing but a `MeshError` comes out of the value language."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import ExpressionError, MeshError
from pytest_testmesh.expressions import compile_expression
from pytest_testmesh.extraction import compile_extraction
from pytest_testmesh.scope import ResultNames, Scope
from pytest_testmesh.template import compile_template

IDS = frozenset({"a-b"})
RESULT: dict[str, Any] = {
    "body": {"a": [1, 2.5, "x", None, True, {"b": []}], "s": "text", "n": 5, "none": None},
    "status": 200,
}
TOKENS = [
    *"a b body status $.a $ $.. $[ # . ?. [ ] ( ) { } , : ? ?? ! not && || and or".split(),
    *"== != < <= > >= = + - * / % **".split(),
    *"in contains matches startsWith endsWith exists is null empty string true false nil 0 5 0.5 1e3 99999".split(),
    *"len( all( map( filter( sum( min( sort( unique( int( round( split( replace( join( date( now() duration(".split(),
    *"fromJSON( toJSON( base64( .upper() .substring( .length .a .b a-b ${ {{ }} ${a} {{n}} ${x:y} $${ {{{{".split(),
    *["'", '"', "'x'", '"a${n}b"', "`", "\\", "'[a'", "'2024-01-31'", "'1h'", "{.a", "{a:", " ", "\n", "é", "\0", "$x"],
]
TREES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
texts = st.text(max_size=40)
token_texts = st.lists(st.sampled_from(TOKENS), max_size=14).map(" ".join)
dense_token_texts = st.lists(st.sampled_from(TOKENS), max_size=10).map("".join)
any_text = texts | token_texts | dense_token_texts


def scope_of(variables: dict[str, Any]) -> Scope:
    return Scope(options=variables, builtins=BuiltinValues({}), environ={})


VARIABLES = {"a": [1, 2], "b": {"a": {"b": "x"}}, "n": 7, "x": "y"}
NAMES = ResultNames(RESULT, scope_of(VARIABLES))


def assert_json(value: Any) -> None:
    json.dumps(value)


@given(any_text)
@example("a" * 5 + "'" * 3)
@example("1 ** 1e3 ** 99999")
@example("'[[a' matches '[[a'")
@example("[1e3 ** 99999]")
@example("'\\ud800'")
@example("base64('\\udc00')")
@settings(deadline=None, max_examples=600)
def test_any_expression_gives_json_or_a_mesh_error(text: str) -> None:
    try:
        expression = compile_expression(text, IDS)
    except MeshError:
        return
    expression.parts(NAMES)
    expression.comparison(NAMES)
    try:
        assert_json(expression.evaluate(NAMES))
        assert isinstance(expression.test(NAMES), bool)
    except MeshError:
        pass


@given(any_text)
@settings(deadline=None, max_examples=300)
def test_any_template_gives_json_or_a_mesh_error(text: str) -> None:
    try:
        assert_json(compile_template({"k": [text]}, IDS).fill(NAMES.placeholders))
    except MeshError:
        pass


@given(any_text | any_text.map("$".__add__) | any_text.map("$.".__add__))
@settings(deadline=None, max_examples=300)
def test_any_extraction_gives_json_or_a_mesh_error(text: str) -> None:
    try:
        assert_json(compile_extraction(text, IDS).extract(RESULT, NAMES))
    except MeshError:
        pass


@given(TREES, TREES, st.sampled_from("== != < <= > >= + - * / % ** in contains startsWith matches && || ??".split()))
@settings(deadline=None, max_examples=400)
def test_any_operands_give_json_or_an_expression_error(left: Any, right: Any, operator: str) -> None:
    names = scope_of({"left": left, "right": right})
    try:
        assert_json(compile_expression(f"left {operator} right").evaluate(names))
    except ExpressionError:
        pass


@given(TREES)
@settings(deadline=None, max_examples=150)
def test_filled_in_value_is_the_value_itself(value: Any) -> None:
    names = scope_of({"value": value})

    assert compile_template("${value}").fill(names) is value


@given(texts)
@settings(deadline=None, max_examples=150)
def test_filled_in_text_is_not_scanned_again(value: str) -> None:
    names = scope_of({"value": value})

    assert f"<{value}>" == compile_template("<${value}>").fill(names)


@given(TREES, TREES)
@settings(deadline=None, max_examples=200)
def test_equality_agrees_with_itself(left: Any, right: Any) -> None:
    names = scope_of({"left": left, "right": right})
    try:
        equal = compile_expression("left == right").test(names)
    except ExpressionError:
        with pytest.raises(ExpressionError):
            compile_expression("right == left").test(names)
        return

    assert equal is compile_expression("right == left").test(names)
    assert equal is not compile_expression("left != right").test(names)


@given(st.lists(st.integers(-5, 5) | st.decimals(-5, 5, places=2).map(float), max_size=6))
@settings(deadline=None, max_examples=100)
def test_sum_is_exact_in_decimals(numbers: list[float]) -> None:
    value = compile_expression("sum(numbers)").evaluate(scope_of({"numbers": numbers}))

    assert round(sum(numbers), 2) == value
