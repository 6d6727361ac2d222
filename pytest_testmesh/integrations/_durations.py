"""Durations in a step's config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.errors import ActionConfigError, FlowSchemaError
from pytest_testmesh.schemas import DURATION_FORMAT
from pytest_testmesh.units import parse_duration

DURATION = {"type": ["string", "number"], "format": DURATION_FORMAT}
"""The JSON Schema of a duration."""


def duration_s(config: Mapping[str, Any], key: str, default: str) -> float:
    """Return ``config[key]`` in seconds.

    Raises:
        ActionConfigError: Not a duration.
    """
    try:
        return parse_duration(config.get(key, default))
    except FlowSchemaError as exc:
        raise ActionConfigError(f"config.{key}: {exc.message}", hint=exc.hint) from exc
