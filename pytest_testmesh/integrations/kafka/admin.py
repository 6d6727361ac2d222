"""``kafka.admin.*``: lists, creates and deletes topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDone
from itertools import repeat
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.integrations._sockets import Stalled
from pytest_testmesh.integrations.kafka.connection import SLICE_S, Client, Wanted, asking_for, lend, pool_of
from pytest_testmesh.integrations.kafka.failures import Asking
from pytest_testmesh.integrations.kafka.texts import Words
from pytest_testmesh.integrations.kafka.watch import topic_metadata, watch_of
from pytest_testmesh.polling import Deadline, attempts

_TIMEOUT = "30s"
_LOOK_EVERY_S = 0.02


def topics(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Return the names of the topics that are not Kafka's own."""
    asking = _asking("list the topics", config, context)
    with lend(AdminClient, Wanted(cluster=asking.cluster), asking, context) as client:
        found = client.ask(lambda slice_s: client.kafka.list_topics(timeout=slice_s), asking.deadline)
    names = sorted(name for name in found.topics if not name.startswith("__"))
    context.exchange.received = Words(f"{len(names)} topics in {_took(asking)}")
    return {"topics": names, "count": len(names)}


def create_topic(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Create one topic and return when all of its partitions are there to be used.

    Raises:
        TargetError: It is there already, or the broker refuses it for another reason.
    """
    name = config["topic"]
    asking = _asking(f"create the topic {name}", config, context)
    new = NewTopic(name, config.get("partitions", 1), config.get("replicationFactor", 1))
    with lend(AdminClient, Wanted(cluster=asking.cluster), asking, context) as client:
        _finish(client, client.kafka.create_topics([new])[name], asking.deadline)
        _wait(client, asking, lambda found: _are_usable(found, new.num_partitions))
    _begin_anew(asking, context)
    return {"created": True, "topic": name, "partitions": new.num_partitions}


def delete_topic(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Delete one topic and return when it is gone.

    Raises:
        TargetError: There is no such topic, or the broker refuses for another reason.
    """
    name = config["topic"]
    asking = _asking(f"delete the topic {name}", config, context)
    with lend(AdminClient, Wanted(cluster=asking.cluster), asking, context) as client:
        _finish(client, client.kafka.delete_topics([name])[name], asking.deadline)
        _wait(client, asking, lambda found: not found)
    _begin_anew(asking, context)
    return {"deleted": True, "topic": name}


def _asking(what: str, config: Mapping[str, Any], context: ActionContext) -> Asking:
    asking = asking_for(what, _TIMEOUT, config, context)
    context.exchange.sent = Words(asking.where)
    return asking


def _finish(client: Client[AdminClient], future: Future[Any], deadline: Deadline) -> None:
    while True:
        client.serve()
        client.check()
        try:
            future.result(min(SLICE_S, deadline.remaining()))
            return
        except NotDone:
            if deadline.passed:
                raise Stalled("the broker's answer") from None


def _wait(client: Client[AdminClient], asking: Asking, done: Callable[[Any], bool]) -> None:
    """Look until the brokers tell of the change, which they do a moment after they said yes to it."""
    for _ in attempts(repeat(_LOOK_EVERY_S), asking.deadline):
        found = client.ask(lambda slice_s: topic_metadata(client, asking.topic, slice_s), asking.deadline)
        if done(found.partitions):
            return
    raise Stalled("the change to show")


def _are_usable(partitions: Mapping[int, Any], number: int) -> bool:
    return len(partitions) >= number and all(each.leader >= 0 for each in partitions.values())


def _begin_anew(asking: Asking, context: ActionContext) -> None:
    watch_of(asking.cluster, asking.topic, context).begin_anew()
    pool_of(Producer, context).close()  # one that knew the topic of that name would write to it by its old id


def _took(asking: Asking) -> str:
    return f"{(time.perf_counter() - asking.started) * 1000:.0f} ms"
