"""The one table that turns errors of librdkafka and of the brokers into ours."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    ActionTimeoutError,
    TargetError,
    TargetUnavailableError,
)
from pytest_testmesh.integrations._failures import BROKEN, SOCKETS, UNEXPECTED, Row, default_fact, timed_out
from pytest_testmesh.integrations._sockets import Stalled
from pytest_testmesh.integrations.kafka.address import SETTING, Cluster
from pytest_testmesh.polling import Deadline
from pytest_testmesh.units import format_duration

OF_BROKERS = Row(TargetError, "the broker said: {said}")
"""What a code of the Kafka protocol means that has no row of its own."""

OF_CLIENT = UNEXPECTED
"""What a code of librdkafka itself means that has no row of its own; their names begin with ``_``."""

_REFUSED = SOCKETS[ConnectionRefusedError]
_LOGIN = Row(
    TargetError,
    "the login of {user} is refused: {said}",
    "are mechanism, username and password of `sasl` those of this listener?",
    "AUTHENTICATION_FAILED",
)
_DENIED = Row(
    TargetError,
    "{user} may not do this: {said}",
    "which ACLs there are, `kafka-acls.sh --list` tells",
    "PERMISSION_DENIED",
)
_DENIED_TOPIC = replace(
    _DENIED,
    hint="an ACL for the topic {topic} must allow it: Write to produce, Read to consume, Create, Delete; "
    "`kafka-acls.sh --list --topic {topic}` tells which there are",
)
_DENIED_GROUP = replace(
    _DENIED, hint="an ACL for the group of `group_id` must allow Read; `kafka-acls.sh --list` tells which there are"
)
_NO_TOPIC = Row(
    TargetError, "there is no topic {topic}", "check the name, or create it with kafka.admin.createTopic", "NO_TOPIC"
)
_NO_PARTITION = Row(TargetError, "there is no such partition: {said}", "partitions count from 0", "NO_PARTITION")
_BAD_TOPIC = Row(
    ActionConfigError, "{topic!r} cannot be the name of a topic", "letters, digits, `.`, `_` and `-`, at most 249"
)
_TOO_LARGE = Row(
    TargetError,
    "a message is too large: {said}",
    "the broker's message.max.bytes and the topic's max.message.bytes say how large one may be",
    "MESSAGE_TOO_LARGE",
)
_NO_LEADER = Row(TargetUnavailableError, "a partition of {topic} has no leader right now: {said}", "try it with retry")
_MEMBERS = Row(
    TargetError,
    "the group has members, which alone may commit: {said}",
    "use a group of the test's own, or leave group_id out",
    "GROUP_IN_USE",
)
_COORDINATOR = Row(TargetUnavailableError, "the group's coordinator is not ready: {said}", "try it with retry")
_NO_TLS = Row(TargetUnavailableError, "no TLS: {said}", "does this listener speak TLS? try it without `ssl`")
_UNTRUSTED = Row(
    TargetUnavailableError,
    "the TLS certificate is not accepted: {said}",
    "name its CA: `ssl: {{ca: ca.pem}}`, or write `ssl: {{verify: false}}`",
)
_TLS = Row(TargetUnavailableError, "TLS failed: {said}", "are `ssl` and the listener of one kind?")
_HUNG_UP = Row(
    TargetUnavailableError,
    "the broker closed the connection without an answer",
    "did it stop just now? a listener that wants TLS or a login looks the same: then write `ssl` or `sasl`",
)
_PURGED = Row(TargetUnavailableError, "the message was not sent: {said}")

PHRASES: Mapping[str, Row] = {
    "Connection refused": _REFUSED,
    "certificate verify failed": _UNTRUSTED,
    "SSL handshake failed": _NO_TLS,
    "Disconnected": BROKEN,
    "closed by peer": BROKEN,
    "Connection reset": BROKEN,
    "Broken pipe": BROKEN,
    "Receive failed": BROKEN,
}
"""By what the text holds, where the code says no more than that a connection failed."""

TABLE: Mapping[str, Row] = {
    "CLUSTER_AUTHORIZATION_FAILED": _DENIED,
    "COORDINATOR_LOAD_IN_PROGRESS": _COORDINATOR,
    "COORDINATOR_NOT_AVAILABLE": _COORDINATOR,
    "DELEGATION_TOKEN_AUTHORIZATION_FAILED": _DENIED,
    "FENCED_INSTANCE_ID": _MEMBERS,
    "GROUP_AUTHORIZATION_FAILED": _DENIED_GROUP,
    "ILLEGAL_GENERATION": _MEMBERS,
    "ILLEGAL_SASL_STATE": _LOGIN,
    "INVALID_PARTITIONS": Row(ActionConfigError, "the number of partitions cannot be: {said}"),
    "INVALID_REPLICATION_FACTOR": Row(
        ActionConfigError, "the replicationFactor cannot be: {said}", "it is at most the number of brokers"
    ),
    "LEADER_NOT_AVAILABLE": _NO_LEADER,
    "MSG_SIZE_TOO_LARGE": _TOO_LARGE,
    "NETWORK_EXCEPTION": BROKEN,
    "NOT_COORDINATOR": _COORDINATOR,
    "NOT_LEADER_FOR_PARTITION": _NO_LEADER,
    "RECORD_LIST_TOO_LARGE": _TOO_LARGE,
    "REBALANCE_IN_PROGRESS": _MEMBERS,
    "REPLICA_NOT_AVAILABLE": _NO_LEADER,
    "SASL_AUTHENTICATION_FAILED": _LOGIN,
    "TOPIC_ALREADY_EXISTS": Row(
        TargetError, "the topic {topic} is there already", "use a name of this test's own, or delete it", "TOPIC_EXISTS"
    ),
    "TOPIC_AUTHORIZATION_FAILED": _DENIED_TOPIC,
    "TOPIC_DELETION_DISABLED": Row(TargetError, "the broker deletes no topics", "set its delete.topic.enable"),
    "TOPIC_EXCEPTION": _BAD_TOPIC,
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED": _DENIED,
    "UNKNOWN_MEMBER_ID": _MEMBERS,
    "UNKNOWN_TOPIC_ID": _NO_TOPIC,
    "UNKNOWN_TOPIC_OR_PART": _NO_TOPIC,
    "UNSUPPORTED_SASL_MECHANISM": _LOGIN,
    "_ALL_BROKERS_DOWN": _HUNG_UP,
    "_AUTHENTICATION": _LOGIN,
    "_INVALID_ARG": Row(ActionConfigError, "the client refuses its settings: {said}"),
    "_PURGE_INFLIGHT": _PURGED,
    "_PURGE_QUEUE": _PURGED,
    "_QUEUE_FULL": Row(ActionConfigError, "too many messages for one step: {said}", "produce them in several steps"),
    "_RESOLVE": Row(TargetUnavailableError, "unknown host {host}", "check the name; {said}"),
    "_SSL": _TLS,
    "_UNKNOWN_PARTITION": _NO_PARTITION,
    "_UNKNOWN_TOPIC": _NO_TOPIC,
    "_UNSUPPORTED_FEATURE": Row(ActionConfigError, "this build of librdkafka cannot do it: {said}"),
}
"""By the name of the code; names without a row mean `OF_CLIENT` where they begin with ``_``, else `OF_BROKERS`."""

_UNUSABLE = Row(ActionConfigError, "the client cannot take this: {said}")
EXCEPTIONS: Mapping[type[BaseException], Row] = {
    BufferError: TABLE["_QUEUE_FULL"],
    TypeError: _UNUSABLE,
    ValueError: _UNUSABLE,
    RuntimeError: OF_CLIENT,  # of a client that is closed
    **{  # of clients that are not used here; which there are differs from version to version
        kind: OF_CLIENT
        for kind in vars(confluent_kafka).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, KafkaException)
    },
}
"""What confluent-kafka raises besides `KafkaException`."""

MAPPED: tuple[type[BaseException], ...] = (KafkaException, Stalled, *EXCEPTIONS)
"""What asking may raise and `failure` understands."""

_ERROR_TEXT = re.compile(
    r"(?:(?:\w+://)?(?P<origin>[^/\s]+)/(?:bootstrap|\d+): )?(?P<said>.*?)(?: \(after \d+ms in state \w+.*)?", re.DOTALL
)
_HINTS = {
    "the broker's acknowledgement": "is it frozen, or has it too few replicas? the message may be written or not",
    "the broker's answer": "are the brokers right? a frozen one looks like this, and a firewall that drops packets",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What is being done, for the text of an error; *topic* is empty where none is concerned."""

    what: str
    cluster: Cluster
    deadline: Deadline
    topic: str = ""
    started: float = field(default_factory=time.perf_counter)

    @property
    def where(self) -> str:
        """``"produce to orders at localhost:9092"``."""
        return f"{self.what} at {self.cluster.shown}"


