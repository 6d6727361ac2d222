"""Steps in the words of OpenTelemetry's semantic conventions: the attributes and the kind of a step's span."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_testmesh.model import EMPTY, Flow, Step
from pytest_testmesh.records import StepRecord

Attributes = dict[str, Any]
Describe = Callable[[Step, Mapping[str, Any], Mapping[str, Any]], Attributes]

_CLIENTS = ("database_", "db_", "http_request", "kafka", "minio", "neo4j", "postgresql", "redis")
_PRODUCERS = frozenset({"kafka.produce", "kafka_producer", "kafka_publish"})


def span_kind(action: str) -> str:
    """Return the kind of span that a step of *action* is."""
    if action in _PRODUCERS:
        return "PRODUCER"
    return "CLIENT" if action.startswith(_CLIENTS) else "INTERNAL"


def flow_attributes(flow: Flow) -> Attributes:
    """Return what is known of a flow before it runs.

    Source: https://opentelemetry.io/docs/specs/semconv/registry/attributes/test/
    """
    return {
        "test.case.name": flow.name,
        "test.suite.name": flow.suite or flow.location.path,
        "code.file.path": flow.location.path,
        "code.line.number": flow.location.line,
    }


def step_attributes(step: Step, record: StepRecord, config: Mapping[str, Any], result: Mapping[str, Any]) -> Attributes:
    """Return what became of a step; still to be masked. Values that a query binds are never in it."""
    attributes: Attributes = {
        "testmesh.step.id": record.id,
        "testmesh.step.name": record.name,
        "testmesh.step.action": record.action,
        "testmesh.step.phase": record.phase,
        "testmesh.step.outcome": record.state,
        "testmesh.step.attempts": record.attempts,
        "code.file.path": step.location.path,
        "code.line.number": step.location.line,
    }
    if record.outcome == "failed":
        attributes["error.type"] = record.code or "_OTHER"
    describe = next((each for start, each in _SERVICES.items() if record.action.startswith(start)), None)
    if describe is not None:
        attributes |= describe(step, config, result)
    return {name: value for name, value in attributes.items() if _is_attribute(value)}


def _is_attribute(value: Any) -> bool:
    return isinstance(value, (str, bool, int, float))


def _http(step: Step, config: Mapping[str, Any], result: Mapping[str, Any]) -> Attributes:
    return {
        "http.request.method": str(config.get("method", "GET")).upper(),
        "url.full": _without_credentials(str(result.get("url") or config.get("url", ""))),
        "http.response.status_code": result.get("status"),
    }


def _without_credentials(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    authority = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    return f"{scheme}{separator}{rest[authority.rfind('@') + 1 :]}" if separator else url


def _postgresql(step: Step, config: Mapping[str, Any], result: Mapping[str, Any]) -> Attributes:
    written = _written(step)
    return {
        "db.system.name": "postgresql",
        "db.operation.name": step.action.rpartition(".")[2],
        "db.query.text": written.get("query"),
        "db.collection.name": written.get("table"),
    }


def _database(step: Step, config: Mapping[str, Any], result: Mapping[str, Any]) -> Attributes:
    connection = config.get("connection", "")
    kind = connection.get("type", "") if isinstance(connection, Mapping) else connection
    system = "sqlite" if str(kind).startswith("sqlite") else "postgresql"
    return {"db.system.name": system, "db.query.text": _written(step).get("query")}


def _neo4j(step: Step, config: Mapping[str, Any], result: Mapping[str, Any]) -> Attributes:
    written = _written(step)
    return {
        "db.system.name": "neo4j",
        "db.query.text": written.get("query") or written.get("cypher"),
        "db.namespace": config.get("database"),
    }


def _redis(step: Step, config: Mapping[str, Any], result: Mapping[str, Any]) -> Attributes:
    operation = step.action.replace(".", "_").rpartition("_")[2]
    return {"db.system.name": "redis", "db.operation.name": operation.upper()}


def _kafka(step: Step, config: Mapping[str, Any], result: Mapping[str, Any]) -> Attributes:
    sends = step.action in _PRODUCERS
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": config.get("topic"),
        "messaging.operation.name": step.action.rpartition(".")[2].removeprefix("kafka_"),
        "messaging.operation.type": "send" if sends else "receive",
        "messaging.consumer.group.name": None if sends else config.get("group_id"),
        "messaging.batch.message_count": result.get("messages_sent"),
    }


def _minio(step: Step, config: Mapping[str, Any], result: Mapping[str, Any]) -> Attributes:
    return {"aws.s3.bucket": config.get("bucket"), "aws.s3.key": config.get("object")}


def _written(step: Step) -> Mapping[str, Any]:
    written = step.config.written
    return written if isinstance(written, Mapping) else EMPTY


_SERVICES: Mapping[str, Describe] = {
    "http_request": _http,
    "postgresql": _postgresql,
    "database_": _database,
    "db_": _database,
    "neo4j": _neo4j,
    "redis": _redis,
    "kafka": _kafka,
    "minio": _minio,
}
"""By the beginning of the action's name."""
