"""``prometheus.*`` at work: asks once, or until the metrics are as they should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.integrations._asking import Result, Service, ask, ask_until
from pytest_testmesh.integrations._sample_texts import describe
from pytest_testmesh.integrations.prometheus.explaining import explain
from pytest_testmesh.integrations.prometheus.question import read_question
from pytest_testmesh.integrations.prometheus.server import Prometheus

_PROMETHEUS = Service(
    setting="prometheus_url",
    default_url="http://localhost:9090",
    within="15s",
    connect=Prometheus,
    read_question=read_question,
    find=Prometheus.find,
    describe=lambda found, duration_s, verbose: describe(found.samples, duration_s, verbose),
    explain=explain,
)


def query(config: Mapping[str, Any], context: ActionContext) -> Result:
    """Ask once; config, result and errors: ``QUERY_SCHEMA`` and ``RESULT`` of this package, `ask`."""
    return ask(_PROMETHEUS, config, context)


def assert_metrics(config: Mapping[str, Any], context: ActionContext) -> Result:
    """Ask until the metrics are as they should be: ``ASSERT_SCHEMA`` and ``RESULT`` of this package, `ask_until`."""
    return ask_until(_PROMETHEUS, config, context)
