"""Durations in a step's config, and the deadline that ``timeout`` sets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pytest_testmesh.errors import ActionConfigError, FlowSchemaError
from pytest_testmesh.polling import Deadline
from pytest_testmesh.schemas import DURATION_FORMAT
from pytest_testmesh.units import parse_duration

DURATION = {"type": ["string", "number"], "format": DURATION_FORMAT}
"""The JSON Schema of a duration."""
TIMEOUT = "30s"
"""What ``timeout`` is where the config says nothing."""


def duration_s(config: Mapping[str, Any], key: str, default: str) -> float:
    """Return ``config[key]`` in seconds.

    Raises:
        ActionConfigError: Not a duration.
    """
    if key not in config:
        return _default_s(default)
    try:
        return parse_duration(config[key])
    except FlowSchemaError as exc:
        raise ActionConfigError(f"config.{key}: {exc.message}", hint=exc.hint) from exc


@cache
def _default_s(duration: str) -> float:
    return parse_duration(duration)


def own_deadline(config: Mapping[str, Any], deadline: Deadline, of: str = "", timeout: str = TIMEOUT) -> Deadline:
    """Return when what begins now must end: by ``config["timeout"]``, else *timeout*, and by *deadline*.

    *of* says in a message whose time was up: ``"timeout 2s of the query"``.

    Raises:
        ActionConfigError: ``timeout`` is no duration.
    """
    cause = f"timeout {config.get('timeout', timeout)}"
    own = Deadline.after(duration_s(config, "timeout", timeout), f"{cause} of {of}" if of else cause)
    return deadline.earlier(own)
