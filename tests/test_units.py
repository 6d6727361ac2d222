"""Durations as people write them."""

from __future__ import annotations

import pytest

from pytest_testmesh.errors import FlowSchemaError
from pytest_testmesh.units import format_duration, parse_duration


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.1, "100ms"),
        (2.0, "2s"),
        (90.0, "1m30s"),
        (7200.0, "2h"),
        (3723.5, "1h2m3s500ms"),
        (1.5, "1.5s"),
        (5.0, "5"),
        (0.25, "0.25"),
        (5.0, 5),
        (0.25, 0.25),
        (0.0, 0),
        (0.0, "0s"),
    ],
    ids=str,
)
def test_a_duration_is_read_as_seconds(seconds: float, written: object) -> None:
    assert pytest.approx(seconds) == parse_duration(written)
    assert isinstance(parse_duration(written), float)


@pytest.mark.parametrize(
    "written",
    [
        "", " ", "s", "5 s", " 5s", "5s ", "5S", "5d", "5sec", "-1s", "+1s", "1e3", "1.s", ".5s", "1s2", "1,5s", "five",
        "inf", "9999999999s", "9" * 400, -1, -0.5, float("inf"), float("nan"), 10**400, True, False, None, [], {},
    ],
    ids=lambda written: repr(written)[:12],
)  # fmt: skip
def test_what_is_no_duration_is_an_error_that_shows_how_to_write_one(written: object) -> None:
    with pytest.raises(FlowSchemaError, match="is not a duration") as caught:
        parse_duration(written)

    assert '"500ms"' in str(caught.value.hint)
    assert len(caught.value.message) < 120


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0ms", 0),
        ("4ms", 0.0041),
        ("0.04s", 0.041),
        ("9.99s", 9.99),
        ("10s", 9.999),
        ("59s", 59.4),
        ("1m0s", 59.6),
        ("61m1s", 3661),
    ],
    ids=str,
)
def test_seconds_are_written_for_people(written: str, seconds: float) -> None:
    assert written == format_duration(seconds)
