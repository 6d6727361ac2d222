"""Functions of text, numbers and dates, and the conversions between types."""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any, NoReturn

from pytest_testmesh.errors import FlowSchemaError
from pytest_testmesh.expressions import dates
from pytest_testmesh.expressions.arguments import (
    check_size,
    need_array,
    need_integer,
    need_number,
    need_string,
)
from pytest_testmesh.expressions.operators import normal, to_decimal
from pytest_testmesh.expressions.site import Site, kinds
from pytest_testmesh.units import parse_duration
from pytest_testmesh.values import describe, to_json, to_text, type_name, write_json

_INTEGER = re.compile(r"[+-]?[0-9]{1,300}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]{0,300})?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,3})?")


def upper(site: Site, text: Any) -> str:
    """Make capital letters."""
    return need_string(site, 0, text).upper()


def lower(site: Site, text: Any) -> str:
    """Make small letters."""
    return need_string(site, 0, text).lower()


def trim(site: Site, text: Any, characters: Any = None) -> str:
    """Take white space, or the given characters, from both ends."""
    return need_string(site, 0, text).strip(None if characters is None else need_string(site, 1, characters))


def substring(site: Site, text: Any, start: Any, end: Any = None) -> str:
    """The characters from *start* to before *end*."""
    source = need_string(site, 0, text)
    low = need_integer(site, 1, start)
    high = len(source) if end is None else need_integer(site, 2, end, low)
    return source[low:high]


def split(site: Site, text: Any, separator: Any, limit: Any = None) -> list[str]:
    """Cut text at each separator into at most *limit* parts; an empty separator gives the characters."""
    source, cut = need_string(site, 0, text), need_string(site, 1, separator)
    parts = -1 if limit is None else need_integer(site, 2, limit, 1) - 1
    if cut:
        return source.split(cut, parts)
    head = list(source) if parts < 0 else list(source[:parts])
    return head if len(head) == len(source) else [*head, source[len(head) :]]


def join(site: Site, items: Any, separator: Any = "") -> str:
    """Write strings, numbers and booleans one after the other."""
    between = need_string(site, 1, separator)
    parts = [_joined(site, index, item) for index, item in enumerate(need_array(site, 0, items))]
    check_size(site, sum(map(len, parts)) + len(between) * len(parts))
    return between.join(parts)


def _joined(site: Site, index: int, item: Any) -> str:
    if type_name(item) not in {"string", "number", "boolean"}:
        site.fail(f"needs strings, numbers or booleans: element {index} is {describe(item)}")
    return to_text(item)


def replace(site: Site, text: Any, old: Any, new: Any) -> str:
    """Replace each occurrence."""
    source, sought, replacement = (need_string(site, index, each) for index, each in enumerate((text, old, new)))
    check_size(site, len(source) + source.count(sought) * len(replacement))
    return source.replace(sought, replacement)


def absolute(site: Site, number: Any) -> Any:
    """The number without its sign."""
    return abs(need_number(site, 0, number))


def round_half_up(site: Site, number: Any, digits: Any = 0) -> Any:
    """Round, a half away from zero, to a number of digits after the point."""
    return _rounded(site, number, ROUND_HALF_UP, need_integer(site, 1, digits, 0, 15))


def floor(site: Site, number: Any) -> Any:
    """The next whole number below."""
    return _rounded(site, number, ROUND_FLOOR)


def ceil(site: Site, number: Any) -> Any:
    """The next whole number above."""
    return _rounded(site, number, ROUND_CEILING)


def _rounded(site: Site, number: Any, rounding: str, digits: int = 0) -> Any:
    value = to_decimal(need_number(site, 0, number), site)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    if exponent >= -digits:
        return normal(value)
    # a precision that no finite number exceeds: quantize refuses to round what it cannot hold
    digits_needed = max(value.adjusted(), 0) + digits + 2
    from decimal import Context

    return normal(value.quantize(Decimal(1).scaleb(-digits), rounding=rounding, context=Context(prec=digits_needed)))


