"""The actions ``kafka.*``: what their configs and results look like; the client is loaded by the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_testmesh.actions import BUILTIN
from pytest_testmesh.integrations._durations import DURATION
from pytest_testmesh.integrations._lazy import lazy

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionRegistry

_ANY = ["string", "number", "boolean", "object", "array", "null"]
_CLUSTER: dict[str, Any] = {
    "brokers": {
        "type": ["string", "array"],
        "items": {"type": "string"},
        "description": "host:port, several with commas or as a list; by default testmesh_kafka_brokers, localhost:9092",
    },
    "sasl": {
        "type": "object",
        "required": ["username", "password"],
        "additionalProperties": False,
        "properties": {
            "mechanism": {
                "type": "string",
                "pattern": "^(?i:PLAIN|SCRAM-SHA-256|SCRAM-SHA-512)$",
                "default": "PLAIN",
                "description": "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
            },
            "username": {"type": "string"},
            "password": {"type": "string"},
        },
        "description": "how to log in",
    },
    "ssl": {
        "type": ["boolean", "object"],
        "additionalProperties": False,
        "properties": {
            "ca": {"type": "string", "description": "file of CA certificates, relative to the flow"},
            "cert": {"type": "string", "description": "file of the client certificate"},
            "key": {"type": "string", "description": "file of its key"},
            "password": {"type": "string", "description": "password of the key"},
            "verify": {"type": "boolean", "default": True, "description": "false accepts any certificate"},
        },
        "default": False,
        "description": "speak TLS, true for the usual CA certificates",
    },
}
_TIMEOUT: dict[str, Any] = {
    **DURATION,
    "default": "30s",
    "description": "bounds everything: connect, TLS, login, answer",
}
_TOPIC: dict[str, Any] = {"type": "string", "minLength": 1, "description": "name of the topic"}
_MESSAGE: dict[str, Any] = {
    "key": {"type": _ANY, "description": "text as it is, anything else as JSON; null: none"},
    "key_base64": {"type": "string", "description": "bytes of the key, instead of key"},
    "value": {"type": _ANY, "description": "text as it is, anything else as JSON; null is a tombstone"},
    "value_base64": {"type": "string", "description": "bytes of the value, instead of value"},
    "headers": {"type": "object", "description": "a list is one name repeated"},
    "partition": {
        "type": "integer",
        "minimum": 0,
        "description": "by default the client chooses, by the key where there is one",
    },
}
_NUMBER: dict[str, Any] = {"type": "integer", "minimum": 1}


def _schema(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": {**properties, "timeout": _TIMEOUT, **_CLUSTER},
    }


PRODUCE_SCHEMA = _schema(
    {
        "topic": _TOPIC,
        **_MESSAGE,
        "messages": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": False, "properties": _MESSAGE},
            "description": "several messages; key, partition and headers beside it are for those that have none",
        },
        "compression": {
            "enum": ["none", "gzip", "snappy", "lz4", "zstd"],
            "default": "none",
            "description": "how messages are compressed on their way and on the broker's disk",
        },
    },
    "topic",
)
CONSUME_SCHEMA = _schema({
    "topic": _TOPIC,
    "group_id": {"type": "string", "minLength": 1, "description": "group whose committed offsets count; not joined"},
    "count": {"type": "integer", "minimum": 0, "default": 1, "description": "how many are required; 0: none may come"},
    "max_messages": {**_NUMBER, "description": "at most so many; without count fewer are no failure"},
    "maxMessages": {**_NUMBER, "description": "the same as max_messages"},
    "from_beginning": {"type": "boolean", "description": "read what was there before the flow, too"},
    "fromBeginning": {"type": "boolean", "description": "the same as from_beginning"},
    "auto_offset_reset": {"enum": ["earliest", "latest"], "description": "earliest is from_beginning: true"},
    "match": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "key": {"type": ["string", "number", "boolean", "null"], "description": "the key, as text"},
            "headers": {"type": "object", "description": "headers that are there with these values"},
            "json_path": {"type": ["string", "object"], "description": "a path that finds something, or path: value"},
            "expression": {"type": "string", "description": "over key, value, headers, partition, offset, timestamp"},
        },
        "description": "which messages are wanted; the others stay for later steps",
    },
    "filter": {"type": "string", "description": "the same as match.expression"},
}, "topic")  # fmt: skip
CONSUME_SCHEMA["properties"]["timeout"] = {**_TIMEOUT, "default": "10s", "description": "how long to wait"}
TOPICS_SCHEMA = _schema({})
CREATE_SCHEMA = _schema(
    {
        "topic": _TOPIC,
        "partitions": {**_NUMBER, "default": 1, "description": "number of its partitions"},
        "replicationFactor": {**_NUMBER, "default": 1, "description": "on how many brokers each partition is kept"},
    },
    "topic",
)
DELETE_SCHEMA = _schema({"topic": _TOPIC}, "topic")

PRODUCE_RESULT = {
    "topic": "name of the topic",
    "messages_sent": "number of messages, all acknowledged",
    "partitions": "for each message {partition, offset}",
    "partition": "of the first message",
    "offset": "of the first message",
}
CONSUME_RESULT = {
    "messages": "[{topic, partition, offset, key, value, headers, timestamp, key_binary, value_binary}]; a value that "
    "is JSON is parsed, what is no UTF-8 is base64 and *_binary true",
    "count": "number of messages",
    "messages_received": "number of messages that were looked at",
    "key": "of the first message; null where there is none",
    "value": "of the first message",
    "headers": "of the first message",
    "partition": "of the first message",
    "offset": "of the first message",
    "timestamp": "of the first message, ISO 8601 in UTC",
}
TOPICS_RESULT = {"topics": "names, sorted, without Kafka's own", "count": "number of names"}
CREATE_RESULT = {"created": "true", "topic": "its name", "partitions": "number of its partitions"}
DELETE_RESULT = {"deleted": "true", "topic": "its name"}

_check_produce = lazy("kafka.checks:check_produce")
_check_consume = lazy("kafka.checks:check_consume")
_before_consume = lazy("kafka.watch:record_end")
kafka_produce = lazy("kafka.produce:produce")
kafka_consume = lazy("kafka.consume:consume")
kafka_topics = lazy("kafka.admin:topics")
kafka_create_topic = lazy("kafka.admin:create_topic")
kafka_delete_topic = lazy("kafka.admin:delete_topic")


def register(registry: ActionRegistry) -> None:
    """Add ``kafka.produce``, ``kafka.consume`` and ``kafka.admin.*``."""
    registry.add(
        "kafka.produce",
        kafka_produce,
        summary="Send messages and wait until the broker has them",
        schema=PRODUCE_SCHEMA,
        result=PRODUCE_RESULT,
        aliases=("kafka_producer", "kafka_publish"),
        check=_check_produce,
        provider=BUILTIN,
    )
    registry.add(
        "kafka.consume",
        kafka_consume,
        summary="Wait for messages that came since the flow began, or that match",
        schema=CONSUME_SCHEMA,
        result=CONSUME_RESULT,
        aliases=("kafka_consumer", "kafka_consume"),
        check=_check_consume,
        before=_before_consume,
        expressions=("match", "filter"),
        provider=BUILTIN,
    )
    registry.add(
        "kafka.admin.topics",
        kafka_topics,
        summary="List the topics",
        schema=TOPICS_SCHEMA,
        result=TOPICS_RESULT,
        provider=BUILTIN,
    )
    registry.add(
        "kafka.admin.createTopic",
        kafka_create_topic,
        summary="Create a topic",
        schema=CREATE_SCHEMA,
        result=CREATE_RESULT,
        provider=BUILTIN,
    )
    registry.add(
        "kafka.admin.deleteTopic",
        kafka_delete_topic,
        summary="Delete a topic",
        schema=DELETE_SCHEMA,
        result=DELETE_RESULT,
        provider=BUILTIN,
    )
