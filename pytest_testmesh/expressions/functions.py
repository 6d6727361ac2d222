"""The table of the language's functions and methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pytest_testmesh.expressions import arrays, scalars


class Function(NamedTuple):
    """A function or method.

    *run* takes the `Site` and the arguments, a method's receiver first. *max_args* None means any number. With
    *predicate* the second argument is an expression over the elements of the first, passed on as a callable.
    """

    run: Callable[..., Any]
    min_args: int
    max_args: int | None
    predicate: bool = False


FUNCTIONS: dict[str, Function] = {
    "len": Function(arrays.length, 1, 1),
    "count": Function(arrays.count, 1, 2, predicate=True),
    "any": Function(arrays.some, 1, 2, predicate=True),
    "all": Function(arrays.every, 1, 2, predicate=True),
    "none": Function(arrays.no_one, 1, 2, predicate=True),
    "one": Function(arrays.exactly_one, 1, 2, predicate=True),
    "filter": Function(arrays.select, 2, 2, predicate=True),
    "map": Function(arrays.project, 2, 2, predicate=True),
    "sum": Function(arrays.total, 1, 2, predicate=True),
    "min": Function(arrays.smallest, 1, None),
    "max": Function(arrays.largest, 1, None),
    "avg": Function(arrays.average, 1, 2, predicate=True),
    "first": Function(arrays.first, 1, 1),
    "last": Function(arrays.last, 1, 1),
    "keys": Function(arrays.keys, 1, 1),
    "values": Function(arrays.values, 1, 1),
    "sort": Function(arrays.sort, 1, 2),
    "unique": Function(arrays.unique, 1, 1),
    "upper": Function(scalars.upper, 1, 1),
    "lower": Function(scalars.lower, 1, 1),
    "trim": Function(scalars.trim, 1, 2),
    "split": Function(scalars.split, 2, 3),
    "join": Function(scalars.join, 1, 2),
    "replace": Function(scalars.replace, 3, 3),
    "abs": Function(scalars.absolute, 1, 1),
    "round": Function(scalars.round_half_up, 1, 2),
    "floor": Function(scalars.floor, 1, 1),
    "ceil": Function(scalars.ceil, 1, 1),
    "int": Function(scalars.to_int, 1, 1),
    "float": Function(scalars.to_float, 1, 1),
    "string": Function(scalars.to_string, 1, 1),
    "bool": Function(scalars.to_bool, 1, 1),
    "type": Function(scalars.type_of, 1, 1),
    "now": Function(scalars.now, 0, 0),
    "date": Function(scalars.date, 1, 1),
    "duration": Function(scalars.duration, 1, 1),
    "fromJSON": Function(scalars.from_json, 1, 1),
    "toJSON": Function(scalars.to_json_text, 1, 1),
    "base64": Function(scalars.to_base64, 1, 1),
    "sha256": Function(scalars.sha256, 1, 1),
}

METHODS: dict[str, Function] = {
    "upper": Function(scalars.upper, 0, 0),
    "lower": Function(scalars.lower, 0, 0),
    "trim": Function(scalars.trim, 0, 1),
    "substring": Function(scalars.substring, 1, 2),
}
"""Methods of strings; the counts are without the receiver."""
