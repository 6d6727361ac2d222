"""The one table that turns errors of redis-py, of Redis and of sockets into ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import redis

from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    TargetError,
    TargetUnavailableError,
)
from pytest_testmesh.integrations._failures import (
    BROKEN,
    UNEXPECTED,
    Row,
    chain_since,
    default_fact,
    said,
    socket_row,
    stalled,
)
from pytest_testmesh.integrations._sockets import Stalled
from pytest_testmesh.integrations.redis.address import SETTING, Address
from pytest_testmesh.integrations.redis.command import Command
from pytest_testmesh.polling import Deadline

_SAID = Row(TargetError, "the server said: {said}")
_CLOSED_AT_ONCE = Row(
    TargetUnavailableError,
    "the server closed the connection without an answer",
    "is this the port of a Redis that runs? one with TLS looks the same: then write ssl: true or a rediss:// url",
)
_CLOSED_BY_TLS = Row(
    TargetUnavailableError,
    _CLOSED_AT_ONCE.text,
    "is this the port of a Redis that runs? one without TLS looks the same: then write ssl: false or a redis:// url",
)
_PORT = "the port of Redis, usually 6379"
_LOGIN = "AUTHENTICATION_FAILED"
_NO_PASSWORD = Row(TargetError, "the server wants a login: {said}", "give `password`, or a url that holds one", _LOGIN)
_WRONG_PASSWORD = Row(
    TargetError, "the login of {user} is refused: {said}", "are `username` and `password` those of this server?", _LOGIN
)
_NOT_ASKED = Row(TargetError, "the server asks for no login: {said}", "leave `password` out", _LOGIN)
_NOT_ALLOWED = Row(
    TargetError,
    "{user} may not do this: {said}",
    "which commands and keys the user may use, `ACL GETUSER` tells",
    "PERMISSION_DENIED",
)
_CLUSTER = Row(
    TargetError,
    "{origin} is a node of a Redis Cluster: {said}",
    "the redis actions speak to single servers; a proxy in front of the cluster, or the node that has this key, is one",
    "REDIS_CLUSTER",
)
_LOADING = Row(
    TargetUnavailableError, "the server is still loading its data: {said}", "try again with retry or eventually"
)
_REPLICA = Row(TargetError, "the server is a replica and takes no writes: {said}", "name the primary", "READ_ONLY")
_NO_MEMORY = Row(
    TargetError, "the server has no memory left for this: {said}", "raise its maxmemory or delete keys", "OUT_OF_MEMORY"
)
_NO_PRIMARY = Row(
    TargetUnavailableError, "the server is a replica that has lost its primary: {said}", "is the primary running?"
)
_NOT_REDIS = Row(TargetError, "the answer is not of the Redis protocol: {said}", "is this the right port?", "NOT_REDIS")

PHRASES: Mapping[str, Row] = {
    "Connection closed by server.": BROKEN,
    "DB index is out of range": Row(
        TargetError, "there is no database {db}: {said}", "the server's setting `databases` says how many there are"
    ),
    "no password is set": _NOT_ASKED,
    "without any password configured": _NOT_ASKED,
}
"""By what the error's text holds, where its class says too little."""

WORDS: Mapping[str, Row] = {
    "ASK": _CLUSTER,
    "BUSY": Row(TargetError, "the server is busy with a script: {said}", "SCRIPT KILL ends it"),
    "CLUSTERDOWN": _CLUSTER,
    "CROSSSLOT": _CLUSTER,
    "LOADING": _LOADING,
    "MASTERDOWN": _NO_PRIMARY,
    "MISCONF": Row(TargetError, "the server takes no writes: {said}", "its log says why it cannot save to disk"),
    "MOVED": _CLUSTER,
    "NOAUTH": _NO_PASSWORD,
    "NOPERM": _NOT_ALLOWED,
    "NOREPLICAS": Row(TargetError, "the server has too few replicas to take a write: {said}"),
    "OOM": _NO_MEMORY,
    "READONLY": _REPLICA,
    "TRYAGAIN": _CLUSTER,
    "WRONGPASS": _WRONG_PASSWORD,
    "WRONGTYPE": Row(
        TargetError,
        "the key holds something else than text: {said}",
        "redis.get reads strings; a hash, list, set or stream is no string",
        "WRONG_TYPE",
    ),
}
"""By the first word of what Redis said, where redis-py leaves it in the text."""

