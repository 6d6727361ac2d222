"""Durations and sizes as people write them: the only parser of both."""

from __future__ import annotations

import re

from pytest_testmesh.errors import FlowSchemaError

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MAX_SECONDS = 1e9
"""Some 30 years; the operating system's clocks and timeouts cannot wait for ever."""


DURATION_HINT = 'write "500ms", "2s", "1m30s" or a number of seconds'


def parse_duration(value: object) -> float:
    """Turn ``"100ms"``, ``"2s"``, ``"1m30s"``, ``"2h"`` or a bare number of seconds into seconds.

    Raises:
        FlowSchemaError: Not a duration, a negative one, or one beyond 30 years.
    """
    seconds = _seconds(value)
    if seconds is None or not 0 <= seconds < _MAX_SECONDS:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        raise FlowSchemaError(f"{shown} is not a duration", hint=DURATION_HINT)
    return float(seconds)


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return float(value)
        if _DURATION.fullmatch(value):
            return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(value))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return None


def format_duration(seconds: float) -> str:
    """Write seconds for people: ``"4ms"``, ``"0.41s"``, ``"12s"``, ``"1m30s"``."""
    if seconds < 0.01:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 9.995:
        return f"{seconds:.2f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
