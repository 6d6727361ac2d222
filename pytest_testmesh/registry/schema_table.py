"""Reads a JSON Schema as a table for people: the keys of a step's config, what each may be and what it means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pytest_testmesh.schemas import DURATION_FORMAT
from pytest_testmesh.values import shorten

_MAX_ROWS = 60
_MAX_DEPTH = 4
_MAX_CHOICES = 12
_MAX_TEXT = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaRow:
    """One key: *key* with dots and ``[]`` down from the config, *type* and *description* in words."""

    key: str
    type: str
    required: bool
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaTable:
    """The keys of a schema in its own order; *more* says that the table was cut."""

    rows: tuple[SchemaRow, ...] = ()
    more: bool = False


def schema_table(schema: Mapping[str, Any] | None) -> SchemaTable:
    """Return the keys that *schema* describes; any JSON is taken, what is no schema has no rows."""
    rows = tuple(islice(_rows(schema, "", 0), _MAX_ROWS + 1))
    return SchemaTable(rows=rows[:_MAX_ROWS], more=len(rows) > _MAX_ROWS)


def _rows(schema: Any, above: str, depth: int) -> Iterator[SchemaRow]:
    if depth > _MAX_DEPTH:
        return
    properties = _mapping(schema, "properties")
    required = _list(schema, "required")
    for key, inner in properties.items():
        path = f"{above}.{key}" if above else key
        yield SchemaRow(
            key=shorten(path, 200), type=_type(inner, 0), required=key in required, description=_description(inner)
        )
        yield from _rows(inner, path, depth + 1)
        yield from _rows(_mapping(inner, "items"), f"{path}[]", depth + 1)


def _type(schema: Any, depth: int) -> str:
    if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
        return "nothing" if schema is False else "any"
    if "const" in schema:
        return _json(schema["const"])
    if choices := _list(schema, "enum"):
        return _choices(choices)
    for word in ("anyOf", "oneOf"):
        if parts := _list(schema, word):
            return " or ".join(dict.fromkeys(_type(part, depth + 1) for part in parts[:_MAX_CHOICES]))
    if isinstance(schema.get("$ref"), str):
        return shorten(schema["$ref"], 80)
    return _plain_type(schema, depth)


def _plain_type(schema: Mapping[str, Any], depth: int) -> str:
    if schema.get("format") == DURATION_FORMAT:
        return "duration"
    named = schema.get("type")
    names = [each for each in (named if isinstance(named, list) else [named]) if isinstance(each, str)]
    items = _type(schema.get("items"), depth + 1)
    texts = [f"array of {items}" if name == "array" and items != "any" else shorten(name, 40) for name in names]
    return " or ".join(texts) or "any"


def _choices(choices: list[Any]) -> str:
    shown = [_json(each) for each in choices[:_MAX_CHOICES]]
    rest = len(choices) - len(shown)
    return " or ".join([*shown, *([f"{rest} more"] if rest else [])])


def _description(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return ""
    texts = [each for key in ("title", "description") if isinstance(each := schema.get(key), str)]
    text = shorten(". ".join(texts[-1:]), _MAX_TEXT)
    if "default" not in schema:
        return text
    default = f"default: {_json(schema['default'])}"
    return f"{text} ({default})" if text else default


def _mapping(schema: Any, key: str) -> Mapping[str, Any]:
    value = schema.get(key) if isinstance(schema, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _list(schema: Any, key: str) -> list[Any]:
    value = schema.get(key) if isinstance(schema, Mapping) else None
    return value if isinstance(value, list) else []


def _json(value: Any) -> str:
    return shorten(json.dumps(value, ensure_ascii=False, default=str), 80)
