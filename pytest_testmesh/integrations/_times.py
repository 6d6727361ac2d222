"""Points in time as steps write them, in whole nanoseconds since 1970: a float would lose the last digits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from pytest_testmesh.errors import ActionConfigError, FlowSchemaError
from pytest_testmesh.units import parse_duration

TIME: dict[str, Any] = {"type": ["string", "number"]}
"""The JSON Schema of a time."""

NS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_RELATIVE = re.compile(r"(now|step\.start)?\s*(?:([+-])\s*(\S+))?")
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?\s*(Z|[+-]\d\d:\d\d)?)?", re.IGNORECASE
)
_UNITS = ((Decimal("1e11"), NS), (Decimal("1e14"), 1_000_000), (Decimal("1e17"), 1000))
"""A Unix time below so much is in units of so many nanoseconds: seconds until the year 5138."""
_HINT = "write an ISO 8601 time, Unix seconds (ms, us, ns), -5m, now or step.start"


def read_time(value: object, key: str, *, began_ns: int, now_ns: int) -> int:
    """Return the Unix time in nanoseconds that a config value means.

    ISO 8601 (UTC where it names no zone), a Unix time in s, ms, us or ns, ``now``, ``step.start`` (*began_ns*), both
    with ``-5m`` or ``+5m`` after them, or such a distance alone, from *now_ns*.

    Raises:
        ActionConfigError: None of these.
    """
    text = str(value).strip()
    relative = _RELATIVE.fullmatch(text)
    if isinstance(value, bool) or not text:
        found = None
    elif relative is not None:
        base = began_ns if relative[1] == "step.start" else now_ns
        found = base + _distance_ns(relative[2], relative[3], key)
    elif _NUMBER.fullmatch(text):
        found = unix_ns(text)
    else:
        found = _iso_ns(text)
    if found is None:
        raise ActionConfigError(f"config.{key}: {value!r} is not a time", hint=_HINT)
    return found


def check_times(config: Mapping[str, Any], keys: Iterable[str]) -> None:
    """Refuse, before anything runs, values that are no times.

    Raises:
        ActionConfigError: One is none.
    """
    for key in keys:
        if isinstance(config.get(key), (str, int, float)):
            read_time(config[key], key, began_ns=0, now_ns=0)


def unix_ns(number: str | float) -> int:
    """Return a Unix time in s, ms, us or ns, told apart by its size, in nanoseconds."""
    exact = Decimal(str(number))
    return int(exact * next((unit_ns for limit, unit_ns in _UNITS if abs(exact) < limit), 1))


def iso(time_ns: int, digits: int = 9) -> str:
    """Return ISO 8601 in UTC with so many *digits* below the second: ``2026-11-23T00:45:55.123456789Z``."""
    seconds, rest_ns = divmod(time_ns, NS)
    moment = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{f'{rest_ns:09d}'[:digits]}Z" if digits else f"{moment}Z"


def in_seconds(time_ns: int) -> str:
    """Return Unix seconds with every digit."""
    return f"{time_ns // NS}.{time_ns % NS:09d}"


def _distance_ns(sign: str | None, duration: str | None, key: str) -> int:
    if sign is None:
        return 0
    try:
        distance = round(parse_duration(duration) * NS)
    except FlowSchemaError as exc:
        raise ActionConfigError(f"config.{key}: {exc.message}", hint=_HINT) from exc
    return distance if sign == "+" else -distance


def _iso_ns(text: str) -> int | None:
    parts = _ISO.fullmatch(text)
    if parts is None:
        return None
    day, clock, fraction, zone = parts.groups()
    zone = "+00:00" if zone in (None, "Z", "z") else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00'}{zone}")
    except ValueError:
        return None
    passed = moment - _EPOCH
    return (passed.days * 86400 + passed.seconds) * NS + int((fraction or "").ljust(9, "0"))
