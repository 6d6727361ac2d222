"""Example steps: what a person gets to paste is a step that the loader reads and the action's schema takes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_testmesh.loader import load_flow
from pytest_testmesh.model import Step
from pytest_testmesh.registry.example_step import example_step
from pytest_testmesh.schemas import ConfigSchema


def pasted(text: str) -> Step:
    """The step as a flow has it after *text* was pasted below ``steps:``."""
    lines = "".join(f"    {line}\n" for line in text.rstrip("\n").split("\n"))
    flow = f"flow:\n  name: Pasted\n  steps:\n{lines}"
    return load_flow(flow.encode(), "flow.yaml").steps[0]  # type: ignore[union-attr]  # it is one


def config_of(schema: dict[str, Any]) -> Any:
    step = pasted(example_step("shop.order", schema))
    return step.config.fill(None)  # type: ignore[arg-type]  # nothing is left to fill in


def of_value(schema: dict[str, Any], *, key: str = "it") -> Any:
    return config_of({"type": "object", "properties": {key: schema}, "required": [key]})[key]


def test_the_pages_action_gives_a_step_to_paste() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

    assert (
        "- id: hello\n"  #
        "  action: my-plugin.hello\n"
        "  config:\n"
        "    name: example\n"
    ) == example_step("my-plugin.hello", schema)


@pytest.mark.parametrize("schema", [None, {}, {"type": "object"}, {"type": "object", "properties": {}}])
def test_an_action_that_asks_for_nothing_has_no_config(schema: dict[str, Any] | None) -> None:
    assert "- id: my_plugin\n  action: my-plugin\n" == example_step("my-plugin", schema)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        pytest.param({"const": 7}, 7, id="const"),
        pytest.param({"enum": ["fast", "slow"]}, "fast", id="enum"),
        pytest.param({"type": "string", "default": "eu"}, "eu", id="default"),
        pytest.param({"type": "string", "examples": ["mug", "cup"], "default": "x"}, "mug", id="examples"),
        pytest.param({"type": "string", "example": "mug"}, "mug", id="example of OpenAPI"),
        pytest.param({"type": "boolean"}, True, id="boolean"),
        pytest.param({"type": "null"}, None, id="null"),
        pytest.param({"type": ["null", "integer"]}, 1, id="first type that is not null"),
        pytest.param({"type": "integer", "minimum": 5}, 5, id="minimum"),
        pytest.param({"type": "integer", "exclusiveMinimum": 5}, 6, id="exclusive minimum"),
        pytest.param({"type": "integer", "maximum": -3}, -3, id="maximum"),
        pytest.param({"type": "integer", "exclusiveMaximum": 1}, 0, id="exclusive maximum"),
        pytest.param({"type": "integer", "minimum": 7, "multipleOf": 5}, 10, id="multiple"),
        pytest.param({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5, id="between"),
        pytest.param({"minimum": 3}, 3, id="number by its bounds"),
        pytest.param({"type": "string", "minLength": 10}, "examplexxx", id="shortest"),
        pytest.param({"type": "string", "maxLength": 2}, "ex", id="longest"),
        pytest.param({"type": "string", "pattern": "^[A-Z]{3}$"}, "ABC", id="pattern"),
        pytest.param({"type": "string", "format": "uuid"}, "123e4567-e89b-12d3-a456-426614174000", id="format"),
        pytest.param({"type": "string", "format": "testmesh-duration"}, "10s", id="duration"),
        pytest.param({"type": "array", "items": {"type": "integer"}}, [1], id="array"),
        pytest.param({"type": "array", "minItems": 2, "items": {"enum": ["a"]}}, ["a", "a"], id="fewest items"),
        pytest.param({"type": "array", "maxItems": 0}, [], id="no items"),
        pytest.param({"prefixItems": [{"type": "integer"}, {"type": "boolean"}]}, [1, True], id="prefix items"),
        pytest.param({"properties": {"a": {}, "b": {}}, "required": ["b"]}, {"b": "example"}, id="object"),
        pytest.param({"oneOf": [{"type": "null"}, {"type": "integer"}]}, 1, id="one of"),
        pytest.param({"anyOf": [{"const": "x"}, {"const": "y"}]}, "x", id="any of"),
        pytest.param({"allOf": [{"type": "integer"}, {"minimum": 4}]}, 4, id="all of"),
        pytest.param(True, "example", id="anything"),
    ],
)
def test_a_value_follows_its_schema(schema: Any, value: Any) -> None:
    whole = {"type": "object", "properties": {"it": schema}, "required": ["it"]}

    assert value == of_value(schema)
    assert None is ConfigSchema(whole).violation({"it": value})
    assert "#" not in example_step("a", whole)


def test_a_url_looks_like_one() -> None:
    assert "https://example.com" == of_value({"type": "string"}, key="url")


def test_references_into_the_schema_are_followed() -> None:
    schema = {
        "$defs": {"sku/id": {"type": "object", "properties": {"code": {"const": 9}}, "required": ["code"]}},
        "properties": {"sku": {"$ref": "#/$defs/sku~1id"}},
        "required": ["sku"],
    }

    assert {"sku": {"code": 9}} == config_of(schema)


def test_a_schema_that_needs_itself_ends() -> None:
    keys = [f"k{number}" for number in range(12)]
    schema = {
        "properties": {key: {"$ref": "#"} for key in keys},
        "required": keys,
        "allOf": [{"$ref": "#"}, {"$ref": "#"}],
    }

    assert keys == list(config_of(schema))


def test_optional_keys_are_shown_where_none_is_required() -> None:
    properties = {key: {"type": "string"} for key in "abcdefg"}

    assert ["a", "b", "c", "d", "e"] == list(config_of({"type": "object", "properties": properties}))


def test_only_required_keys_are_shown_where_there_are_some() -> None:
    assert ["b"] == list(config_of({"properties": {"a": {}, "b": {}}, "required": ["b"]}))


def test_the_manifests_config_goes_before_made_up_values() -> None:
    schema = {"properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a", "b"]}

    assert {"a": 30, "b": "example"} == pasted(example_step("x", schema, defaults={"a": 30, "c": 1})).config.value


def test_the_comment_is_one_line_of_text() -> None:
    schema = {"properties": {"a": {"enum": ["\x08\n- id: b"], "const": "x"}}, "required": ["a"]}

    first, second, *_ = example_step("a", schema).split("\n")

    assert first.startswith("# to change: config.a")
    assert first.isprintable()
    assert "- id: a" == second


def test_what_cannot_be_made_up_is_said() -> None:
    schema = {"properties": {"code": {"type": "string", "pattern": "^QX-[0-9]{7}$"}}, "required": ["code"]}

    first, *_ = example_step("a", schema).splitlines()

    assert first.startswith("# to change: config.code: 'example'")
    assert "^QX-[0-9]{7}$" in first


@pytest.mark.parametrize(
    ("action", "step_id"),
    [
        ("my-plugin.sayHello", "sayhello"),
        ("my-plugin", "my_plugin"),
        ("shop.v2.create-order", "create_order"),
        ("a.true", "step_true"),
        ("a.404", "step_404"),
        ("a.ütf", "tf"),
        ("日本", "step"),
        ("a." + "x" * 200, "x" * 64),
    ],
)
def test_the_id_is_one_that_flows_take(action: str, step_id: str) -> None:
    step = pasted(example_step(action))

    assert (step_id, action) == (step.id, step.action)


TEXTS = [
    *("${HOME}", "$${x}", "{{name}}", "{{.Name}}", "{{{{x", "$", "{"),
    *("1e5", "0o7", "01234", "no", "null", "~", "", "<<", "=", "2024-01-01"),
    *(" a ", "a: b", "# x", "- x", "*a", "&a", "!t", "it's", '"', "日本"),
    *("\n", "a\n\n", "two\nlines\n", " indented\nlines", "\ttab", "\x1b[31m", "\x85", "\u202e", "\r\n"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_arrive_as_they_stand_in_the_schema(text: str) -> None:
    assert text == of_value({"type": "string", "default": text})


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
@settings(max_examples=150, deadline=None)
def test_any_text_arrives_as_it_stands(text: str) -> None:
    assert text == of_value({"const": text})


KEYS = st.sampled_from(
    "type enum const default examples properties required items prefixItems minItems maxItems minimum maximum "
    "multipleOf exclusiveMinimum exclusiveMaximum minLength maxLength pattern format allOf anyOf oneOf $ref $defs "
    "a b".split()
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, JUNK, max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_json_is_taken_for_a_schema(schema: dict[str, Any]) -> None:
    assert "x.y" == yaml.safe_load(example_step("x.y", schema))[0]["action"]
