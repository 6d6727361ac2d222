"""What can be wrong with a config of ``loki.*`` before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._api_checks import check_api, check_range
from pytest_testmesh.integrations.loki.logql import is_log_query


def check(config: Mapping[str, Any]) -> None:
    """Refuse a config that no server needs to be asked about; it may be a part of one, as written.

    Raises:
        ActionConfigError: A URL, time or expression is none, or the keys do not go together.
    """
    check_api(config)
    check_kind(config)


def check_kind(config: Mapping[str, Any]) -> None:
    """Refuse keys that the kind of query does not have.

    Raises:
        ActionConfigError: There are such.
    """
    check_range(config)
    query = config.get("query")
    if not isinstance(query, str) or not is_log_query(query):
        return
    for key in ("time", "step"):
        if key in config:
            raise ActionConfigError(
                f"config.{key} is for metric queries, and this one returns lines",
                hint='lines are looked for from `start` to `end`; `count_over_time({app="shop"}[5m])` counts them',
            )
