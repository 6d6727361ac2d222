"""Clients of librdkafka: every wait in slices up to the deadline, every error told as soon as it is known."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.integrations._clients import ClientPool
from pytest_testmesh.integrations._durations import own_deadline
from pytest_testmesh.integrations._sockets import Stalled
from pytest_testmesh.integrations.kafka.address import Cluster, parse_cluster
from pytest_testmesh.integrations.kafka.failures import Asking, told
from pytest_testmesh.polling import Deadline

T = TypeVar("T")
K = TypeVar("K", Producer, Consumer, AdminClient)

SLICE_S = 0.1
"""How long Ctrl-C may have to wait for librdkafka at most."""

_LONGEST_SLICE_S = 0.5
"""A request that is cut off is sent anew, so that a broker far away needs a longer slice to answer at all."""

_NO_GROUP = "testmesh-without-group"
_HOPELESS = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError._RESOLVE,
        KafkaError._FATAL,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)
NOT_YET = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError._WAIT_CACHE,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._UNKNOWN_PARTITION,  # of those that the broker has just listed
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.REQUEST_TIMED_OUT,
    }
)
"""Codes of a question that may be asked again: nobody has answered it yet."""

_OPTIONS: dict[str, Any] = {
    "client.id": "pytest-testmesh",
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "log_level": 4,
    "log.connection.close": False,
    "socket.nagle.disable": True,
    "socket.connection.setup.timeout.ms": 30_000,
    "topic.metadata.refresh.interval.ms": 60_000,
}
_PRODUCER: dict[str, Any] = {
    "acks": "all",
    "retries": 0,  # a step is one attempt; with no second one there is nothing for idempotence to guard
    "linger.ms": 0,
    "message.timeout.ms": 0,  # the step's deadline, which differs from step to step, ends the wait
    "message.max.bytes": 100_000_000,  # the broker's limit counts
}
_CONSUMER: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 50,  # an assignment waits for the fetch that is under way
    "fetch.error.backoff.ms": 20,
    "queued.max.messages.kbytes": 16_384,
    "allow.auto.create.topics": False,
    "enable.partition.eof": True,  # what is there may end in records that are no messages
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What clients are pooled by; *group* is for committed offsets alone, no client joins one."""

    cluster: Cluster
    group: str = _NO_GROUP
    compression: str = "none"


class Client(Generic[K]):
    """One client of confluent-kafka with what it complained about; belongs to the process that made it."""

    def __init__(self, make: Callable[..., K], options: dict[str, Any]) -> None:
        self._complaints: deque[KafkaError] = deque(maxlen=20)
        options = {**_OPTIONS, **options, "error_cb": self._complaints.append}
        self.kafka: K = make(options, logger=_Silent())
        self.closed = False
        self.topics: set[str] = set()  # that are known to be there
        self.commits: deque[tuple[KafkaError | None, list[TopicPartition]]] = deque()
        self._pid = os.getpid()
        _OPEN.add(self)

    def complaint(self) -> KafkaError | None:
        """Return what no longer waiting can mend: a refused login, or that no broker is left; None: nothing so far."""
        specific = None
        down = False
        for error in self._complaints:
            if error.code() in _HOPELESS:
                return error
            down = down or error.code() == KafkaError._ALL_BROKERS_DOWN
            specific = error if error.code() == KafkaError._TRANSPORT else specific
        return (specific or self._complaints[-1]) if down else None

    def check(self) -> None:
        """Raise the complaint, if there is one.

        Raises:
            KafkaException: It.
        """
        complaint = self.complaint()
        if complaint is not None:
            raise KafkaException(complaint)

    def ask(self, call: Callable[[float], T], deadline: Deadline) -> T:
        """Return what *call*, given seconds to wait, returns; it is called again while there is no answer.

        Raises:
            KafkaException: The broker said no, or cannot be reached.
            Stalled: The deadline came.
        """
        slice_s = SLICE_S
        while True:
            try:
                return call(min(slice_s, max(deadline.remaining(), 0.001)))
            except KafkaException as exc:
                if exc.args[0].code() not in NOT_YET:
                    raise
                self.serve()
                self.check()
                if deadline.passed:
                    raise Stalled("the broker's answer") from exc
            slice_s = min(slice_s * 1.5, _LONGEST_SLICE_S)

    def serve(self) -> None:
        """Let librdkafka tell what it has to tell; only for clients that read nothing."""
        told = self.kafka.poll(0)
        # that a group may not be used comes as a message, while the question goes unanswered
        error = told.error() if isinstance(told, Message) else None
        if error is not None:
            self._complaints.append(error)

    @property
    def is_usable(self) -> bool:
        """Whether it has had no trouble while it was idle."""
        if self.closed or self._pid != os.getpid():
            return False
        self.serve()
        usable = self.complaint() is None
        self._complaints.clear()
        return usable

    def close(self) -> None:
        """Let go of it without waiting; a forked child, which has none of its threads, leaves it alone."""
        if self.closed or self._pid != os.getpid():
            return
        self.closed = True
        _OPEN.discard(self)
        if isinstance(self.kafka, Consumer):
            self.kafka.close()
        elif isinstance(self.kafka, Producer):
            self.kafka.purge()
            self.kafka.poll(0)


