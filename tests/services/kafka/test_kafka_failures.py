"""``kafka.*`` where the broker says no, is not there, or is another one than the step needs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_testmesh.errors import ActionConfigError, ActionTimeoutError, MeshError, TargetError, TargetUnavailableError
from pytest_testmesh.polling import Deadline

Step = Callable[..., Any]
ONLY_REAL = pytest.mark.parametrize("brokers", ["kafka"], indirect=True)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nothing listens on, and that nobody else gets meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.mark.parametrize(
    ("action", "config"),
    [
        pytest.param("produce", {"topic": "t", "value": 1}, id="produce"),
        pytest.param("consume", {"topic": "t"}, id="consume"),
        pytest.param("topics", {}, id="topics"),
        pytest.param("create_topic", {"topic": "t"}, id="createTopic"),
    ],
)
def test_a_refused_connection_is_told_at_once(step: Step, closed_port: int, action: str, config: Any) -> None:
    with pytest.raises(TargetUnavailableError, match=r" at 127\.0\.0\.1:\d+: connection refused") as caught:
        step(action, brokers=f"127.0.0.1:{closed_port}", **config)

    assert f"is Kafka running? nothing listens on 127.0.0.1:{closed_port}" == caught.value.hint


def test_an_unknown_host_is_told_at_once(step: Step) -> None:
    with pytest.raises(TargetUnavailableError, match=r"unknown host nobody\.invalid"):
        step("produce", brokers="nobody.invalid", topic="t", value=1)


def test_a_silent_server_ends_the_step_at_its_deadline(step: Step) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        brokers = f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(ActionTimeoutError, match="timed out"):
            step("produce", Deadline.after(0.4, "step"), brokers=brokers, topic="t", value=1)


@ONLY_REAL
@pytest.mark.parametrize("action", ["produce", "consume", "topics"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_wrong_password_is_told_at_once(step: Step, kafka: Any, brokers: str, mechanism: str, action: str) -> None:
    sasl = {"mechanism": mechanism, "username": "alice", "password": "not this one"}
    config = {"topics": {}, "consume": {"topic": "t"}}.get(action, {"topic": "t", "value": 1})
    with pytest.raises(TargetError, match="the login of alice is refused: SASL authentication error") as caught:
        step(action, brokers=kafka.facts["urls"]["sasl_plaintext"], sasl=sasl, **config)

    assert "AUTHENTICATION_FAILED" == caught.value.code
    assert "not this one" not in str(caught.value)


@ONLY_REAL
@pytest.mark.parametrize(
    ("listener", "config", "error", "told"),
    [
        pytest.param("ssl", {"ssl": True}, TargetUnavailableError, "the TLS certificate is not accepted", id="CA"),
        pytest.param("ssl", {}, TargetUnavailableError, "closed the connection|connection broke", id="TLS missing"),
        pytest.param(
            "plaintext",
            {"ssl": {"verify": False}},
            TargetUnavailableError,
            "no TLS: |connection broke",  # the broker's reset may come before librdkafka sees that the answer is no TLS
            id="TLS unwanted",
        ),
        pytest.param(
            "sasl_plaintext", {}, TargetUnavailableError, "closed the connection|connection broke", id="login missing"
        ),
        pytest.param(
            "sasl_plaintext",
            {"sasl": {"mechanism": "SCRAM-SHA-512", "username": "alice", "password": "secret"}},
            TargetError,
            "Unsupported SASL mechanism",
            id="mechanism",
        ),
    ],
)
def test_another_listener_than_the_step_needs(
    step: Step, kafka: Any, brokers: str, listener: str, config: Any, error: type[MeshError], told: str
) -> None:
    with pytest.raises(error, match=told):
        step("produce", Deadline.after(25, "step"), brokers=kafka.facts["urls"][listener], topic="t", value=1, **config)


@ONLY_REAL
def test_producing_to_an_unknown_topic_is_told_at_once(step: Step, brokers: str, unique: str) -> None:
    with pytest.raises(TargetError, match=f"there is no topic {unique}") as caught:
        step("produce", brokers=brokers, topic=unique, value=1)

    assert "NO_TOPIC" == caught.value.code


@ONLY_REAL
def test_consuming_from_an_unknown_topic_waits_for_it(step: Step, brokers: str, unique: str) -> None:
    with pytest.raises(ActionTimeoutError, match="no message of 1 after") as caught:
        step("consume", brokers=brokers, topic=unique, timeout="2s")

    assert caught.value.message.endswith("; there is no such topic")


@pytest.mark.parametrize(
    ("config", "error", "told"),
    [
        pytest.param({"partition": 99}, TargetError, "there is no such partition", id="partition"),
        pytest.param({"value": "x" * 2_000_000}, TargetError, "a message is too large", id="too large"),
    ],
)
@ONLY_REAL
def test_a_message_that_cannot_be_sent(
    step: Step, brokers: str, topic: str, config: Any, error: type[MeshError], told: str
) -> None:
    with pytest.raises(error, match=told):
        step("produce", brokers=brokers, topic=topic, **{"value": 1, **config})


@ONLY_REAL
@pytest.mark.parametrize(
    ("action", "config", "error", "told"),
    [
        pytest.param("create_topic", {}, TargetError, "is there already", id="there"),
        pytest.param("create_topic", {"topic": "a b"}, ActionConfigError, "cannot be the name of a topic", id="name"),
        pytest.param(
            "create_topic",
            {"topic": "replicated", "replicationFactor": 9},
            ActionConfigError,
            "replicationFactor",
            id="replicas",
        ),
        pytest.param("delete_topic", {"topic": "not-there"}, TargetError, "there is no topic not-there", id="delete"),
    ],
)
def test_topics_that_cannot_be_created_or_deleted(
    step: Step, brokers: str, topic: str, action: str, config: Any, error: type[MeshError], told: str
) -> None:
    with pytest.raises(error, match=told):
        step(action, brokers=brokers, **{"topic": topic, **config})