@contextmanager
def told(asking: Asking) -> Iterator[None]:
    """Turn what the client raises in the block into an error of ours."""
    try:
        yield
    except MAPPED as exc:
        raise failure(exc, asking) from exc


def failure(exc: BaseException, asking: Asking) -> ActionError:
    """Return the error of ours: ``produce to orders at localhost:9092: connection refused``."""
    if isinstance(exc, Stalled):
        return _timed_out(exc, asking)
    if isinstance(exc, KafkaException) and exc.args and isinstance(exc.args[0], KafkaError):
        error = exc.args[0]
        return _made(row_of(error.name(), error.str()), error.str(), asking)
    row = next((row for kind, row in EXCEPTIONS.items() if isinstance(exc, kind)), OF_CLIENT)
    return _made(row, str(exc), asking)


def _timed_out(stalled: Stalled, asking: Asking) -> ActionTimeoutError:
    waited = format_duration(time.perf_counter() - asking.started)
    waiting_for = stalled.waiting_for
    return timed_out(asking.where, waited, waiting_for, asking.deadline, _HINTS.get(waiting_for))


def row_of(name: str, text: str) -> Row:
    """Return the row of a code; a failed connection is told by its text."""
    if name in ("_TRANSPORT", "_SSL", "_ALL_BROKERS_DOWN"):
        phrase = next((row for part, row in PHRASES.items() if part in text), None)
        if phrase is not None:
            return phrase
    return TABLE.get(name) or (OF_CLIENT if name.startswith("_") else OF_BROKERS)


def _made(row: Row, text: str, asking: Asking) -> ActionError:
    match = _ERROR_TEXT.fullmatch(text)
    assert match is not None
    origin = match["origin"] or asking.cluster.shown
    login = asking.cluster.login
    facts = {
        "default": default_fact(asking.cluster.are_default, f"`brokers` or testmesh_{SETTING}"),
        "host": origin.rpartition(":")[0],
        "origin": origin,
        "said": match["said"].removeprefix("Broker: "),
        "service": "Kafka",
        "topic": asking.topic,
        "user": login.username if login else "a client without a login",
    }
    return row.make(asking.where, facts)
