"""The common Kafka, or librdkafka's own broker where there is none; a topic for each test; another client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import repeat
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pytest_testmesh.integrations import kafka as actions
from pytest_testmesh.polling import NEVER, Deadline, attempts


class MockBroker:
    """librdkafka's own broker: produce, consume and groups work; no topics by admin, no login, no TLS."""

    is_real = False

    def __init__(self) -> None:
        options = {"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0}
        self._producer = Producer(options)
        broker = next(iter(self._producer.list_topics(timeout=30).brokers.values()))
        self.url = f"{broker.host}:{broker.port}"


@pytest.fixture(scope="session")
def mock_broker() -> MockBroker:
    """One broker for all tests that need no more."""
    return MockBroker()


@pytest.fixture
def kafka(service: Any) -> Any:
    """The common Kafka; skips where there is none."""
    return service("kafka")


@pytest.fixture(params=["kafka", "mock"])
def brokers(request: pytest.FixtureRequest) -> str:
    """The address of the common Kafka, and of librdkafka's own broker."""
    if request.param == "mock":
        return str(request.getfixturevalue("mock_broker").url)
    return str(request.getfixturevalue("kafka").url)


_QUIET = {"log_level": 0}


class Look:
    """Kafka from the other side: an admin client, a producer and a consumer of its own group."""

    def __init__(self, brokers: str) -> None:
        self.brokers = brokers
        self.admin = AdminClient({"bootstrap.servers": brokers, **_QUIET})

    def create(self, topic: str, partitions: int) -> None:
        """Create a topic and wait until all of it can be used."""
        self.admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(60)
        self.wait_until_usable(topic, partitions)

    def wait_until_usable(self, topic: str, partitions: int) -> None:
        """Wait until each partition has a leader: also a broker that was restarted listens before that."""
        for _ in attempts(repeat(0.02), Deadline.after(60, "start")):
            with suppress(KafkaException):
                there = self.admin.list_topics(topic, timeout=30).topics[topic].partitions
                if len(there) == partitions and all(each.leader >= 0 for each in there.values()):
                    return

    def delete(self, topic: str) -> None:
        """Delete a topic."""
        self.admin.delete_topics([topic])[topic].result(60)

    def produce(self, topic: str, *values: str, partition: int = 0) -> None:
        """Write to one partition."""
        producer = Producer({"bootstrap.servers": self.brokers, "linger.ms": 0, **_QUIET})
        for value in values:
            producer.produce(topic, value=value.encode(), partition=partition)
        assert 0 == producer.flush(60)

    def produce_in_transaction(self, topic: str, value: str) -> None:
        """Write to partition 0; the transaction's end is a record of its own."""
        options = {"bootstrap.servers": self.brokers, "transactional.id": topic, **_QUIET}
        producer = Producer(options)
        producer.init_transactions(60)
        producer.begin_transaction()
        producer.produce(topic, value=value.encode(), partition=0)
        producer.commit_transaction(60)

    def ends(self, topic: str) -> list[int]:
        """Return the number of messages in each partition."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": f"{topic}-look", **_QUIET})
        numbers = sorted(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, each), timeout=30)[1] for each in numbers]
        consumer.close()
        return ends

    def read(self, topic: str, count: int) -> list[Any]:
        """Return the first messages of partition 0."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": f"{topic}-look", **_QUIET})
        consumer.assign([TopicPartition(topic, 0, 0)])
        messages = consumer.consume(count, timeout=30)
        consumer.close()
        return messages

    def committed(self, topic: str, group: str) -> int:
        """Return what a group has committed of partition 0."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": group, **_QUIET})
        offset: int = consumer.committed([TopicPartition(topic, 0)], timeout=30)[0].offset
        consumer.close()
        return offset


@pytest.fixture
def look(brokers: str) -> Look:
    """Looks at the brokers of the test by another client."""
    return Look(brokers)


@pytest.fixture
def topic(brokers: str, look: Look, unique: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A topic of six partitions for this test alone; librdkafka's own broker makes it of four when it is named."""
    real = "kafka" in request.fixturenames or request.node.callspec.params.get("brokers") == "kafka"
    if real:
        look.create(unique, 6)
    yield unique
    if real:
        look.delete(unique)


@pytest.fixture
def run(flows: Any, brokers: str, topic: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run one flow with the topic of the test."""

    def start(name: str, **variables: object) -> Any:
        monkeypatch.setenv("TESTMESH_KAFKA_BROKERS", brokers)
        return flows.run(str(flows.add(f"kafka/{name}.yaml")), TOPIC=topic, **variables)

    return start


@pytest.fixture
def step(make_context: Callable[..., Any]) -> Callable[..., Any]:
    """``step("produce", brokers=..., topic="t", value=1)`` runs one step."""

    def one(action: str, deadline: Deadline = NEVER, **config: Any) -> Any:
        return getattr(actions, f"kafka_{action}")(config, make_context(deadline))

    return one
