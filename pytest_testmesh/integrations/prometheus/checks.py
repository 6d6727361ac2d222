"""What can be wrong with a config of ``prometheus.*`` before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._api_checks import check_api, check_range


def check(config: Mapping[str, Any]) -> None:
    """Refuse a config that no server needs to be asked about; it may be a part of one, as written.

    Raises:
        ActionConfigError: A URL, time or expression is none, or the keys do not go together.
    """
    check_api(config)
    check_kind(config)


def check_kind(config: Mapping[str, Any]) -> None:
    """Refuse a mixture of one time and a range, and a range that does not say where it begins.

    Raises:
        ActionConfigError: So it is.
    """
    ranged = check_range(config)
    if ranged and "start" not in config:
        raise ActionConfigError(
            f"config.{ranged[0]} is of a range, and config.start is missing",
            hint="write `start: -5m`, or `time` for one time",
        )
