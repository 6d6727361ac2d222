"""Configs against JSON Schema: the quick proof must never say yes where jsonschema says no."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import referencing.exceptions
from hypothesis import given
from hypothesis import strategies as st

from pytest_testmesh.schemas import ConfigSchema, compile_proof, dotted

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["url"],
    "additionalProperties": False,
    "properties": {
        "url": {"type": "string"},
        "method": {"enum": ["GET", "POST"]},
        "timeout": {"type": ["number", "string"]},
        "count": {"type": "integer"},
        "headers": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
        "items": {
            "type": "array",
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        },
        "anything": {},
        "always": True,
        "never": False,
        "port": {"type": "integer", "minimum": 1},
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5, "description": "small letters"},
        "note": {"type": ["string", "null"], "minLength": 1},
    },
}

KEYS = st.sampled_from([*SCHEMA["properties"], "name"])
TYPES = ["string", "integer", "number", "null", "boolean", "object", "array", ["string", "null"]]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(allow_nan=False)
    | st.sampled_from(["GET", "", "1", "T\n"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
    max_leaves=8,
)
SCHEMAS = st.recursive(
    st.booleans()
    | st.fixed_dictionaries({}, optional={
        "type": st.sampled_from(TYPES),
        "enum": st.lists(JSON, min_size=1, max_size=3),
        "minimum": st.integers(-1, 1),
        "pattern": st.sampled_from(["^G", "^$", "T$(?!\\n)", "["]),
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(0, 2),
        "title": st.just("a title"),
    }),
    lambda inner: st.fixed_dictionaries({}, optional={
        "type": st.sampled_from(["object", "array", ["object", "array"]]),
        "properties": st.dictionaries(st.sampled_from(["url", "name", "count"]), inner, max_size=2),
        "required": st.lists(st.sampled_from(["url", "name"]), unique=True),
        "additionalProperties": inner,
        "items": inner,
    }),
    max_leaves=5,
)  # fmt: skip


@given(SCHEMAS, JSON)
def test_what_is_proved_fits(schema: Any, value: Any) -> None:
    if compile_proof(schema)(value):
        jsonschema.Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize(
    "config",
    [
        {"url": "http://x"},
        {"url": "http://x", "method": "POST", "timeout": 5, "count": 1, "headers": {"Accept": "json", "X": 1}},
        {"url": "http://x", "items": [{"name": "a"}, {"name": "b", "more": None}], "anything": [{}]},
    ],
    ids=["required only", "scalars", "nested"],
)
def test_a_usual_config_is_proved_without_jsonschema(config: dict[str, Any]) -> None:
    usual = {key: value for key, value in SCHEMA["properties"].items() if key in config}

    assert compile_proof({**SCHEMA, "properties": usual})(config)


HEADERS: dict[str, Any] = {"headers": {"X": []}}
LONG = {"name": "abcdef"}


@pytest.mark.parametrize(
    ("path", "message", "hint", "config"),
    [
        ((), "config lacks the key url", None, {}),
        (("url",), "config.url must be string, not 5", None, {"url": 5}),
        (
            ("url",),
            "config.url must be string, not {'app=\"x\"': None}",
            "put it in quotes: YAML reads { } as a mapping",
            {"url": {'app="x"': None}},
        ),
        (("url",), "config.url must be string, not {}", None, {"url": {}}),
        (("timeout",), "config.timeout must be number or string, not null", None, {"url": "x", "timeout": None}),
        (("count",), "config.count must be integer, not true", None, {"url": "x", "count": True}),
        (("methd",), "config has an unknown key methd", "did you mean method?", {"url": "x", "methd": "GET"}),
        (("headers", "X"), "config.headers.X must be string or number, not []", None, {"url": "x", **HEADERS}),
        (("items", 1), "config.items[1] lacks the key name", None, {"url": "x", "items": [{"name": "a"}, {}]}),
        (("items", 0, "name"), "config.items[0].name must be string, not 1", None, {"url": "", "items": [{"name": 1}]}),
        (("method",), "config.method: 'PUT' is not one of ['GET', 'POST']", None, {"url": "x", "method": "PUT"}),
        (("method",), "config.method: 'G' is not one of ['GET', 'POST']", None, {"url": "x", "method": "G"}),
        (("name",), "config.name: 'A' is not valid", "name: small letters", {"url": "x", "name": "A"}),
        (("name",), "config.name: 'abcdef' is longer than 5 characters", "name: small letters", {"url": "", **LONG}),
        (("note",), "config.note must not be empty", None, {"url": "x", "note": ""}),
        (("port",), "config.port: 0 is less than the minimum of 1", None, {"url": "x", "port": 0}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_violation_says_where_and_what(
    path: tuple[str | int, ...], message: str, hint: str | None, config: dict[str, Any]
) -> None:
    violation = ConfigSchema(SCHEMA).violation(config)

    assert violation is not None
    assert (path, message, hint) == (violation.path, violation.message, violation.hint)


@pytest.mark.parametrize(
    ("message", "value"),
    [("lacks the key url", {}), ("url must be string, not 5", {"url": 5}), ("must be object, not []", [])],
    ids=["missing", "wrong", "whole"],
)
def test_a_value_without_a_name_is_told_by_its_keys(message: str, value: object) -> None:
    violation = ConfigSchema(SCHEMA, name="").violation(value)

    assert violation is not None
    assert message == violation.message


def test_the_hint_for_a_choice_that_there_is_not_is_a_near_one() -> None:
    violation = ConfigSchema(SCHEMA).violation({"url": "x", "method": "POTS"})

    assert violation is not None
    assert "did you mean POST?" == violation.hint


def test_a_pattern_is_shown_where_nothing_describes_it() -> None:
    violation = ConfigSchema({"properties": {"a": {"pattern": "^x"}}}).violation({"a": "y"})

    assert violation is not None
    assert ("config.a: 'y' does not match '^x'", None) == (violation.message, violation.hint)


def test_what_is_never_allowed_is_told() -> None:
    violation = ConfigSchema(SCHEMA).violation({"url": "x", "never": 1})

    assert violation is not None
    assert "False schema does not allow 1" in violation.message


def test_a_value_may_be_called_something_else() -> None:
    violation = ConfigSchema(SCHEMA, name="answer").violation({"url": 5})

    assert violation is not None
    assert "answer.url must be string, not 5" == violation.message


def test_the_hint_for_a_missing_key_is_what_its_schema_says() -> None:
    schema = {"required": ["name"], "properties": {"name": {"description": "whom to greet"}}}

    violation = ConfigSchema(schema).violation({})

    assert violation is not None
    assert "name: whom to greet" == violation.hint


@pytest.mark.parametrize(
    "config",
    [{"url": "x", "count": 1.0}, {"url": "x", "always": object}, {"url": "x", "port": 8080}, {"url": "x", "items": []}],
    ids=["whole float", "boolean schema", "minimum", "empty list"],
)
def test_what_is_not_proved_is_left_to_jsonschema(config: dict[str, Any]) -> None:
    assert ConfigSchema(SCHEMA).violation(config) is None


def test_the_keys_that_there_are_stand_in_the_hint_when_none_is_near() -> None:
    violation = ConfigSchema({"properties": {"b": {}, "a": {}}, "additionalProperties": False}).violation({"zzz": 1})

    assert violation is not None
    assert "known keys: a, b" == violation.hint


@pytest.mark.parametrize(
    ("expected", "path"),
    [
        ({"type": "string"}, ("url",)),
        ({"type": ["string", "number"]}, ("headers", "Accept")),
        ({"type": "string"}, ("items", 0, "name")),
        ({}, ("nowhere",)),
        ({}, ("items", 0, "name", "deeper")),
        ({}, ("always",)),
    ],
    ids=str,
)
def test_the_schema_of_a_place_is_found(expected: dict[str, Any], path: tuple[str | int, ...]) -> None:
    assert expected == ConfigSchema(SCHEMA).at(path)


def test_a_reference_to_another_document_is_not_fetched() -> None:
    schema = ConfigSchema({"properties": {"order": {"$ref": "http://127.0.0.1:1/order.json"}}})

    with pytest.raises(referencing.exceptions.Unresolvable, match=r"order\.json"):
        schema.violation({"order": {}})


@pytest.mark.parametrize(
    ("text", "path"),
    [("", ()), ("a", ("a",)), ("items[0].name", ("items", 0, "name")), ("a.b[1][2]", ("a", "b", 1, 2))],
)
def test_a_path_is_written_for_people(text: str, path: tuple[str | int, ...]) -> None:
    assert text == dotted(path)
