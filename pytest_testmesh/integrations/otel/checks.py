"""What can be wrong with the config of ``otel.assert`` before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.integrations._api_checks import check_api
from pytest_testmesh.integrations.otel.question import read_question


def check(config: Mapping[str, Any]) -> None:
    """Refuse a config that no server needs to be asked about.

    Raises:
        ActionConfigError: It does not say which trace, or an id, URL or expression is none.
    """
    # of a config with placeholders only the expressions come here
    if config.keys() - {"assert"}:
        read_question(config)
    check_api(config, "backend_url")
