"""What can be wrong with a config of ``prometheus.*`` before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._assertions import check_texts
from pytest_testmesh.integrations._times import check_times
from pytest_testmesh.integrations.http.target import parse_target


def check(config: Mapping[str, Any]) -> None:
    """Refuse a config that no server needs to be asked about; it may be a part of one, as written.

    Raises:
        ActionConfigError: A URL, time or expression is none, or the keys do not go together.
    """
    if isinstance(config.get("url"), str):
        parse_target(config["url"])
    check_times(config, ("time", "start", "end"))
    check_kind(config)
    check_texts(config, "assert")


def check_kind(config: Mapping[str, Any]) -> None:
    """Refuse a mixture of one time and a range, and a range that does not say where it begins.

    Raises:
        ActionConfigError: So it is.
    """
    ranged = [key for key in ("start", "end", "step") if key in config]
    if "time" in config and ranged:
        raise ActionConfigError(
            f"config.time asks for one time, config.{ranged[0]} for a range", hint="write one of the two"
        )
    if ranged and "start" not in config:
        raise ActionConfigError(
            f"config.{ranged[0]} is of a range, and config.start is missing",
            hint="write `start: -5m`, or `time` for one time",
        )
