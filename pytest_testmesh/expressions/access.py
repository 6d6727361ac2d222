"""Members, elements and slices of values: a place that is not there gives `Missing`, not an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from pytest_testmesh.errors import ExpressionError
from pytest_testmesh.expressions.nodes import Index, Member, Slice
from pytest_testmesh.values import Missing, Namespace, describe, describe_shape, to_json


def member_of(value: Any, node: Member, source: str) -> Any:
    """Return ``value.name``; ``.length`` of an array or a string is its length."""
    name = node.name
    if isinstance(value, Mapping):
        return _key_of(value, name, node, source)
    if isinstance(value, Namespace):
        return value.member(name)
    if name == "length" and isinstance(value, (str, list)):
        return len(value)
    return _nothing_in(value, node, source)


def element_of(value: Any, index: Any, node: Index, source: str) -> Any:
    """Return ``value[index]``.

    Raises:
        ExpressionError: An array is not indexed by a whole number, or an object not by a string.
    """
    index = to_json(index)
    if isinstance(value, Mapping):
        if isinstance(index, str):
            return _key_of(value, index, node, source)
        _fail_index(node, source, "an object is indexed by a string", index)
    if isinstance(value, (list, str)):
        if not isinstance(index, int) or isinstance(index, bool):
            _fail_index(node, source, f"{describe_shape(value)} is indexed by a whole number", index)
        if -len(value) <= index < len(value):
            return value[index]
        reason = f"{_base(node, source)} has {len(value)} {'characters' if isinstance(value, str) else 'elements'}"
        return Missing(source[node.start : node.end], reason)
    if isinstance(value, Namespace) and isinstance(index, str):
        return value.member(index)
    return _nothing_in(value, node, source)


def slice_of(value: Any, low: Any, high: Any, node: Slice, source: str) -> Any:
    """Return ``value[low:high]``; bounds beyond the ends are the ends.

    Raises:
        ExpressionError: Neither an array nor a string, or a bound that is no whole number.
    """
    low, high = to_json(low), to_json(high)
    for bound in (low, high):
        if type(bound) is not int and bound is not None:
            _fail_index(node, source, "a slice is bounded by whole numbers", bound)
    if value is None or isinstance(value, Missing):
        return _nothing_in(value, node, source)
    if not isinstance(value, (list, str)):
        raise ExpressionError(f"only an array or a string can be sliced: {_base(node, source)} is {describe(value)}")
    return value[low:high]


def _key_of(value: Mapping[str, Any], key: str, node: Member | Index, source: str) -> Any:
    try:
        return value[key]
    except KeyError:
        keys = tuple(str(each) for each in value)
        return Missing(source[node.start : node.end], f"{_base(node, source)} has no key {key}", keys, key)


def _nothing_in(value: Any, node: Member | Index | Slice, source: str) -> Missing:
    path = source[node.start : node.end]
    if isinstance(value, Missing):
        return Missing(path, value.reason, value.keys, value.sought)
    return Missing(path, f"{_base(node, source)} is {describe_shape(value)}")


def _base(node: Member | Index | Slice, source: str) -> str:
    return source[node.base.start : node.base.end] or "the element"


def _fail_index(node: Index | Slice, source: str, rule: str, index: Any) -> NoReturn:
    raise ExpressionError(f"{source[node.start : node.end]}: {rule}, not by {describe(index)}")
