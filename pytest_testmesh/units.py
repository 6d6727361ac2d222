"""Durations and sizes as people write them: the only parser of both."""

from __future__ import annotations

import re

from pytest_testmesh.errors import FlowSchemaError

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def parse_duration(value: object) -> float:
    """Turn ``"100ms"``, ``"2s"``, ``"1m30s"``, ``"2h"`` or a bare number of seconds into seconds.

    Raises:
        FlowSchemaError: Not a duration, or a negative one.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if 0 <= value < float("inf"):
            return float(value)
    elif isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return float(value)
        if _DURATION.fullmatch(value):
            return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(value))
    raise FlowSchemaError(
        f"{value!r} is not a duration", hint='write "500ms", "2s", "1m30s" or a number of seconds'
    )


def format_duration(seconds: float) -> str:
    """Write seconds for people: ``"0.41s"``, ``"12s"``, ``"1m30s"``."""
    if seconds < 10:
        return f"{seconds:.2f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
