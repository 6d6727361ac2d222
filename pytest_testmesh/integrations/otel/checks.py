"""What can be wrong with the config of ``otel.assert`` before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.integrations._assertions import check_texts
from pytest_testmesh.integrations._times import check_times
from pytest_testmesh.integrations.http.target import parse_target
from pytest_testmesh.integrations.otel.question import read_question


def check(config: Mapping[str, Any]) -> None:
    """Refuse a config that no server needs to be asked about.

    Raises:
        ActionConfigError: It does not say which trace, or an id, URL or expression is none.
    """
    # of a config with placeholders only the expressions come here
    if config.keys() - {"assert"}:
        read_question(config)
    if "backend_url" in config:
        parse_target(config["backend_url"])
    check_times(config, ("start",))
    check_texts(config, "assert")
