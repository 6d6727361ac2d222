"""Partitions that a topic gets while a flow reads it are read by the step that waits for what is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka.admin import NewPartitions

from pytest_testmesh.integrations.kafka.consume import consume
from pytest_testmesh.integrations.kafka.watch import record_end


@pytest.mark.parametrize("brokers", ["kafka"], indirect=True)
def test_a_step_that_waits_reads_a_partition_that_was_added(
    make_context: Callable[..., Any], brokers: str, topic: str, look: Any
) -> None:
    context = make_context()
    config = {"brokers": brokers, "topic": topic, "timeout": "60s"}
    record_end(config, context)
    look.produce(topic, "before")
    assert "before" == consume(config, context)["value"]

    look.admin.create_partitions([NewPartitions(topic, 7)])[topic].result(60)
    look.wait_until_usable(topic, 7)
    look.produce(topic, "added", partition=6)

    assert 6 == consume(config, context)["partition"]
