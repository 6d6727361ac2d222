"""``kafka.produce`` sends once: what the broker holds after a step that did not get its acknowledgement."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import KafkaError
from spoilt_answers import PRODUCE, Spoil, SpoilsTheFirstAnswer, failed, lost

from pytest_testmesh.errors import MeshError, TargetError, TargetUnavailableError

# The broker has the message, and clients that retry send it again.
TOO_FEW_REPLICAS = KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        pytest.param(lost, TargetUnavailableError, id="lost"),
        pytest.param(failed(TOO_FEW_REPLICAS), TargetError, id="too few replicas"),
    ],
)
@pytest.mark.parametrize("brokers", ["mock"], indirect=True)
def test_a_message_without_its_acknowledgement_is_not_sent_again(
    step: Callable[..., Any], look: Any, brokers: str, topic: str, spoil: Spoil, error: type[MeshError]
) -> None:
    with closing(SpoilsTheFirstAnswer(brokers, topic, PRODUCE, spoil)) as proxy, pytest.raises(error):
        step("produce", brokers=proxy.url, topic=topic, value="once")

    assert proxy.spoilt.is_set()
    assert 1 == sum(look.ends(topic))
