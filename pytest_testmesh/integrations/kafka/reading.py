"""What one run of a flow has read of a topic: messages are handed out once, what was skipped is kept for later."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Mapping
from contextlib import ExitStack
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.integrations._clients import ClientPool
from pytest_testmesh.integrations.kafka.connection import NOT_YET, SLICE_S, Client, Wanted, pool_of
from pytest_testmesh.integrations.kafka.messages import incoming
from pytest_testmesh.integrations.kafka.watch import Watch, topic_metadata
from pytest_testmesh.polling import Deadline

Incoming = tuple[Any, dict[str, Any]]
"""A message as the client gives it, and what `incoming` makes of it."""

_BATCH = 500
_LOOK_EVERY_S = 1.0
"""How often a step that waits asks for new partitions; the broker answers only after the fetch that is under way."""

_SOON_S = 0.01
"""How long a step waits at first: where its message comes in that time it asks for nothing."""

_IGNORED = frozenset(
    {
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.GROUP_AUTHORIZATION_FAILED,  # of the group that nobody named and nobody joins
        KafkaError.UNKNOWN_TOPIC_OR_PART,  # deleted while it is read: it may come again
    }
)


class TopicReader:
    """Reads one topic for one run of a flow, for the steps that name the same group or none.

    Its consumer stays assigned from step to step: a new assignment has to wait for the fetch that is under way.
    *begun* says from where it reads, None before `begin`. *heard* is when the broker last answered, in seconds of the
    monotonic clock.
    """

    def __init__(self, wanted: Wanted, topic: str, watch: Watch, context: ActionContext) -> None:
        self._topic = topic
        self._watch = watch
        self._wanted = wanted
        self._pool: ClientPool[Wanted, Client[Consumer]] = pool_of(Consumer, context)
        self._lease = ExitStack()
        self._client: Client[Consumer] | None = None
        self._taken: dict[tuple[int, int], dict[str, Any]] = {}
        self._age = watch.age
        self._begin: tuple[str | None, Mapping[int, int]] = (None, {})
        self._left: dict[tuple[int, int], Incoming] = {}
        self._next: dict[int, int] = {}
        self._assigned: set[int] = set()
        self._looked = self.heard = 0.0
        self._is_there: bool | None = None

    @property
    def begun(self) -> str | None:
        """From where it reads; None also after the flow deleted or created the topic."""
        return self._begin[0] if self._age == self._watch.age else None

    @property
    def is_there(self) -> bool | None:
        """Whether the topic was there when the broker last told; None: it has told this consumer nothing yet."""
        return self._is_there

    @property
    def taken(self) -> Collection[dict[str, Any]]:
        """The messages that steps of this run took, as `incoming` makes them, in that order."""
        return self._taken.values()

    def begin(self, where: str, starts: Mapping[int, int]) -> None:
        """Read from *starts*, offsets by partition, from now on; of other partitions from their beginning."""
        if self._age != self._watch.age:
            self._age = self._watch.age
            self._taken.clear()
        self._begin = (where, starts)
        self._left, self._next = {}, {}
        if self._client is not None:
            self._release(self._client)

    def read(self, deadline: Deadline, ends: Mapping[int, int] | None = None) -> Generator[Incoming | None, None, None]:
        """Yield the messages that no step has taken, as they come, until *deadline*; None: there is none right now.

        What a step does not take comes again in the next read. With *ends*, offsets by partition, it stops as soon as
        all that is before them was read.
        """
        fresh = list(self._left.values())
        waiting = False
        while True:
            yield from fresh
            yield None
            if deadline.passed or (ends is not None and self.has_read(ends)):
                return
            fresh = self._fetch(deadline, waiting=waiting)
            waiting = True

    def has_read(self, ends: Mapping[int, int]) -> bool:
        """Whether all that is before *ends*, offsets by partition, was read."""
        return all(self._start(partition) >= end for partition, end in ends.items())

    def take(self, message: Any, shown: dict[str, Any]) -> None:
        """Never yield *message* again."""
        place = message.partition(), message.offset()
        self._taken[place] = shown
        self._left.pop(place, None)

    def drop(self) -> None:
        """Let go of a consumer that is in trouble; the next read takes another one and goes on at the same place."""
        if self._client is not None:
            self._client.close()
            self._release(self._client)

    def close(self) -> None:
        """Give the consumer back to the session."""
        if self._client is not None:
            self._release(self._client)

    def _release(self, client: Client[Consumer]) -> None:
        self._client = None
        self._is_there = None
        self._assigned = set()
        with self._lease:
            if not client.closed:
                client.kafka.unassign()

    def _fetch(self, deadline: Deadline, *, waiting: bool) -> list[Incoming]:
        client = self._client
        if client is None:
            client = self._client = self._lease.enter_context(self._pool.lend(self._wanted, deadline))
        if not self._assigned or (waiting and time.monotonic() - self._looked > _LOOK_EVERY_S):
            self._assign(client, min(SLICE_S, deadline.remaining()))
        first = self._poll(client, Deadline.after(SLICE_S if waiting else _SOON_S, "").earlier(deadline))
        client.check()
        if first is None:
            return []
        batch = [first, *client.kafka.consume(_BATCH, timeout=0)]
        messages: list[Any] = [each for each in batch if not self._is_end(each) and _is_message(each)]
        new = {}
        for each in messages:
            partition, offset = each.partition(), each.offset()
            self._next[partition] = offset + 1
            if (partition, offset) not in self._taken:
                new[partition, offset] = each, incoming(each)
        self._left |= new
        return list(new.values())

    def _poll(self, client: Client[Consumer], until: Deadline) -> Any:
        """Return the next message or error, None where none came; that a partition ends is only noted."""
        while True:
            found = client.kafka.poll(until.remaining())
            if found is None:
                return None
            self.heard = time.monotonic()
            if not self._is_end(found):
                return found

    def _is_end(self, message: Any) -> bool:
        error = message.error()
        if error is None or error.code() != KafkaError._PARTITION_EOF:
            return False
        self._next[message.partition()] = message.offset()
        return True

    def _assign(self, client: Client[Consumer], slice_s: float) -> None:
        """Add partitions that are not read yet: all of them at first, later those that the topic was given."""
        try:
            found = topic_metadata(client, self._topic, slice_s)
        except KafkaException as exc:
            if exc.args[0].code() not in NOT_YET:
                raise
            return  # not `Client.ask`, whose waiting could swallow a message
        self._looked = self.heard = time.monotonic()
        self._is_there = bool(found.partitions)
        new = found.partitions.keys() - self._assigned
        if new:
            client.kafka.incremental_assign([TopicPartition(self._topic, each, self._start(each)) for each in new])
            self._assigned |= new

    def _start(self, partition: int) -> int:
        return self._next.get(partition, self._begin[1].get(partition, OFFSET_BEGINNING))


def _is_message(message: Any) -> bool:
    error = message.error()
    if error is not None and error.code() not in _IGNORED:
        raise KafkaException(error)
    return error is None
