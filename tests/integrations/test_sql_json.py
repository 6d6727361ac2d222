"""What drivers return -> JSON."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_testmesh.integrations._json import from_decimal, parse_json, to_json

BERLIN = timezone(timedelta(hours=2))


class Odd:
    def __str__(self) -> str:
        return "odd"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (5, 5),
        ("00123", "00123"),
        (1.5, 1.5),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (Decimal("10.00"), 10),
        (Decimal("0.10"), 0.1),
        (Decimal("-0"), 0),
        (Decimal("1e3"), 1000),
        (Decimal("0.12345678901234567890"), "0.12345678901234567890"),
        (Decimal("1e400") + Decimal("0.5"), 10**400),
        (Decimal("1e-400"), "1E-400"),
        (Decimal("1e9999"), "1E+9999"),
        (Decimal("NaN"), "NaN"),
        (Decimal("-Infinity"), "-Infinity"),
        (datetime(2024, 1, 31, 10), "2024-01-31T10:00:00"),
        (datetime(2024, 1, 31, 10, tzinfo=BERLIN), "2024-01-31T08:00:00Z"),
        (datetime(2024, 1, 31, 10, 0, 0, 5, tzinfo=timezone.utc), "2024-01-31T10:00:00.000005Z"),
        (date(2024, 1, 31), "2024-01-31"),
        (time(10, 0, 30), "10:00:30"),
        (timedelta(0), "PT0S"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4.5), "P1DT2H3M4.5S"),
        (timedelta(days=2), "P2D"),
        (timedelta(seconds=-90), "-PT1M30S"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("é".encode(), "é"),
        (b"\xff\x00", "/wA="),
        (bytearray(b"a"), "a"),
        (memoryview(b"a"), "a"),
        ([Decimal("1.5"), (1, {2})], [1.5, [1, [2]]]),
        ({"a": Decimal(1), 5: None}, {"a": 1, "5": None}),
        (Odd(), "odd"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_become_json(value: Any, expected: Any) -> None:
    found = to_json(value)

    assert expected == found
    assert type(expected) is type(found)


@given(st.decimals())
def test_a_number_of_a_database_keeps_its_value_or_its_text(value: Decimal) -> None:
    found = from_decimal(value)

    json.dumps(found, allow_nan=False)
    assert value.is_nan() or value == Decimal(str(found))


def test_numbers_in_json_that_no_float_holds_stay_text() -> None:
    assert ["1e999", "-1e999", 1.5, 10**30] == parse_json(f"[1e999, -1e999, 1.5, {10**30}]")
