"""Where the topics of a flow ended before its first step: the place from which its consume steps read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.integrations.kafka.address import Cluster
from pytest_testmesh.integrations.kafka.connection import Client, Wanted, asking_for, lend
from pytest_testmesh.integrations.kafka.failures import Asking
from pytest_testmesh.polling import Deadline
from pytest_testmesh.units import parse_duration

_LATEST = -1
_RECORD = "5s"
_RECORD_S = parse_duration(_RECORD)
"""How long the steps of a flow wait at most for a broker that does not say where a topic ends."""


class Watch:
    """One topic as one run of a flow sees it.

    *ends* is the offset after the last message of each partition, recorded once; a partition that is not in it is newer
    than that, and counts from its beginning. *age* changes when the topic was deleted or created by the flow.
    """

    def __init__(self) -> None:
        self.ends: Mapping[int, int] | None = None
        self.age = 0

    def begin_anew(self) -> None:
        """All that is in the topic from now on comes after this: it was just created or deleted."""
        self.ends = {}
        self.age += 1


def watch_of(cluster: Cluster, topic: str, context: ActionContext) -> Watch:
    """Return the watch over the topic in this run of the flow."""
    return context.item.get(("kafka watch", cluster.brokers, topic), Watch)


def record_end(config: Mapping[str, Any], context: ActionContext) -> None:
    """Record where the topic of a consume step ends, unless an earlier step of the flow did.

    Raises:
        ActionError: The broker cannot be asked.
    """
    record(asking_for(f"consume from {config['topic']}", _RECORD, config, context), context)


def record(asking: Asking, context: ActionContext) -> Watch:
    """Return the watch over the topic that a step is about to consume from, with its ends recorded.

    Raises:
        ActionError: The broker cannot be asked.
    """
    watch = watch_of(asking.cluster, asking.topic, context)
    if watch.ends is None:
        deadline = asking.deadline.earlier(Deadline.after(_RECORD_S, f"{_RECORD} for the end of the topic"))
        asking = replace(asking, deadline=deadline)
        with lend(Consumer, Wanted(cluster=asking.cluster), asking, context) as client:
            watch.ends = ends_of(client, asking.topic, deadline)
    return watch


def ends_of(client: Client[Consumer], topic: str, deadline: Deadline) -> dict[int, int]:
    """Return the offset after the last message of each partition; of no partition where there is no such topic."""
    return client.ask(lambda slice_s: _ends(client, topic, slice_s), deadline)


def _ends(client: Client[Consumer], topic: str, slice_s: float) -> dict[int, int]:
    partitions = sorted(topic_metadata(client, topic, slice_s).partitions)
    if not partitions:
        return {}
    asked = [TopicPartition(topic, partition, _LATEST) for partition in partitions]
    ends = client.kafka.offsets_for_times(asked, timeout=slice_s)
    for end in ends:
        if end.error is not None:
            raise KafkaException(end.error)
    return {end.partition: end.offset for end in ends}


def partitions_of(client: Client[Any], topic: str, deadline: Deadline) -> list[int]:
    """Return the numbers of the topic's partitions; none where there is no such topic.

    Raises:
        KafkaException: The topic may not be looked at, or no topic has such a name.
    """
    found = client.ask(lambda slice_s: topic_metadata(client, topic, slice_s), deadline)
    return sorted(found.partitions)


def topic_metadata(client: Client[Any], topic: str, slice_s: float) -> Any:
    """Ask once for what is known of a topic; one that is not there has no partitions."""
    found = client.kafka.list_topics(topic, timeout=slice_s).topics[topic]
    if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise KafkaException(found.error)
    return found
