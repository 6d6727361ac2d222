"""What ``kafka.*`` makes of a config, without a broker."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import ActionConfigError, UndefinedNameError
from pytest_testmesh.integrations.kafka.address import parse_cluster, read_brokers
from pytest_testmesh.integrations.kafka.checks import check_consume, check_produce
from pytest_testmesh.integrations.kafka.connection import Client
from pytest_testmesh.integrations.kafka.consume import Amount, Sighting, amount
from pytest_testmesh.integrations.kafka.matching import wanted_messages
from pytest_testmesh.integrations.kafka.messages import Outgoing, outgoing
from pytest_testmesh.polling import Deadline
from pytest_testmesh.scope import Scope

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("given", "brokers"),
    [
        pytest.param("a:1", ("a:1",), id="one"),
        pytest.param("a:1, b", ("a:1", "b:9092"), id="commas"),
        pytest.param(["a:1", "b:2"], ("a:1", "b:2"), id="list"),
        pytest.param("[::1]:9093", ("[::1]:9093",), id="IPv6"),
    ],
)
def test_brokers(given: Any, brokers: tuple[str, ...]) -> None:
    assert brokers == read_brokers(given, "config.brokers")


@pytest.mark.parametrize("given", ["", "a:port", "a:0", "kafka://a:1", "user@a:1", "a..b:1"])
def test_what_is_no_broker_is_refused(given: str) -> None:
    with pytest.raises(ActionConfigError, match=r"config\.brokers"):
        check_consume({"topic": "t", "brokers": given})


def test_brokers_come_from_the_setting_and_then_are_local() -> None:
    assert ("k:1",) == parse_cluster({}, {"kafka_brokers": "k:1"}, HERE).brokers
    assert ("localhost:9092",) == parse_cluster({}, {}, HERE).brokers


def test_no_password_is_shown() -> None:
    cluster = parse_cluster({"sasl": {"username": "u", "password": "secret"}}, {}, HERE)

    assert "secret" not in repr(cluster) + cluster.shown
    assert ("SASL_PLAINTEXT", "secret") == tuple(
        cluster.options()[key] for key in ("security.protocol", "sasl.password")
    )


def test_a_missing_ca_is_told_by_its_path() -> None:
    with pytest.raises(ActionConfigError, match=r"config\.ssl\.ca: there is no file .*nowhere\.pem"):
        parse_cluster({"ssl": {"ca": "nowhere.pem"}}, {}, HERE)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        pytest.param({}, "config has neither `value` nor `value_base64`", id="no value"),
        pytest.param({"value": 1, "value_base64": "QQ=="}, "has both `value` and `value_base64`", id="both"),
        pytest.param({"value_base64": "?"}, "is no base64", id="base64"),
        pytest.param({"messages": []}, "config.messages is empty", id="none"),
        pytest.param({"messages": [{"key": "k"}]}, r"config.messages\[0\] has neither", id="one of several"),
        pytest.param({"messages": [{"value": 1}], "value": 2}, "both `messages` and a value", id="beside"),
    ],
)
def test_what_cannot_be_sent_is_found_at_collection(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ActionConfigError, match=told):
        check_produce({"topic": "t", **config})


def test_messages_take_what_they_leave_out_from_around_them() -> None:
    config = {"key": "k", "headers": {"a": 1}, "messages": [{"value": 1}, {"key_base64": "/w==", "value": None}]}

    assert (
        Outgoing(key=b"k", value=b"1", headers=(("a", b"1"),)),
        Outgoing(key=b"\xff", value=None, headers=(("a", b"1"),)),
    ) == outgoing(config)


def test_a_traced_step_adds_its_traceparent_unless_the_flow_gives_one() -> None:
    assert (("traceparent", b"00-1"),) == outgoing({"value": 1}, "00-1")[0].headers
    assert (("traceparent", b"own"),) == outgoing({"value": 1, "headers": {"traceparent": "own"}}, "00-1")[0].headers


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({}, Amount(needed=1, most=1), id="default"),
        pytest.param({"count": 3}, Amount(needed=3, most=3), id="count"),
        pytest.param({"count": 0}, Amount(needed=0, most=1), id="none"),
        pytest.param({"maxMessages": 5}, Amount(needed=None, most=5), id="at most"),
        pytest.param({"count": 2, "max_messages": 5}, Amount(needed=2, most=5), id="both"),
    ],
)
def test_how_many(config: dict[str, Any], expected: Amount) -> None:
    assert expected == amount(config)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"filter": "value =="}, id="filter"),
        pytest.param({"match": {"expression": "key in"}}, id="expression"),
        pytest.param({"match": {"json_path": "$.["}}, id="path"),
        pytest.param({"match": {"json_path": {"$.a[": 1}}}, id="path of a value"),
    ],
)
def test_what_is_no_expression_is_found_at_collection(config: dict[str, Any]) -> None:
    with pytest.raises(ActionConfigError, match=r"config\.(filter|match)"):
        check_consume({"topic": "t", **config})


def test_partitions_that_a_starting_broker_listed_and_does_not_know_are_asked_for_again() -> None:
    answers = [KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION)), "the end"]

    def call(slice_s: float) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with closing(Client(Consumer, {"group.id": "g"})) as client:
        assert "the end" == client.ask(call, Deadline.after(60, ""))


def _context() -> ActionContext:
    scope = Scope(builtins=BuiltinValues({}), environ={})
    return ActionContext(flow_id="flow", execution_id="run", step_id="step", scope=scope)


def test_an_undefined_name_in_match_is_pointed_at() -> None:
    with pytest.raises(UndefinedNameError) as caught:
        wanted_messages({"match": {"headers": {"kind": "${nope}"}}}, _context())

    assert ("match", "headers", "kind") == caught.value.path


def test_of_many_messages_the_last_five_are_told_each_with_its_own_reason() -> None:
    match = {"key": "k", "headers": {"kind": "new"}, "json_path": {"$.n": 9}, "expression": "value.n > 9"}
    tests = wanted_messages({"match": match}, _context())
    sighting = Sighting(tests)
    for key, headers, value in [
        ("a", {}, 1),
        ("b", {}, 2),
        ("c", {}, 3),
        ("k", {}, 4),
        ("k", {"kind": "old"}, 5),
        ("k", {"kind": "new"}, 6),
        ("k", {"kind": "new"}, 9),
    ]:
        sighting.add(None, {"key": key, "headers": headers, "value": {"n": value}})

    assert (7, []) == (sighting.seen, sighting.found)
    assert [
        'key is "c", not "k"',
        "there is no header kind",
        'header kind is "old", not "new"',
        "$.n is 6, not 9",
        "value.n > 9 is false: value.n is 9",
    ] == [reason() for _, reason in sighting.others]
