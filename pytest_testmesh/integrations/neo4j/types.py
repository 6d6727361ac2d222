"""Neo4j's values as JSON: nodes, relationships, paths, times, durations and points; the rest as everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neo4j.graph import Node, Path, Relationship
from neo4j.spatial import Point, WGS84Point
from neo4j.time import Date, DateTime, Duration, Time

from pytest_testmesh.integrations._json import to_json

_PLAIN = frozenset({str, int, bool, type(None)})


def value_to_json(value: Any) -> Any:
    """Return *value*, as the driver gives it, as null, bool, int, float, str, list or dict."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        return [value_to_json(each) for each in value]
    if kind is dict:
        return {key: value_to_json(each) for key, each in value.items()}
    # the classes of relationships are made by the driver, one for each type
    convert = _CONVERSIONS.get(kind)
    if convert is None:
        convert = next((each for base, each in _CONVERSIONS.items() if isinstance(value, base)), to_json)
    return convert(value)


def _node(node: Node) -> dict[str, Any]:
    return {
        "id": node.element_id,
        "element_id": node.element_id,
        "labels": sorted(node.labels),
        "properties": _properties(node),
    }


def _relationship(relationship: Relationship) -> dict[str, Any]:
    start, end = relationship.nodes
    return {
        "id": relationship.element_id,
        "element_id": relationship.element_id,
        "type": relationship.type,
        "start": None if start is None else start.element_id,
        "end": None if end is None else end.element_id,
        "properties": _properties(relationship),
    }


def _properties(entity: Node | Relationship) -> dict[str, Any]:
    return {key: value_to_json(each) for key, each in entity.items()}


def _path(path: Path) -> dict[str, Any]:
    return {
        "nodes": [_node(each) for each in path.nodes],
        "relationships": [_relationship(each) for each in path.relationships],
        "length": len(path),
    }


def _point(point: Point) -> dict[str, Any]:
    found: dict[str, Any] = {"srid": point.srid, **dict(zip("xyz", map(to_json, point), strict=False))}
    if isinstance(point, WGS84Point):
        found.update(zip(("longitude", "latitude", "height"), map(to_json, point), strict=False))
    return found


def _clock(value: Time) -> str:
    """As Cypher writes it: no fraction or one of 3, 6 or 9 digits; the offset, ``Z`` for none."""
    hour, minute, second, nanosecond = value.hour_minute_second_nanosecond
    text = f"{hour:02d}:{minute:02d}:{second:02d}"
    if nanosecond:
        fraction = f"{nanosecond:09d}"
        while fraction.endswith("000"):
            fraction = fraction[:-3]
        text += f".{fraction}"
    return text


def _offset(value: Time | DateTime) -> str:
    offset = value.utc_offset()
    if offset is None:
        return ""
    total_s = round(offset.total_seconds())
    hours, rest_s = divmod(abs(total_s), 3600)
    minutes, seconds = divmod(rest_s, 60)
    if not total_s:
        return "Z"
    return f"{'-' if total_s < 0 else '+'}{hours:02d}:{minutes:02d}" + (f":{seconds:02d}" if seconds else "")


def _time(value: Time) -> str:
    return _clock(value) + _offset(value)


def _datetime(value: DateTime) -> str:
    return f"{value.date().iso_format()}T{_clock(value.time())}{_offset(value)}"


def _vector(value: Any) -> list[Any]:
    return [to_json(each) for each in value.to_native()]


_CONVERSIONS: dict[type, Callable[[Any], Any]] = {
    Node: _node,
    Relationship: _relationship,
    Path: _path,
    Point: _point,  # before tuples, of which it is one
    DateTime: _datetime,
    Date: lambda value: value.iso_format(),
    Time: _time,
    Duration: lambda value: value.iso_format(),
}

try:
    from neo4j.vector import Vector
except ImportError:  # older than 6
    pass
else:
    _CONVERSIONS[Vector] = _vector
