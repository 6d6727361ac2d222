"""What is wrong with a ``db_poll`` config although its schema holds; loads no driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.errors import ActionConfigError

CONDITION_TYPES = ("row_exists", "row_count", "row_value", "value_equals", "value_not_null")


def check_poll_config(config: Mapping[str, Any]) -> None:
    """Refuse a condition that is none.

    Raises:
        ActionConfigError: Of an unknown type, or a part of it is missing.
    """
    if ("expected_value" in config) != ("column" in config):
        raise ActionConfigError("`column` and `expected_value` go together", hint="write both")
    condition = config.get("condition")
    if not isinstance(condition, Mapping):
        return
    kind = condition.get("type")
    if kind not in CONDITION_TYPES:
        raise ActionConfigError(
            f"config.condition.type: there is no type {kind!r}", hint=f"one of {', '.join(CONDITION_TYPES)}"
        )
    needed = {"row_value": ("column", "value"), "value_equals": ("column", "value"), "value_not_null": ("column",)}
    for key in needed.get(kind, ()):
        if key not in condition:
            raise ActionConfigError(f"config.condition lacks its {key}", hint=f"{kind} needs it")
