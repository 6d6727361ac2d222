"""What can be wrong with a config of ``loki.*`` before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._assertions import check_texts
from pytest_testmesh.integrations._times import check_times
from pytest_testmesh.integrations.http.target import parse_target
from pytest_testmesh.integrations.loki.logql import is_log_query

RANGE = ("start", "end", "step")


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
    """Refuse keys that the kind of query does not have.

    Raises:
        ActionConfigError: There are such.
    """
    query = config.get("query")
    ranged = [key for key in RANGE if key in config]
    if "time" in config and ranged:
        raise ActionConfigError(
            f"config.time asks for one time, config.{ranged[0]} for a range", hint="write one of the two"
        )
    if not isinstance(query, str) or not is_log_query(query):
        return
    for key in ("time", "step"):
        if key in config:
            raise ActionConfigError(
                f"config.{key} is for metric queries, and this one returns lines",
                hint='lines are looked for from `start` to `end`; `count_over_time({app="shop"}[5m])` counts them',
            )
