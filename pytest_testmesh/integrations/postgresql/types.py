"""PostgreSQL's types -> JSON: built-in ones by casters of each connection, all others as the server's catalog says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import extensions as ext
from psycopg2.extras import CompositeCaster

from pytest_testmesh.integrations._json import from_bytes, from_datetime, from_decimal, from_float, parse_json

if TYPE_CHECKING:
    from psycopg2._psycopg import _type as Caster  # called with a value as the server writes it, or None, and a cursor


def _new_type(oid: int, cast: Callable[[Any, Any], Any]) -> Caster:
    return ext.new_type((oid,), f"JSON_{oid}", cast)


def _array_of(oid: int, element: Caster) -> Caster:
    return ext.new_array_type((oid,), f"JSON_{oid}", element)


def _from_text(oid: int, convert: Callable[[str], Any]) -> Caster:
    return _new_type(oid, lambda value, cursor: None if value is None else convert(value))


def _json(value: str) -> Any:
    try:
        return parse_json(value)
    except RecursionError:
        return value


def _timestamp(value: str) -> str:
    return value.replace(" ", "T", 1) if value[:1].isdecimal() else value


def _timestamptz(value: str | None, cursor: Any) -> str | None:
    """``2024-01-31 10:00:00.5+02`` -> ``2024-01-31T08:00:00.5Z``; infinity and years that Python lacks stay."""
    if value is None:
        return None
    if value[:1].isdecimal() and not value.endswith("BC"):
        try:
            return from_datetime(ext.PYDATETIMETZ(value, cursor))
        except (ValueError, OverflowError):
            pass  # not a year of Python's
    return _timestamp(value)


def _bytea(value: str | None, cursor: Any) -> str | None:
    return None if value is None else from_bytes(psycopg2.BINARY(value, cursor))


def _float(value: str) -> float | str:
    return from_float(float(value))


# Type oids never change: https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat
_SCALARS: Mapping[int, tuple[int, Caster]] = {
    16: (1000, ext.BOOLEAN),
    17: (1001, _new_type(17, _bytea)),
    18: (1002, ext.UNICODE),
    19: (1003, ext.UNICODE),
    20: (1016, ext.LONGINTEGER),
    21: (1005, ext.INTEGER),
    23: (1007, ext.INTEGER),
    25: (1009, ext.UNICODE),
    26: (1028, _from_text(26, int)),
    114: (199, _from_text(114, _json)),
    700: (1021, _from_text(700, _float)),
    701: (1022, _from_text(701, _float)),
    1042: (1014, ext.UNICODE),
    1043: (1015, ext.UNICODE),
    1082: (1182, _from_text(1082, str)),
    1083: (1183, _from_text(1083, str)),
    1114: (1115, _from_text(1114, _timestamp)),
    1184: (1185, _new_type(1184, _timestamptz)),
    1186: (1187, _from_text(1186, str)),
    1266: (1270, _from_text(1266, str)),
    1700: (1231, _from_text(1700, lambda value: from_decimal(Decimal(value)))),
    2950: (2951, _from_text(2950, str)),
    3802: (3807, _from_text(3802, _json)),
}
_BUILTIN: dict[int, Caster] = {
    **{oid: caster for oid, (_, caster) in _SCALARS.items()},
    **{array: _array_of(array, caster) for array, caster in _SCALARS.values()},
}
_AS_TEXT = _from_text(0, str)
_NO_ARRAYS = frozenset({22, 30})
"""int2vector and oidvector: the catalog calls them arrays, but they are written ``1 2 3``."""

_LOOK_UP = """
SELECT t.oid, t.typtype::text, CASE t.typcategory WHEN 'A' THEN t.typelem ELSE 0 END, t.typbasetype,
    ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
    ARRAY(SELECT a.atttypid FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
FROM pg_catalog.pg_type t WHERE t.oid IN ({oids})
"""
_TypeRow = tuple[int, str, int, int, list[str], list[int]]
LookUp = Callable[[str], Sequence[Any]]
"""Runs a query and returns its rows."""


def _rest_as_text() -> Caster:
    """Return a caster that undoes what psycopg2, or code of the user's, does with types of which we know nothing."""
    others = ext.string_types.keys() - _BUILTIN.keys()
    return ext.new_type(tuple(others), "JSON_TEXT", lambda value, cursor: value)


class Types:
    """The casters of one connection. Enums, ranges and all types that nobody named are text, composites mappings."""

    def __init__(self, raw: ext.connection) -> None:
        for caster in (*_BUILTIN.values(), _rest_as_text()):
            ext.register_type(caster, raw)
        self._casters = dict(_BUILTIN)

    def forget(self) -> None:
        """Forget what the catalog said: types may have been changed."""
        self._casters = dict(_BUILTIN)

    def to_json(self, rows: list[tuple[Any, ...]], cursor: Any, oids: Sequence[int], look_up: LookUp) -> Sequence[Any]:
        """Return fetched rows with the values of types that are not built in, which came as text, as JSON too."""
        if not rows or _BUILTIN.keys() >= set(oids):
            return rows
        self._learn(oids, look_up)
        casters = [None if oid in _BUILTIN or self._casters[oid] is _AS_TEXT else self._casters[oid] for oid in oids]
        if not any(casters):
            return rows
        return [
            [value if caster is None else caster(value, cursor) for value, caster in zip(row, casters, strict=True)]
            for row in rows
        ]

    def _learn(self, oids: Iterable[int], look_up: LookUp) -> None:
        """Ask the catalog for these types and, level by level, for those they are made of."""
        found: dict[int, _TypeRow] = {}
        unknown = set(oids) - self._casters.keys()
        while unknown:
            rows = {row[0]: row for row in look_up(_LOOK_UP.format(oids=", ".join(map(str, sorted(unknown)))))}
            found |= rows
            parts = {part for row in rows.values() for part in (row[2], row[3], *row[5])}
            unknown = parts - self._casters.keys() - found.keys() - {0}
        for oid in {*oids, *found}:
            self._caster(oid, found)

    def _caster(self, oid: int, found: Mapping[int, _TypeRow]) -> Caster:
        if oid not in self._casters:
            self._casters[oid] = _AS_TEXT  # also where the catalog has no such type, and for types in themselves
            if oid in found and oid not in _NO_ARRAYS:
                self._casters[oid] = self._made(found[oid], found)
        return self._casters[oid]

    def _made(self, row: _TypeRow, found: Mapping[int, _TypeRow]) -> Caster:
        oid, kind, element, base, names, types = row
        if element:
            return _array_of(oid, self._caster(element, found))
        if kind == "d":
            return self._caster(base, found)
        if kind == "c":
            return _composite(oid, names, [self._caster(each, found) for each in types])
        return _AS_TEXT


def _composite(oid: int, names: Sequence[str], casters: Sequence[Caster]) -> Caster:
    def cast(value: str | None, cursor: Any) -> Any:
        if value is None:
            return None
        parts = CompositeCaster.tokenize(value)  # type: ignore[no-untyped-call]
        if len(parts) != len(names):  # the type was altered since it was looked up
            return value
        return {name: caster(part, cursor) for name, caster, part in zip(names, casters, parts, strict=True)}

    return _new_type(oid, cast)
