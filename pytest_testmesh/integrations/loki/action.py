"""``loki.*`` at work: asks once, or until the lines are as they should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.integrations._asking import Result, Service, ask, ask_until
from pytest_testmesh.integrations.loki.explaining import explain
from pytest_testmesh.integrations.loki.question import read_question
from pytest_testmesh.integrations.loki.server import Loki
from pytest_testmesh.integrations.loki.texts import describe

_LOKI = Service(
    setting="loki_url",
    default_url="http://localhost:3100",
    within="10s",
    connect=Loki,
    read_question=read_question,
    find=Loki.find,
    describe=describe,
    explain=explain,
)


def query(config: Mapping[str, Any], context: ActionContext) -> Result:
    """Ask once; config, result and errors: ``QUERY_SCHEMA`` and ``RESULT`` of this package, `ask`."""
    return ask(_LOKI, config, context)


def assert_lines(config: Mapping[str, Any], context: ActionContext) -> Result:
    """Ask until the lines are as they should be: ``ASSERT_SCHEMA`` and ``RESULT`` of this package, `ask_until`."""
    return ask_until(_LOKI, config, context)