def to_int(site: Site, value: Any) -> int:
    """The whole number that a text writes, or a number without its fraction."""
    if isinstance(value, str):
        if _INTEGER.fullmatch(value):
            return int(value)
        hint = f"write int(float({site.of(site.operand(0))}))" if _NUMBER.fullmatch(value) else None
        site.fail(f"needs a text that is a whole number: {site.fact(0, value)}", hint)
    return int(_rounded(site, value, ROUND_DOWN))


def to_float(site: Site, value: Any) -> Any:
    """The number that a text writes; a number stays."""
    if not isinstance(value, str):
        return need_number(site, 0, value)
    if not _NUMBER.fullmatch(value) or float(value) in (float("inf"), float("-inf")):
        site.fail(f"needs a text that is a number: {site.fact(0, value)}")
    return float(value)


def to_string(site: Site, value: Any) -> str:
    """The value as it appears inside longer text."""
    kinds(value)
    return to_text(value)


def to_bool(site: Site, value: Any) -> bool:
    """A boolean of true, false, "true", "false", 0 or 1."""
    for result, accepted in ((True, (True, "true", 1)), (False, (False, "false", 0))):
        if type_name(value) in {"boolean", "string", "number"} and value in accepted:
            return result
    site.fail_need('true, false, "true", "false", 0 or 1', 0, value, "compare: x != 0, x != null, x is not empty")


def type_of(site: Site, value: Any) -> str:
    """The name of the value's type."""
    return kinds(value)[0]


def now(site: Site) -> datetime:
    """The present time."""
    return dates.now()


def date(site: Site, value: Any) -> datetime:
    """The date that a text or a Unix time means."""
    kind = type_name(value)
    try:
        if kind == "string":
            return dates.date_from_text(value)
        if kind == "number":
            return dates.date_from_number(float(value))
    except (ValueError, OverflowError):
        _fail_date(site, value)
    if not isinstance(value, datetime):
        site.fail_need("a string or a number", 0, value)
    return value


def _fail_date(site: Site, value: Any) -> NoReturn:
    hint = "2024-01-31, 2024-01-31T12:00:00Z, an HTTP date, or Unix time as a number"
    site.fail(f"needs a date: {site.fact(0, value)}", hint)


def duration(site: Site, value: Any) -> Any:
    """The number of seconds that a duration such as ``1m30s`` means."""
    kinds(value)
    try:
        seconds = parse_duration(to_json(value))
    except FlowSchemaError as exc:
        site.fail(f"needs a duration: {site.fact(0, value)}", exc.hint)
    # milliseconds are the smallest unit: 0.7 s, not the 0.7000000000000001 of 700 * 0.001
    return normal(Decimal(repr(round(seconds, 6))))


def from_json(site: Site, text: Any) -> Any:
    """The value that a JSON text writes."""
    source = need_string(site, 0, text)
    try:
        return json.loads(source, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        site.fail(f"needs a JSON text: {exc}: {site.fact(0, source)}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def to_json_text(site: Site, value: Any) -> str:
    """The value as compact JSON."""
    text = write_json(to_json(value))
    check_size(site, len(text))
    return text


def to_base64(site: Site, text: Any) -> str:
    """Base64 of the text's UTF-8 bytes."""
    import base64

    encoded = base64.b64encode(_utf8(site, text))
    check_size(site, len(encoded))
    return encoded.decode("ascii")


def sha256(site: Site, text: Any) -> str:
    """The SHA-256 of the text's UTF-8 bytes, in hexadecimal."""
    import hashlib

    return hashlib.sha256(_utf8(site, text)).hexdigest()


def _utf8(site: Site, text: Any) -> bytes:
    try:
        return need_string(site, 0, text).encode()
    except UnicodeEncodeError:
        site.fail(f"needs a text that UTF-8 can write: {site.fact(0, text)}")
