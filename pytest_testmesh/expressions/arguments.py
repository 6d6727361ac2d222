"""What functions need of their arguments: each check gives the value back or raises the call's error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.expressions.site import Site
from pytest_testmesh.values import type_name

MAX_TEXT = 50_000_000


def need_string(site: Site, index: int, value: Any) -> str:
    """Return the string."""
    if isinstance(value, str):
        return value
    hint = f"write string({site.of(site.operand(index))})" if type_name(value) in {"number", "boolean"} else None
    site.fail_need("a string", index, value, hint)


def need_number(site: Site, index: int, value: Any) -> Any:
    """Return the number: int, float or Decimal."""
    if type_name(value) == "number":
        return value
    hint = f"write float({site.of(site.operand(index))})" if isinstance(value, str) else None
    site.fail_need("a number", index, value, hint)


def need_integer(site: Site, index: int, value: Any, low: int = 0, high: int = 10**9) -> int:
    """Return the whole number within bounds."""
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    site.fail_need(f"a whole number from {low} on", index, value)


def need_array(site: Site, index: int, value: Any) -> list[Any]:
    """Return the array."""
    if isinstance(value, list):
        return value
    node = site.operand(index)
    hint = f"write values({site.of(node)})" if isinstance(value, Mapping) else None
    site.fail_need("an array", index, value, hint)


def need_object(site: Site, index: int, value: Any) -> Mapping[str, Any]:
    """Return the object."""
    if isinstance(value, Mapping):
        return value
    site.fail_need("an object", index, value)


def check_size(site: Site, length: int) -> None:
    """Refuse a text that would be too long."""
    if length > MAX_TEXT:
        site.fail(f"gives a text of more than {MAX_TEXT} characters")
