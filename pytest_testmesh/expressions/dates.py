"""Dates inside expressions: what ``now()`` and ``date()`` give. They leave an expression as ISO 8601 text in UTC.

A duration is a plain number of seconds, so ``now() - date(body.created) < duration("1m")`` compares numbers.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?)?"
    r"\s?(?:([Zz]|UTC)|([+-])([0-9]{2}):?([0-9]{2}))?"
)
_FIRST_MILLISECONDS = 100_000_000_000
"""Numbers from here on are milliseconds: as seconds they would lie beyond the year 5138."""


def now() -> datetime:
    """The present time."""
    return datetime.now(timezone.utc)


def date_from_text(text: str) -> datetime:
    """Read RFC 3339, ``2024-01-31``, ``2024-01-31 12:00:00`` or an HTTP date; without a zone it is UTC.

    Raises:
        ValueError: None of these.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        return _mail_date(text)
    year, month, day, hour, minute, second, fraction, _, sign, zone_hours, zone_minutes = match.groups()
    microsecond = int((fraction or "0").ljust(6, "0")[:6])
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    zone = timezone(-offset if sign == "-" else offset) if offset else timezone.utc
    clock = (int(hour or 0), int(minute or 0), int(second or 0), microsecond)
    return datetime(int(year), int(month), int(day), *clock, tzinfo=zone)


def _mail_date(text: str) -> datetime:
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, IndexError, OverflowError) as exc:  # what it raises besides ValueError on odd text
        raise ValueError(str(exc)) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def date_from_number(number: float) -> datetime:
    """Read Unix time in seconds, or in milliseconds where it is too large for seconds.

    Raises:
        ValueError: Outside the calendar.
    """
    seconds = number / 1000 if abs(number) >= _FIRST_MILLISECONDS else number
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, OSError) as exc:
        raise ValueError(str(exc)) from None
