"""Times in configs are exact to the nanosecond."""

from __future__ import annotations

import pytest

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._times import check_times, in_seconds, iso, read_time

NOW = 1_795_395_292_154_275_448
BEGAN = NOW - 2_000_000_000
DAY = 1_795_392_000


@pytest.mark.parametrize(
    ("value", "expected_ns"),
    [
        ("now", NOW),
        ("-5m", NOW - 300_000_000_000),
        (-300, NOW - 300_000_000_000),
        ("+1m30s", NOW + 90_000_000_000),
        ("now-5m", NOW - 300_000_000_000),
        ("now - 1s", NOW - 1_000_000_000),
        ("step.start", BEGAN),
        ("step.start-500ms", BEGAN - 500_000_000),
        (1795395292, 1_795_395_292_000_000_000),
        (1795395292.5, 1_795_395_292_500_000_000),
        ("1795395292.154275448", NOW),
        (1795395292154, 1_795_395_292_154_000_000),
        (1795395292154275, 1_795_395_292_154_275_000),
        (NOW, NOW),
        (str(NOW), NOW),
        (0, 0),
        ("2026-11-23", DAY * 10**9),
        ("2026-11-23T00:54:52Z", 1_795_395_292_000_000_000),
        ("2026-11-23 00:54", 1_795_395_240_000_000_000),
        ("2026-11-23T01:54:52+01:00", 1_795_395_292_000_000_000),
        ("2026-11-23T00:54:52.154275448Z", NOW),
        ("2026-11-23T00:54:52.1", 1_795_395_292_100_000_000),
        ("1969-12-31T23:59:59Z", -1_000_000_000),
    ],
)
def test_a_time_is_read_exactly(value: object, expected_ns: int) -> None:
    assert expected_ns == read_time(value, "start", began_ns=BEGAN, now_ns=NOW)


@pytest.mark.parametrize(
    "value", ["yesterday", "", True, "-5 parsecs", "2026-13-01", "2026-11-23T25:00", "5m", "--5m", "now5m", "nan"]
)
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ActionConfigError, match=r"config\.start: ") as caught:
        read_time(value, "start", began_ns=0, now_ns=0)

    assert "step.start" in str(caught.value.hint)


def test_a_config_is_checked_as_far_as_it_is_there() -> None:
    check_times({"start": "-5m", "end": None, "time": ["?"]}, ("start", "end", "time", "missing"))
    with pytest.raises(ActionConfigError, match=r"config\.end"):
        check_times({"end": "soon"}, ("start", "end"))


def test_a_time_is_written_as_it_is_read() -> None:
    assert "2026-11-23T00:54:52.154275448Z" == iso(NOW)
    assert "2026-11-23T00:54:52.154Z" == iso(NOW, 3)
    assert "2026-11-23T00:54:52Z" == iso(NOW, 0)
    assert NOW == read_time(iso(NOW), "start", began_ns=0, now_ns=0)
    assert "1795395292.154275448" == in_seconds(NOW)
