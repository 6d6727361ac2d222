"""``kafka.produce``: sends messages and waits until the broker has acknowledged each of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.integrations._sockets import Stalled
from pytest_testmesh.integrations.kafka.connection import SLICE_S, Client, Wanted, asking_for, lend
from pytest_testmesh.integrations.kafka.messages import Outgoing, outgoing
from pytest_testmesh.integrations.kafka.texts import Produced, Words
from pytest_testmesh.integrations.kafka.watch import partitions_of
from pytest_testmesh.polling import Deadline

_TIMEOUT = "30s"
_CREATION_S = 1.0
"""How long a topic that is not there is asked for: where topics are created by asking, it comes in that time."""


def produce(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Send the messages and return where each one is.

    Raises:
        TargetError: There is no such topic or partition, a message is too large, the user may not write.
        TargetUnavailableError: The brokers cannot be reached, or broke the connection before they acknowledged.
        ActionTimeoutError: They did not acknowledge in time.
    """
    messages = outgoing(config, context.traceparent)
    topic = config["topic"]
    asking = asking_for(f"produce to {topic}", _TIMEOUT, config, context)
    context.exchange.sent = Produced(topic, asking.cluster, messages)
    wanted = Wanted(cluster=asking.cluster, compression=config.get("compression", "none"))
    with lend(Producer, wanted, asking, context) as client:
        _know(client, topic, asking.deadline)
        places = _send(client, topic, messages, asking.deadline)
    context.exchange.received = Words(f"acknowledged in {(time.perf_counter() - asking.started) * 1000:.1f} ms")
    partitions = [{"partition": partition, "offset": offset} for partition, offset in places]
    return {"topic": topic, "messages_sent": len(partitions), "partitions": partitions, **partitions[0]}


def _know(client: Client[Producer], topic: str, deadline: Deadline) -> None:
    """Make sure that the topic is there: librdkafka would wait for it to come until the message's time is up."""
    if topic in client.topics:
        return
    asked_until = deadline.earlier(Deadline.after(_CREATION_S, ""))
    while not partitions_of(client, topic, deadline):
        if asked_until.passed:
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        client.kafka.poll(min(SLICE_S, asked_until.remaining()))
    client.topics.add(topic)


def _send(
    client: Client[Producer], topic: str, messages: Sequence[Outgoing], deadline: Deadline
) -> list[tuple[int, int]]:
    acknowledged: dict[int, tuple[KafkaError | None, int, int]] = {}
    for number, message in enumerate(messages):
        _hand_over(client, topic, message, number, acknowledged)
    while len(acknowledged) < len(messages):
        client.kafka.poll(min(SLICE_S, deadline.remaining()))
        client.check()
        if deadline.passed and len(acknowledged) < len(messages):
            raise Stalled("the broker's acknowledgement")
    for error, _, _ in acknowledged.values():
        if error is not None:
            client.topics.discard(topic)
            raise KafkaException(error)
    return [acknowledged[number][1:] for number in range(len(messages))]


def _hand_over(
    client: Client[Producer],
    topic: str,
    message: Outgoing,
    number: int,
    acknowledged: dict[int, tuple[KafkaError | None, int, int]],
) -> None:
    def on_delivery(error: KafkaError | None, delivered: Any) -> None:
        acknowledged[number] = (error, delivered.partition(), delivered.offset())

    partition: dict[str, Any] = {} if message.partition is None else {"partition": message.partition}
    client.kafka.produce(
        topic,
        value=message.value,
        key=message.key,
        headers=list(message.headers),
        on_delivery=on_delivery,
        **partition,
    )
