"""Makes up a value that fits a JSON Schema and that a person may have written."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from pytest_testmesh.schemas import DURATION_FORMAT

_MAX_DEPTH = 5
_MAX_PARTS = 500
_MOST_OPTIONAL = 5
_MAX_ITEMS = 20
_MAX_LENGTH = 1000
_MAX_NUMBER = 1e15

_FORMATS = {
    DURATION_FORMAT: "10s",
    "date": "2024-01-31",
    "date-time": "2024-01-31T12:00:00Z",
    "duration": "PT10S",
    "email": "user@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "time": "12:00:00Z",
    "uri": "https://example.com",
    "uri-reference": "/path",
    "url": "https://example.com",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
}
_NAMES = {"url": "https://example.com", "uri": "https://example.com", "email": "user@example.com", "path": "/path"}
_OF_NUMBERS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
# What patterns often ask for: a word, a number, a code, a colour, a version, a path.
_CANDIDATES = ("a", "1", "A", "abc", "ABC", "123", "A1", "a-1", "1.0.0", "#ffffff", "/path", "10s", "0000")


def example_config(schema: Mapping[str, Any] | None, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a step's config: the required keys, or the first few where none is required."""
    if not isinstance(schema, Mapping):
        return {}
    maker = _Maker(schema)
    whole = maker.resolved(schema, 0)
    required = [key for key in _list(whole, "required") if isinstance(key, str)]
    properties = _mapping(whole, "properties")
    keys = required or list(properties)[:_MOST_OPTIONAL]
    return {
        key: defaults[key] if key in defaults else maker.value(properties.get(key, True), str(key), 1) for key in keys
    }


class _Maker:
    """Makes values from parts of one schema; *root* is where its ``$ref`` point into.

    Schemas may refer to themselves: after so many parts, the rest gets the simplest value.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._parts_left = _MAX_PARTS

    def value(self, schema: Any, name: str, depth: int) -> Any:
        """Return a value that fits *schema*; *name* is the key it stands under."""
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            return _text(_EMPTY, name)
        schema = self.resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        for key in ("examples", "enum"):
            if choices := _list(schema, key):
                return choices[0]
        for key in ("example", "default"):
            if schema.get(key) is not None:
                return schema[key]
        return self._of_type(schema, name, depth)

    def resolved(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """Return the schema with its ``$ref``, its ``allOf`` and the first of its alternatives taken in."""
        self._parts_left -= 1
        if depth > _MAX_DEPTH or self._parts_left < 0:
            return {}
        parts = [self._target(schema["$ref"])] if isinstance(schema.get("$ref"), str) else []
        parts += _list(schema, "allOf")
        for word in ("oneOf", "anyOf"):
            parts += [each for each in _list(schema, word) if not _is_null(each)][:1]
        merged: dict[str, Any] = dict(schema)
        for part in parts:
            if isinstance(part, Mapping):
                merged = _merged(merged, self.resolved(part, depth + 1))
        return merged

    def _target(self, reference: str) -> Any:
        """Return the part of the schema that ``#/$defs/name`` points to; nothing for any other kind of reference."""
        found: Any = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            found = _mapping({"": found}, "").get(part.replace("~1", "/").replace("~0", "~"))
        return found if reference.startswith("#") else None

    def _of_type(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        kind = _type(schema)
        if kind == "object":
            properties = _mapping(schema, "properties")
            required = [key for key in _list(schema, "required") if isinstance(key, str)]
            return {key: self.value(properties.get(key, True), key, depth + 1) for key in required}
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in {"integer", "number"}:
            return _number(schema, whole=kind == "integer")
        if kind in {"boolean", "null"}:
            return True if kind == "boolean" else None
        return _text(schema, name)

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        first = [self.value(each, name, depth + 1) for each in _list(schema, "prefixItems")[:_MAX_ITEMS]]
        fewest = max(int(_bound(schema, "minItems", 0)), 0 if first else 1)
        count = max(min(fewest, int(_bound(schema, "maxItems", _MAX_ITEMS)), _MAX_ITEMS) - len(first), 0)
        return first + [self.value(schema.get("items", True), name, depth + 1) for _ in range(count)]


_EMPTY: Mapping[str, Any] = {}


def _type(schema: Mapping[str, Any]) -> str:
    declared = schema.get("type")
    if isinstance(declared, list):
        declared = next((each for each in declared if each != "null"), "null")
    if isinstance(declared, str):
        return declared
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "number" if schema.keys() & _OF_NUMBERS else "string"


def _number(schema: Mapping[str, Any], *, whole: bool) -> int | float:
    """The plainest number within the bounds; 1 where none of those tried is."""
    low = max(_bound(schema, "minimum", -math.inf), _bound(schema, "exclusiveMinimum", -math.inf))
    high = min(_bound(schema, "maximum", math.inf), _bound(schema, "exclusiveMaximum", math.inf))
    step = abs(_bound(schema, "multipleOf", 1)) or 1
    ends = [each for each in (low, high, (low + high) / 2) if math.isfinite(each)]
    multiples = [(round(each / step) + more) * step for each in ends for more in (0, 1, -1)]
    return next((_plain(each) for each in (1, *ends, *multiples) if _is_within(each, schema, whole)), 1)


def _is_within(number: float, schema: Mapping[str, Any], whole: bool) -> bool:
    multiple = number / (_bound(schema, "multipleOf", 0) or 1)
    return (
        _bound(schema, "minimum", -math.inf) <= number <= _bound(schema, "maximum", math.inf)
        and _bound(schema, "exclusiveMinimum", -math.inf) < number < _bound(schema, "exclusiveMaximum", math.inf)
        and ("multipleOf" not in schema or multiple == int(multiple))
        and (not whole or number == int(number))
    )


def _plain(number: float) -> int | float:
    return int(number) if number == int(number) else number


def _text(schema: Mapping[str, Any], name: str) -> str:
    made = _FORMATS.get(str(schema.get("format"))) or _NAMES.get(name.lower()) or "example"
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        return next((each for each in (made, name, *_CANDIDATES) if _matches(pattern, each)), made)
    shortest = min(int(_bound(schema, "minLength", 0)), _MAX_LENGTH)
    longest = int(_bound(schema, "maxLength", _MAX_LENGTH))
    return made.ljust(shortest, "x")[: max(longest, 0)]


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return False


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    both = {**other, **one}
    for key in ("properties", "required"):
        if key in one and key in other:
            both[key] = (
                {**_mapping(other, key), **_mapping(one, key)}
                if key == "properties"
                else list(dict.fromkeys(map(str, [*_list(one, key), *_list(other, key)])))
            )
    return both


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _bound(schema: Mapping[str, Any], key: str, default: float) -> float:
    value = schema.get(key)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return default
    return value if abs(value) < _MAX_NUMBER else default


def _mapping(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = schema.get(key)
    return value if isinstance(value, Mapping) else _EMPTY


def _list(schema: Mapping[str, Any], key: str) -> list[Any]:
    value = schema.get(key)
    return value if isinstance(value, list) else []
