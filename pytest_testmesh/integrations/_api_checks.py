"""What can be wrong, before anything runs, with the config of a step that asks an HTTP API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._assertions import check_texts
from pytest_testmesh.integrations._durations import duration_s
from pytest_testmesh.integrations._times import check_times
from pytest_testmesh.integrations.http.target import parse_target

RANGE = ("start", "end", "step")
"""The keys that ask for a range."""


def check_api(config: Mapping[str, Any], url: str = "url") -> None:
    """Refuse what needs no server to be told; *config* may be a part of one, as written. *url* is the key of the URL.

    Raises:
        ActionConfigError: A URL, time or expression is none.
    """
    if isinstance(config.get(url), str):
        parse_target(config[url])
    check_times(config, ("time", "start", "end"))
    check_texts(config, "assert")


def check_range(config: Mapping[str, Any]) -> Sequence[str]:
    """Return the keys of a range that are there.

    Raises:
        ActionConfigError: One time is asked for, too; or the values of the range have no distance.
    """
    ranged = [key for key in RANGE if key in config]
    if "time" in config and ranged:
        raise ActionConfigError(
            f"config.time asks for one time, config.{ranged[0]} for a range", hint="write one of the two"
        )
    if isinstance(config.get("step"), (str, int, float)) and duration_s(config, "step", "0") == 0:
        raise ActionConfigError("config.step is 0", hint="it is the distance of two values of a range: 15s, 1m")
    return ranged
