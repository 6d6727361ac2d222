"""Flows with ``kafka.*`` against a real Kafka and librdkafka's own broker, looked at by another client."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from pytest_testmesh.errors import TargetError

Run = Callable[..., Any]


@pytest.mark.parametrize("name", ["values", "match", "counts", "late_name"])
def test_flow(run: Run, name: str) -> None:
    done = run(name)

    assert {"passed": 1} == done.outcomes, done.text


def test_messages_are_sent_as_other_clients_expect_them(run: Run, look: Any, topic: str) -> None:
    run("values")

    assert 6 == look.ends(topic)[0]
    found = look.read(topic, 6)
    assert ['Zoë\'s "quote" 🌍'.encode(), b'{"name":"Ann","tags":["a","b"],"left":null}', b"29.9", b"\xff\x00\xfe"] == [
        each.value() for each in found[:4]
    ]
    assert (b"\xff", None) == (found[4].key(), found[5].value())
    assert [("source", b"flow"), ("n", b"5"), ("twice", b"a"), ("twice", b"b")] == found[2].headers()


def test_a_flow_sees_what_its_setup_caused_and_nothing_older(run: Run, look: Any, topic: str) -> None:
    look.produce(topic, "old")
    done = run("before_setup")

    assert {"passed": 1} == done.outcomes, done.text


def test_count_0_fails_at_once_on_a_match(run: Run) -> None:
    done = run("none_may_come")

    assert {"failed": 1} == done.outcomes
    assert "a message came, and none was to: " in done.causes[0]
    assert 'key=bad {"error":true}' in done.causes[0]


def test_count_0_does_not_pass_by_an_expression_that_cannot_be_evaluated(run: Run) -> None:
    done = run("none_by_wrong_types")

    assert {"failed": 1} == done.outcomes
    assert "cannot compare" in done.causes[0]


def test_count_0_does_not_pass_on_a_topic_that_is_not_there(step: Run, kafka: Any, unique: str) -> None:
    with pytest.raises(TargetError, match="there is no such topic, so that nothing could come"):
        step("consume", brokers=kafka.url, topic=unique, count=0, timeout="2s")


def test_count_0_passes_at_the_end_of_the_step(run: Run) -> None:
    done = run("none_at_the_deadline")

    assert {"passed": 1} == done.outcomes, done.text


def test_a_time_out_tells_what_came_and_why_it_did_not_match(run: Run) -> None:
    done = run("too_few")

    assert {"failed": 1} == done.outcomes
    assert re.search(r"no message of 1 after \S+ \(timeout 2s\); 1 message seen", done.causes[0])
    assert 'key=order-1 {"status":"NEW"}: $.status is "NEW", not "PAID"' in done.causes[0]


def test_what_a_group_committed_wins_and_what_it_consumes_is_committed(run: Run, look: Any, topic: str) -> None:
    look.produce(topic, "first", "second", "third")
    _commit(look, topic, 1)
    done = run("group")

    assert {"passed": 1} == done.outcomes, done.text
    assert 3 == look.committed(topic, f"{topic}-group")


def _commit(look: Any, topic: str, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": look.brokers, "group.id": f"{topic}-group", "log_level": 0})
    consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
    consumer.close()


def test_each_message_is_sent_once(run: Run, look: Any, topic: str) -> None:
    run("counts")

    assert 4 == sum(look.ends(topic))


@pytest.mark.parametrize("brokers", ["kafka"], indirect=True)
def test_topics_are_created_and_deleted(run: Run, look: Any, topic: str) -> None:
    done = run("created")

    assert {"passed": 1} == done.outcomes, done.text
    assert f"{topic}-new" not in look.admin.list_topics(timeout=30).topics


@pytest.mark.parametrize("brokers", ["kafka"], indirect=True)
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
@pytest.mark.parametrize("listener", ["sasl_plaintext", "sasl_ssl"])
def test_logins(run: Run, kafka: Any, listener: str, mechanism: str) -> None:
    facts = kafka.facts
    password = facts["sasl_users"]["alice"]
    name = "login" if listener == "sasl_ssl" else "login_plain"
    done = run(name, BROKERS=facts["urls"][listener], MECHANISM=mechanism, PASSWORD=password, CA=facts["ca"])

    assert {"passed": 1} == done.outcomes, done.text


@pytest.mark.parametrize("brokers", ["kafka"], indirect=True)
def test_tls(run: Run, kafka: Any) -> None:
    done = run("tls", BROKERS=kafka.facts["urls"]["ssl"], CA=kafka.facts["ca"])

    assert {"passed": 1} == done.outcomes, done.text
