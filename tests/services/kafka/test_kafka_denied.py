"""What steps say to a user without rights: a Kafka of their own, with ACLs, since the common one allows everything."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic
from made_servers import NoServer
from real_server import OwnServer, free_port

from pytest_testmesh.errors import TargetError
from pytest_testmesh.polling import Deadline, attempts

Step = Callable[..., Any]

_MAIN = "kafka.Kafka"
_CONFIG = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
auto.create.topics.enable=false
num.network.threads=1
num.io.threads=2
log.cleaner.dedupe.buffer.size=2097152
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="secret";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""


def make_kafka(folder: Path, argv: Sequence[str]) -> OwnServer:
    """Return a started Kafka where alice may do nothing, and who does not log in everything; *argv* runs another."""
    if _MAIN not in argv:
        raise NoServer(f"needs the program Kafka: no `argv` of the facts runs {_MAIN}")
    plain_port = free_port(1, 2)
    ports = {"plain": plain_port, "sasl": plain_port + 1, "controller": plain_port + 2}
    config = folder / "server.properties"
    config.write_text(_CONFIG.format(folder=folder, **ports))
    java = list(argv[: argv.index(_MAIN)])
    tool = [*java, "kafka.tools.StorageTool", "format", "--cluster-id", "A" * 22, "--config", str(config)]
    subprocess.run(tool, check=True, capture_output=True, timeout=120)
    plain = f"127.0.0.1:{ports['plain']}"
    server = OwnServer("kafka", "the program Kafka", [*java, _MAIN, str(config)], folder, serves=lambda: _serves(plain))
    server.own_facts = {"port": ports["plain"], "urls": {"plaintext": plain, "sasl": f"127.0.0.1:{ports['sasl']}"}}
    server.start()
    return server


def _serves(brokers: str) -> bool:
    try:
        return bool(_admin(brokers).list_topics(timeout=1).brokers)
    except KafkaException:
        return False


def _admin(brokers: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": brokers, "log_level": 0})


def _wait_until_described(brokers: str, topic: str) -> None:
    """Wait until alice may see *topic*: the controller has said yes before the broker knows of it."""
    login = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}
    user = {"sasl.username": "alice", "sasl.password": "secret"}
    alice = AdminClient({"bootstrap.servers": brokers, "log_level": 0, **login, **user})
    for _ in attempts(repeat(0.02), Deadline.after(60, "")):
        with suppress(KafkaException):
            if alice.list_topics(topic, timeout=30).topics[topic].partitions:
                return
    pytest.fail(f"the ACL for {topic} does not come into force")


@pytest.fixture(scope="module")
def denying(service: Any) -> Any:
    """A Kafka with two topics: of ``hidden`` alice may not even know, ``seen`` she may describe."""
    server = service.own(lambda folder: make_kafka(folder, service("kafka").facts.get("argv", [])))
    admin = _admin(server.url)
    for made in admin.create_topics([NewTopic("hidden", 1, 1), NewTopic("seen", 1, 1)]).values():
        made.result(60)
    describe = AclBinding(
        ResourceType.TOPIC,
        "seen",
        ResourcePatternType.LITERAL,
        "User:alice",
        "*",
        AclOperation.DESCRIBE,
        AclPermissionType.ALLOW,
    )
    for done in admin.create_acls([describe]).values():
        done.result(60)
    _wait_until_described(server.facts["urls"]["sasl"], "seen")
    yield server
    server.stop()


@pytest.mark.parametrize("topic", ["hidden", "seen", "unknown"])
@pytest.mark.parametrize(
    ("action", "config"),
    [
        pytest.param("produce", {"value": 1}, id="produce"),
        pytest.param("consume", {"from_beginning": True}, id="consume"),
        pytest.param("create_topic", {}, id="create"),
        pytest.param("delete_topic", {}, id="delete"),
    ],
)
def test_what_a_user_may_not_do_is_told_at_once(
    step: Step, denying: Any, action: str, config: dict[str, Any], topic: str
) -> None:
    """At once: with a wait for the deadline it would be an ActionTimeoutError."""
    login = {"brokers": denying.facts["urls"]["sasl"], "sasl": {"username": "alice", "password": "secret"}}
    with pytest.raises(TargetError, match="alice may not do this: ") as caught:
        step(action, Deadline.after(60, "step"), topic=topic, **login, **config)

    assert "PERMISSION_DENIED" == caught.value.code
    assert f"an ACL for the topic {topic} must allow it" in str(caught.value.hint)


def test_a_group_that_a_user_may_not_use_is_told_at_once(step: Step, denying: Any) -> None:
    login = {"brokers": denying.facts["urls"]["sasl"], "sasl": {"username": "alice", "password": "secret"}}
    with pytest.raises(TargetError, match=r"alice may not do this: .*Group authorization failed") as caught:
        step("consume", Deadline.after(60, "step"), topic="seen", group_id="g", **login)

    assert "PERMISSION_DENIED" == caught.value.code
    assert "an ACL for the group of `group_id` must allow Read" in str(caught.value.hint)
