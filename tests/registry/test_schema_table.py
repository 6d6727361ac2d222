"""Schemas become tables; whatever a plugin calls a schema, the page is still made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra server is not installed")

from pytest_testmesh.external.manifest import Manifest
from pytest_testmesh.external.protocol import DeclaredAction
from pytest_testmesh.registry.schema_table import schema_table
from pytest_testmesh.schemas import DURATION_FORMAT
from pytest_testmesh.server.page_actions import declared_view
from pytest_testmesh.server.page_templates import render


def row(schema: Any) -> tuple[str, str]:
    """Type and description of a key with this schema."""
    (only,) = schema_table({"properties": {"key": schema}}).rows[:1]
    return only.type, only.description


def deep(depth: int) -> Any:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"in": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "any"),
        (True, "any"),
        (False, "nothing"),
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"type": "string", "format": DURATION_FORMAT}, "duration"),
        ({"type": "array"}, "array"),
        ({"type": "array", "items": {"type": "integer"}}, "array of integer"),
        ({"enum": ["GET", "HEAD"]}, '"GET" or "HEAD"'),
        ({"enum": list(range(14))}, " or ".join([*map(str, range(12)), "2 more"])),
        ({"const": 5}, "5"),
        ({"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "string"}]}, "string or number"),
        ({"$ref": "#/$defs/item"}, "#/$defs/item"),
    ],
)
def test_type_in_words(schema: Any, words: str) -> None:
    assert words == row(schema)[0]


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"description": "How long"}, "How long"),
        ({"title": "Time"}, "Time"),
        ({"title": "Time", "description": "How long"}, "How long"),
        ({"default": "30s"}, 'default: "30s"'),
        ({"description": "How long", "default": None}, "How long (default: null)"),
        ({"description": "x" * 5000}, "x" * 597 + "..."),
    ],
)
def test_description_with_default(schema: Any, text: str) -> None:
    assert text == row(schema)[1]


def test_nested_keys_come_below_their_parent_in_the_schemas_order() -> None:
    pair = {"type": "object", "properties": {"name": {}, "value": {}}, "required": ["name"]}
    schema = {"properties": {"url": {}, "headers": {"type": "array", "items": pair}}, "required": ["url"]}

    found = [(each.key, each.required) for each in schema_table(schema).rows]

    assert [("url", True), ("headers", False), ("headers[].name", True), ("headers[].value", False)] == found


def test_long_table_is_cut_and_says_so() -> None:
    table = schema_table({"properties": {f"key{number}": {} for number in range(500)}})

    assert (60, True) == (len(table.rows), table.more)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": []},
        {"properties": {"a": 1, "b": None, "c": []}},
        {"properties": {"a": {"type": {"x": 1}}, "b": {"type": [5]}, "c": {"enum": {}}, "d": {"$ref": 5}}},
        {"properties": {"a": {"anyOf": [1, None]}, "b": {"items": [{}]}}, "required": 5},
        {"properties": {"a": {}}, "required": [{}, None]},
        {"properties": {"<b>\ud800": {"default": "\ud800</textarea>", "description": 5}}, "required": ["<b>\ud800"]},
        {"properties": {"x" * 100_000: {"enum": ["y" * 100_000] * 100}}},
        {"properties": {"a": {"pattern": "(a+)+$", "minLength": 10**9}}, "required": ["a"]},
        deep(900),
    ],
    ids=["list", "values", "types", "any_of", "required", "texts", "long", "sizes", "deep"],
)
def test_page_is_made_of_any_schema(schema: Any) -> None:
    manifest = Manifest(
        id="x", name="x", version="1.0.0", type="action", entry_point=Path("/x/server.py"), folder=Path("/x")
    )
    view = declared_view("x:1", manifest, DeclaredAction(id="x.y", schema=schema))

    html = render("action.html", each=view).body

    assert b"<b>" not in html
    assert len(html) < 200_000
