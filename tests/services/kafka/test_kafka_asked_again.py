"""``kafka.consume`` asks again where the broker says that it cannot answer yet."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import KafkaError
from spoilt_answers import LIST_OFFSETS, SpoilsTheFirstAnswer, failed


@pytest.mark.parametrize(
    "code",
    [
        # A broker that was fenced for a moment leads its partitions anew, which it learns after its clients do.
        pytest.param(KafkaError.UNKNOWN_LEADER_EPOCH, id="the broker learns that it leads"),
        pytest.param(KafkaError.FENCED_LEADER_EPOCH, id="the client knows an older leader"),
        pytest.param(KafkaError.OFFSET_NOT_AVAILABLE, id="the leader is new"),
        pytest.param(KafkaError.NOT_LEADER_FOR_PARTITION, id="another broker leads"),
        pytest.param(KafkaError.REPLICA_NOT_AVAILABLE, id="the replica is new"),
    ],
)
@pytest.mark.parametrize("brokers", ["mock"], indirect=True)
def test_the_end_of_a_topic(step: Callable[..., Any], brokers: str, topic: str, code: int) -> None:
    step("produce", brokers=brokers, topic=topic, value="before")
    with closing(SpoilsTheFirstAnswer(brokers, topic, LIST_OFFSETS, failed(code))) as proxy:
        found = step("consume", brokers=proxy.url, topic=topic, from_beginning=True)

    assert proxy.spoilt.is_set()
    assert "before" == found["value"]
