"""Values that flows compute with: their types, their text form, and the two kinds that are not JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

from pytest_testmesh.errors import ExpressionError, MissingPathError

_NUMBER_TEXT = re.compile(r"-?(?:0|[1-9][0-9]{0,300})(?:\.[0-9]{1,300})?")
_MAX_SHOWN = 60
_MAX_KEYS_SHOWN = 12
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Missing:
    """A place in a value that is not there, which is not the same as null.

    *path* is the text that looked for it, *reason* a clause such as ``body has no key total``, *keys* what was
    there in its place, *sought* the key that was looked for.
    """

    path: str
    reason: str
    keys: tuple[str, ...] = ()
    sought: str | None = None

    def error(self) -> MissingPathError:
        """Return the error of using this where a value is needed; the hint lists the keys that were there."""
        message = f"{self.path} is missing: {self.reason}"
        return MissingPathError(message, hint=keys_hint(self.keys, self.sought))


class Namespace:
    """A group of names behind one name, such as ``random``; its members are values or further groups.

    *description* tells what it is where a value is needed.
    """

    description = "a group of names"

    def member(self, name: str) -> Any:
        """Return the value of ``group.name``.

        Raises:
            ExpressionError: There is no such member.
        """
        raise ExpressionError(f"there is no member {name}")

    def call(self, name: str, args: list[Any]) -> Any:
        """Return the value of ``group.name(args)``.

        Raises:
            ExpressionError: It cannot be called, or not with these arguments.
        """
        raise ExpressionError(f"{name} cannot be called")


_TYPE_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    Decimal: "number",
    str: "string",
    list: "array",
    tuple: "array",
    dict: "object",
    datetime: "date",
    Missing: "missing",
}


def one_line(text: str) -> str:
    """Put a text on one line, each space between words a single one; a terminal must not act on what it holds."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", " ".join(text.split()))


def type_name(value: object) -> str:
    """Return ``null``, ``number``, ``string``, ``boolean``, ``array`` or ``object``.

    Inside an expression there are also ``date`` (of ``now()``), ``missing`` and ``group`` (a `Namespace`).
    """
    found = _TYPE_NAMES.get(type(value))
    if found is not None:
        return found
    if isinstance(value, Mapping):
        return "object"
    if isinstance(value, Namespace):
        return "group"
    return next(
        (name for kind, name in _TYPE_NAMES.items() if isinstance(value, kind)), f"Python {type(value).__name__}"
    )


def from_text(text: str) -> Any:
    """Turn text into a number or boolean where writing that value gives the same text again, else return the text.

    ``8080``, ``29.9`` and ``true`` are values; ``01234``, ``1.10``, ``1e5`` and ``+5`` stay text.
    """
    if text == "true":
        return True
    if text == "false":
        return False
    if not _NUMBER_TEXT.fullmatch(text):
        return text
    value: int | float = float(text) if "." in text else int(text)
    return value if to_text(value) == text else text


def to_text(value: Any) -> str:
    """Write a value as it appears inside longer text: text as it is, numbers in shortest form, the rest as JSON.

    Raises:
        ExpressionError: The value has no text form: it is missing, or not JSON.
    """
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is int:
        return _write_int(value)
    if kind is float:
        return _write_float(value)
    return _write_other(value)


def _write_int(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # Python's limit on the digits of an integer
        raise ExpressionError("a number of more than 4300 digits cannot be written") from None


def _write_float(value: float) -> str:
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


def _write_other(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str.__str__(value)
    value = to_json(value)
    return to_text(value) if type(value) in (str, int, float) else write_json(value)


def write_json(value: Any) -> str:
    """Write a value as compact JSON, letters of all languages as they are.

    Raises:
        ExpressionError: It holds something that is not JSON, or is nested too deeply.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_json_default)
    except (TypeError, ValueError, RecursionError) as exc:
        raise ExpressionError(f"this value cannot be written as JSON: {exc}") from None


def _json_default(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return to_json(value)


def to_json(value: Any) -> Any:
    """Return what leaves an expression: a decimal becomes int where it is whole, else float; a date ISO 8601 text.

    Raises:
        ExpressionError: The value is missing, a group of names, or too large for a float.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Decimal):
        return _from_decimal(value)
    if isinstance(value, datetime):
        return _iso_text(value)
    if isinstance(value, Missing):
        raise value.error()
    if isinstance(value, Namespace):
        raise ExpressionError(
            f"{value.description} is not a value", hint="name a part of it: random.uuid, fixtures.shop.url"
        )
    if type_name(value) not in _JSON_TYPES:
        raise ExpressionError(f"a Python object of type {type(value).__name__} is not a JSON value")
    return value


_PLAIN = frozenset({str, int, float, bool, type(None), list, dict})
_JSON_TYPES = frozenset({"null", "boolean", "number", "string", "array", "object"})


def _from_decimal(value: Decimal) -> int | float:
    if value == value.to_integral_value():
        return int(value)
    return float(value)


def _iso_text(value: datetime) -> str:
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def describe(value: Any) -> str:
    """Say in a few words what a value is, for messages: ``the number 5``, ``an array of 3``."""
    kind = type_name(value)
    if kind in {"null", "missing"}:
        return kind
    if kind == "array":
        return f"an array of {len(value)}"
    if kind == "object":
        return f"an object with keys {list_keys(value)}" if value else "an empty object"
    if kind == "date":
        return f"the date {_iso_text(value)}"
    if kind not in _JSON_TYPES:
        return f"a {kind}"
    shown = write_json(value) if kind == "string" else to_text(value)
    return f"the {kind} {shorten(shown)}"


def describe_shape(value: Any) -> str:
    """Say what kind of value it is without showing it: ``null``, ``a string``, ``an array of 3``."""
    kind = type_name(value)
    if kind == "array":
        return f"an array of {len(value)}"
    if kind in {"null", "missing"}:
        return kind
    return "an object" if kind == "object" else f"a {kind}"


def shorten(text: str, limit: int = _MAX_SHOWN) -> str:
    """Cut text for a message."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def list_keys(keys: Iterable[object]) -> str:
    """Write some keys for a message, the first dozen of them."""
    names = [str(key) for key in keys]
    shown = ", ".join(shorten(name) for name in names[:_MAX_KEYS_SHOWN])
    return shown if len(names) <= _MAX_KEYS_SHOWN else f"{shown} and {len(names) - _MAX_KEYS_SHOWN} more"


def near_matches(word: str, known: Iterable[str], count: int = 3, *, cutoff: float = 0.6) -> list[str]:
    """Return what of *known* was probably meant, at most *count*, the likeliest first."""
    import difflib  # loaded by the first mistake

    return difflib.get_close_matches(word, known, n=count, cutoff=cutoff)


def keys_hint(keys: tuple[str, ...], sought: str | None) -> str | None:
    """Say which keys were there, and which of them was probably meant."""
    if not keys:
        return None
    near = _nearest(sought, keys) if sought is not None else None
    if near is None:
        return f"keys there: {list_keys(keys)}"
    written = near if near.isidentifier() else f'["{near}"]'
    return f"did you mean {written}? keys there: {list_keys(keys)}"


def _nearest(sought: str, keys: tuple[str, ...]) -> str | None:
    for key in keys:
        # headers.Content-Type reads as a subtraction from headers.Content
        if key.startswith(f"{sought}-") or key.lower() == sought.lower():
            return key
    return next(iter(near_matches(sought, keys, 1, cutoff=0.7)), None)
