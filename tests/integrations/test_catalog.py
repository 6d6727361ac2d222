"""What is built in, by integration: the names of the page, with the actions of this version."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_testmesh.actions import ActionRegistry
from pytest_testmesh.integrations import register_builtins
from pytest_testmesh.integrations.catalog import core_actions, native_integrations, reserved_ids


def test_the_integrations_are_those_of_the_page_in_its_order() -> None:
    assert [
        ("kafka", "Apache Kafka"),
        ("postgresql", "PostgreSQL"),
        ("redis", "Redis"),
        ("neo4j", "Neo4j"),
        ("minio", "MinIO / S3"),
        ("otel", "OTel / Tempo"),
        ("loki", "Grafana Loki"),
        ("prometheus", "Prometheus"),
    ] == [(each.id, each.name) for each in native_integrations()]


def test_every_built_in_action_is_listed_once() -> None:
    registry = ActionRegistry()
    register_builtins(registry)

    listed = [each.name for one in native_integrations() for each in one.actions] + [
        each.name for each in core_actions()
    ]

    assert [each.name for each in registry.actions()] == sorted(listed)


def test_actions_stand_with_the_integration_that_their_name_begins_with() -> None:
    for one in native_integrations():
        assert [] == [each.name for each in one.actions if "." in each.name and not each.name.startswith(f"{one.id}.")]
    assert {"http_request", "log", "delay", "assert", "wait_for"} <= {each.name for each in core_actions()}


@pytest.mark.parametrize(
    "plugin_id",
    ["kafka", "prometheus", "http_request", "log", "kafka_producer", "database_query", "redis_set", "types"],
)
def test_built_in_names_are_reserved(plugin_id: str) -> None:
    assert plugin_id in reserved_ids()


def test_reserved_ids_are_in_lower_case() -> None:
    assert reserved_ids() == {each.lower() for each in reserved_ids()}


@pytest.mark.parametrize("plugin_id", ["my-plugin", "scraper", "http", "redis-tools"])
def test_other_names_are_free(plugin_id: str) -> None:
    assert plugin_id not in reserved_ids()


def test_the_catalog_loads_no_client_library() -> None:
    heavy = ("confluent_kafka", "psycopg2", "redis", "neo4j", "minio", "prometheus_api_client", "requests", "urllib3")
    code = (
        "import sys; from pytest_testmesh.integrations.catalog import native_integrations, reserved_ids\n"
        f"native_integrations(), reserved_ids(); print([each for each in {heavy} if each in sys.modules])"
    )

    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert "[]\n" == printed
