"""The committed offsets of a group: read and written without joining it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from pytest_testmesh.integrations._sockets import Stalled
from pytest_testmesh.integrations.kafka.connection import SLICE_S, Client
from pytest_testmesh.integrations.kafka.watch import partitions_of
from pytest_testmesh.polling import Deadline


def committed(client: Client[Consumer], topic: str, deadline: Deadline) -> dict[int, int]:
    """Return what the client's group has committed, by partition; without those of which it committed nothing."""
    asked = [TopicPartition(topic, partition) for partition in partitions_of(client, topic, deadline)]
    if not asked:
        return {}
    found = client.ask(lambda slice_s: client.kafka.committed(asked, timeout=slice_s), deadline)
    for each in found:
        if each.error is not None:
            raise KafkaException(each.error)
    return {each.partition: each.offset for each in found if each.offset >= 0}


def commit(client: Client[Consumer], messages: Iterable[Any], deadline: Deadline) -> None:
    """Commit the offsets after *messages* and wait until the broker took them.

    Raises:
        KafkaException: It did not: the group has members, for one.
        Stalled: The deadline came.
    """
    last: dict[tuple[str, int], int] = {}
    for each in messages:
        place = (each.topic(), each.partition())
        last[place] = max(last.get(place, 0), each.offset() + 1)
    if not last:
        return
    client.commits.clear()
    offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in last.items()]
    client.kafka.commit(offsets=offsets, asynchronous=True)
    while not client.commits:
        client.kafka.poll(min(SLICE_S, deadline.remaining()))
        client.check()
        if deadline.passed and not client.commits:
            raise Stalled("the broker's answer")
    error, partitions = client.commits.popleft()
    for each in [error, *(part.error for part in partitions)]:
        if each is not None:
            raise KafkaException(each)
