"""Functions of arrays and objects: predicates over elements, sums, order, keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from pytest_testmesh.expressions.arguments import need_array, need_object
from pytest_testmesh.expressions.operators import DECIMALS, OPERATORS, compute
from pytest_testmesh.expressions.site import Site, kinds, with_article
from pytest_testmesh.values import describe, to_json, type_name

Predicate = Callable[[Any], Any] | None
_ORDERED = frozenset({"number", "string", "date"})


def length(site: Site, value: Any) -> int:
    """Count characters, elements or keys."""
    if type_name(value) not in {"string", "array", "object"}:
        site.fail_need("a string, an array or an object", 0, value)
    return len(value)


def _verdicts(site: Site, items: Any, predicate: Predicate) -> Iterator[bool]:
    for index, item in enumerate(need_array(site, 0, items)):
        verdict = item if predicate is None else predicate(item)
        if not isinstance(verdict, bool):
            kinds(verdict)
            place = f"for element {index} it gave {describe(verdict)}"
            site.fail(f"needs a predicate that gives true or false: {place}", _predicate_hint(site, predicate))
        yield verdict


def _predicate_hint(site: Site, predicate: Predicate) -> str:
    if predicate is None and site.name() == "count()":
        return "len(...) counts all elements"
    return "compare something: all(items, .price > 0)"


def every(site: Site, items: Any, predicate: Predicate = None) -> bool:
    """Whether the predicate holds for each element; true for none."""
    return all(_verdicts(site, items, predicate))


def some(site: Site, items: Any, predicate: Predicate = None) -> bool:
    """Whether the predicate holds for at least one element."""
    return any(_verdicts(site, items, predicate))


def no_one(site: Site, items: Any, predicate: Predicate = None) -> bool:
    """Whether the predicate holds for no element."""
    return not any(_verdicts(site, items, predicate))


def exactly_one(site: Site, items: Any, predicate: Predicate = None) -> bool:
    """Whether the predicate holds for one element and no more."""
    return count(site, items, predicate) == 1


def count(site: Site, items: Any, predicate: Predicate = None) -> int:
    """How many elements the predicate holds for."""
    return sum(_verdicts(site, items, predicate))


def select(site: Site, items: Any, predicate: Predicate) -> list[Any]:
    """The elements the predicate holds for."""
    array = need_array(site, 0, items)
    return [item for item, verdict in zip(array, _verdicts(site, array, predicate), strict=True) if verdict]


def project(site: Site, items: Any, function: Callable[[Any], Any]) -> list[Any]:
    """What the predicate gives for each element."""
    return [to_json(function(item)) for item in need_array(site, 0, items)]


def total(site: Site, items: Any, function: Predicate = None) -> Any:
    """Add numbers, or what the predicate gives for each element."""
    added: Any = 0
    for index, item in enumerate(need_array(site, 0, items)):
        value = item if function is None else function(item)
        if kinds(value) != ["number"]:
            site.fail(f"needs numbers: element {index} is {describe(value)}")
        added = compute(DECIMALS.add, added, value, site) if type(value) is not int else _plus(added, value, site)
    return added


def _plus(added: Any, value: int, site: Site) -> Any:
    return added + value if type(added) is int else compute(DECIMALS.add, added, value, site)


def average(site: Site, items: Any, function: Predicate = None) -> Any:
    """The mean of numbers."""
    added = total(site, items, function)
    if not items:
        site.fail("of an empty array has no value", "test the length first: len(x) > 0 && ...")
    return compute(DECIMALS.divide, added, len(items), site)


def smallest(site: Site, *values: Any) -> Any:
    """The least of numbers, strings or dates, given one by one or as one array."""
    return _extreme(site, values, "<")


def largest(site: Site, *values: Any) -> Any:
    """The greatest of numbers, strings or dates."""
    return _extreme(site, values, ">")


def _extreme(site: Site, values: tuple[Any, ...], order: str) -> Any:
    items = need_array(site, 0, values[0]) if len(values) == 1 else list(values)
    if not items:
        site.fail("of an empty array has no value", "test the length first: len(x) > 0 && ...")
    _check_ordered(site, items)
    found = items[0]
    for item in items[1:]:
        if OPERATORS[order](item, found, site):
            found = item
    return found


def _check_ordered(site: Site, items: list[Any]) -> None:
    first = type_name(items[0])
    if first not in _ORDERED:
        first_is = describe(items[0])
        site.fail(f"needs numbers or strings: the first element is {first_is}", "take one key: map(x, .price)")
    for index, item in enumerate(items):
        if type_name(item) != first:
            both = f"the first is {with_article(first)}, element {index} is {describe(item)}"
            site.fail(f"needs elements of one type: {both}")


def sort(site: Site, items: Any, order: Any = "asc") -> list[Any]:
    """Order numbers or strings."""
    if order not in ("asc", "desc"):
        site.fail_need('the order "asc" or "desc"', 1, order)
    ordered = list(need_array(site, 0, items))
    if ordered:
        _check_ordered(site, ordered)
    return sorted(ordered, key=_sort_key, reverse=order == "desc")


def _sort_key(value: Any) -> Any:
    return to_json(value) if type(value) is Decimal else value


def unique(site: Site, items: Any) -> list[Any]:
    """The elements without repetitions, each where it first stood."""
    found: dict[Any, Any] = {}
    for item in need_array(site, 0, items):
        found.setdefault(_identity(item), item)
    return list(found.values())


def _identity(value: Any) -> Any:
    kind = type_name(value)
    if kind == "array":
        return kind, tuple(_identity(each) for each in value)
    if kind == "object":
        return kind, frozenset((key, _identity(each)) for key, each in value.items())
    return kind, value


def first(site: Site, items: Any) -> Any:
    """The first element, null if there is none."""
    array = need_array(site, 0, items)
    return array[0] if array else None


def last(site: Site, items: Any) -> Any:
    """The last element, null if there is none."""
    array = need_array(site, 0, items)
    return array[-1] if array else None


def keys(site: Site, value: Any) -> list[str]:
    """The keys of an object."""
    return list(need_object(site, 0, value))


def values(site: Site, value: Any) -> list[Any]:
    """The values of an object."""
    mapping: Mapping[str, Any] = need_object(site, 0, value)
    return list(mapping.values())
