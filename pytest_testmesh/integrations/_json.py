"""What drivers return -> JSON, as results hold it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

_MAX_DIGITS = 4000
"""Python refuses to write an integer of more than 4300 digits."""


def to_json(value: Any) -> Any:
    """Return *value* as null, bool, int, float, str, list or dict.

    Decimals become int where they are whole, float where that loses nothing, else text; NaN and infinities text; dates
    and times ISO 8601, those with a zone in UTC; durations ISO 8601; bytes text where they are UTF-8, else base64.
    Anything else becomes its text.
    """
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    convert = _CONVERSIONS.get(kind)
    if convert is not None:
        return convert(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json(each) for each in value]
    return next((convert(value) for kind, convert in _CONVERSIONS.items() if isinstance(value, kind)), str(value))


def from_decimal(value: Decimal) -> int | float | str:
    """Return a number where it is exact, else its text: ``10.00`` -> 10, ``0.1`` -> 0.1, ``NaN`` -> ``"NaN"``."""
    if not value.is_finite():
        return "NaN" if value.is_nan() else from_float(float(value))
    if value == value.to_integral_value() and value.adjusted() < _MAX_DIGITS:
        return int(value)
    as_float = float(value)
    return as_float if isfinite(as_float) and Decimal(repr(as_float)) == value else str(value)


def from_float(value: float) -> float | str:
    """Return what JSON has, else ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``."""
    if isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def from_bytes(value: bytes | bytearray | memoryview) -> str:
    """Return the text that the bytes are in UTF-8, else base64."""
    data = bytes(value)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return b64encode(data).decode("ascii")


def from_datetime(value: datetime) -> str:
    """Return ISO 8601; a time with a zone in UTC, so that servers of different zones give the same."""
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(timezone.utc).replace(tzinfo=None).isoformat() + "Z"


def from_timedelta(value: timedelta) -> str:
    """Return an ISO 8601 duration: ``P1DT2H3M4.5S``."""
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    parts = ((hours, f"{hours}H"), (minutes, f"{minutes}M"), (seconds or fraction, f"{seconds}{fraction}S"))
    clock = "".join(text for there, text in parts if there)
    days = f"{value.days}D" * bool(value.days)
    return f"{sign}P{days}T{clock}" if clock else f"{sign}P{days}" if days else "PT0S"


def parse_json(text: str) -> Any:
    """Parse JSON text; numbers that no float holds stay text."""
    return _JSON.decode(text)


def _finite(number: str) -> float | str:
    value = float(number)
    return value if isfinite(value) else number


_JSON = json.JSONDecoder(parse_constant=str, parse_float=_finite)
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
_CONVERSIONS: dict[type, Any] = {
    float: from_float,
    Decimal: from_decimal,
    datetime: from_datetime,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: from_timedelta,
    UUID: str,
    bytes: from_bytes,
    bytearray: from_bytes,
    memoryview: from_bytes,
}