TABLE: Mapping[str, Row] = {
    "AskError": _CLUSTER,
    "AuthenticationError": _WRONG_PASSWORD,
    "AuthenticationWrongNumberOfArgsError": Row(
        TargetError, "the server knows no users: {said}", "leave `username` out: it is older than Redis 6", _LOGIN
    ),
    "AuthorizationError": _NOT_ALLOWED,
    "BusyLoadingError": _LOADING,
    "ChildDeadlockedError": UNEXPECTED,
    "ClusterCrossSlotError": _CLUSTER,
    "ClusterDownError": _CLUSTER,
    "ClusterError": _CLUSTER,
    "ConnectionError": UNEXPECTED,
    "CrossSlotTransactionError": _CLUSTER,
    "DataError": Row(ActionConfigError, "this cannot be sent: {said}"),
    "ExecAbortError": _SAID,
    "ExternalAuthProviderError": _WRONG_PASSWORD,
    "IncorrectPolicyType": UNEXPECTED,
    "InvalidPipelineStack": UNEXPECTED,
    "InvalidResponse": _NOT_REDIS,
    "LockError": UNEXPECTED,
    "LockNotOwnedError": UNEXPECTED,
    "MasterDownError": _NO_PRIMARY,
    "MaxConnectionsError": UNEXPECTED,
    "ModuleError": _SAID,
    "MovedError": _CLUSTER,
    "NoPermissionError": _NOT_ALLOWED,
    "NoScriptError": _SAID,
    "NoSuchFieldsetError": _SAID,
    "OutOfMemoryError": _NO_MEMORY,
    "PubSubError": UNEXPECTED,
    "ReadOnlyError": _REPLICA,
    "RedisClusterException": _CLUSTER,
    "RedisError": UNEXPECTED,
    "ResponseError": _SAID,
    "SlotNotCoveredError": _CLUSTER,
    "TimeoutError": UNEXPECTED,  # without a Stalled behind it, which would be told as a time-out
    "TryAgainError": _CLUSTER,
    "WatchError": UNEXPECTED,
}
"""By the name of the class in ``redis.exceptions``: which classes there are differs from version to version."""

MAPPED = (redis.RedisError, OSError)
"""What asking may raise and `failure` understands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What was being done when an error came up, for its text.

    *first* is whether nothing was answered on this connection before, *handled* an older error, still being dealt with.
    """

    command: Command
    address: Address
    deadline: Deadline
    waited: str
    first: bool
    handled: BaseException | None

    @property
    def where(self) -> str:
        """``"GET user:42 at localhost:6379"``."""
        return f"{self.command.title} at {self.address.shown}"


def failure(exc: BaseException, asking: Asking) -> ActionError:
    """Return the error of ours for *exc*: ``GET user:42 at localhost:6379: connection refused``."""
    causes = list(chain_since(asking.handled, exc))
    timeout = next((each for each in causes if isinstance(each, TimeoutError)), None)
    if timeout is not None:
        waiting_for = timeout.waiting_for if isinstance(timeout, Stalled) else "the response"
        return stalled(
            asking.where, asking.waited, waiting_for, asking.deadline, "command", _PORT if asking.first else None
        )
    cause, row = _row(causes, asking)
    address = asking.address
    facts = {
        "db": address.db,
        "default": default_fact(address.is_default, f"`url` or testmesh_{SETTING}"),
        "host": address.host,
        "origin": address.origin,
        "said": _said(cause),
        "service": "Redis",
        "user": f"the user {address.username}" if address.username else "the default user",
    }
    return row.make(asking.where, facts)


def _row(causes: list[BaseException], asking: Asking) -> tuple[BaseException, Row]:
    """Find the row of the error nearest to the root that one of the tables knows."""
    for cause in reversed(causes):
        row = socket_row(cause) if isinstance(cause, OSError) else _redis_row(cause, asking.address)
        if row is BROKEN and asking.first:
            row = _CLOSED_BY_TLS if asking.address.tls else _CLOSED_AT_ONCE
        if row is not None:
            return cause, row
    return causes[0], UNEXPECTED


def _redis_row(cause: BaseException, address: Address) -> Row | None:
    text = str(cause)
    phrase = next((row for part, row in PHRASES.items() if part in text), None)
    if phrase is not None:
        return phrase
    if type(cause) is redis.ResponseError:
        return WORDS.get(text.partition(" ")[0], _SAID)
    row = next((TABLE[kind.__name__] for kind in type(cause).__mro__ if kind.__name__ in TABLE), None)
    return _NO_PASSWORD if row is _WRONG_PASSWORD and not (address.username or address.password) else row


def _said(cause: BaseException) -> str:
    text = said(cause)
    # newer versions of redis-py cut off the first word of what Redis said, and keep it here
    word = getattr(cause, "status_code", None)
    return text if word in (None, "ERR") or text.startswith(word) else f"{word} {text}"