_OPEN: set[Any] = set()
"""Keeps clients from being destroyed in a forked child, where their destructor would wait for threads for ever."""


class _Silent:
    """Takes librdkafka's log lines, which it would write to stderr; what matters of them reaches ``error_cb``."""

    def log(self, *line: object) -> None:
        pass


def _producer(wanted: Wanted, deadline: Deadline) -> Client[Producer]:
    return Client(Producer, {**wanted.cluster.options(), **_PRODUCER, "compression.type": wanted.compression})


def _consumer(wanted: Wanted, deadline: Deadline) -> Client[Consumer]:
    def note(error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        client.commits.append((error, partitions))

    options = {**wanted.cluster.options(), **_CONSUMER, "group.id": wanted.group, "on_commit": note}
    client = Client(Consumer, options)
    return client


def _admin(wanted: Wanted, deadline: Deadline) -> Client[AdminClient]:
    return Client(AdminClient, wanted.cluster.options())


_KINDS: dict[Any, Callable[[Wanted, Deadline], Any]] = {
    Producer: _producer,
    Consumer: _consumer,
    AdminClient: _admin,
}


def pool_of(kind: type[K], context: ActionContext) -> ClientPool[Wanted, Client[K]]:
    """Return the session's clients of that kind."""
    return context.session.get(("kafka", kind), lambda: _make_pool(kind), ClientPool.close)


def _make_pool(kind: type[K]) -> ClientPool[Wanted, Client[K]]:
    return ClientPool(_KINDS[kind], is_alive=lambda client: client.is_usable, close=Client.close)


def asking_for(what: str, timeout: str, config: Mapping[str, Any], context: ActionContext) -> Asking:
    """Return what a step is about to do, with its deadline: by default *timeout* from now.

    Raises:
        ActionConfigError: The brokers, or a file of ``ssl``, cannot be used.
    """
    cluster = parse_cluster(config, context.settings, context.flow_dir)
    if cluster.login is not None:
        context.hide(cluster.login.password)
    deadline = own_deadline(config, context.deadline, timeout=timeout)
    return Asking(what=what, cluster=cluster, deadline=deadline, topic=config.get("topic", ""))


@contextmanager
def lend(kind: type[K], wanted: Wanted, asking: Asking, context: ActionContext) -> Iterator[Client[K]]:
    """Lend a client to one step; what it raises in the block becomes an error of ours."""
    with told(asking), pool_of(kind, context).lend(wanted, asking.deadline) as client, told(asking):
        yield client
