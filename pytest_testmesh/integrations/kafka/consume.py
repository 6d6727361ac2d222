"""``kafka.consume``: waits for the messages that a step wants and hands each one out once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from confluent_kafka import Consumer

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionTimeoutError, StepAssertionError, TargetError
from pytest_testmesh.integrations.kafka.connection import Wanted, asking_for, lend
from pytest_testmesh.integrations.kafka.failures import Asking, told
from pytest_testmesh.integrations.kafka.matching import Reason, Test, first_reason, wanted_messages
from pytest_testmesh.integrations.kafka.offsets import commit, committed
from pytest_testmesh.integrations.kafka.reading import Incoming, TopicReader
from pytest_testmesh.integrations.kafka.texts import Consumed, Words, counted, describe_message
from pytest_testmesh.integrations.kafka.watch import Watch, ends_of, record
from pytest_testmesh.polling import Deadline
from pytest_testmesh.units import format_duration

_TIMEOUT = "10s"
_TOLD = 5
_BEGINNING = "beginning"
_END = "end"
_SILENT_S = 3.0
"""Twice as long as a broker that is well never leaves a question open, and then some."""

_TO_RETURN_S = 0.5
"""What a step needs at most to make sure, before its deadline, that nothing came; a quarter of a shorter time."""

_FIRST_FIELDS = ("key", "value", "headers", "partition", "offset", "timestamp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How many messages a step needs, and how many it takes at most; *needed* None is as many as come in time."""

    needed: int | None
    most: int


def amount(config: Mapping[str, Any]) -> Amount:
    """Read ``count`` and ``max_messages``."""
    most = config.get("max_messages", config.get("maxMessages"))
    if "count" not in config and most is not None:
        return Amount(needed=None, most=most)
    count = config.get("count", 1)
    return Amount(needed=count, most=max(count, 1) if most is None else max(count, most))


@dataclass(slots=True)
class Sighting:
    """What a step has seen: how many messages, those that pass its *tests*, and why the last few others did not."""

    tests: tuple[Test, ...]
    found: list[Incoming] = field(default_factory=list)
    seen: int = 0
    others: deque[tuple[dict[str, Any], Reason]] = field(default_factory=lambda: deque(maxlen=_TOLD))

    def add(self, message: Any, shown: dict[str, Any]) -> None:
        """Look at one more message."""
        self.seen += 1
        reason = first_reason(self.tests, shown)
        if reason is None:
            self.found.append((message, shown))
        else:
            self.others.append((shown, reason))


def consume(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Return the messages that the step wants.

    Raises:
        ActionTimeoutError: Fewer than ``count`` came in time; tells the messages seen and why they did not match.
        StepAssertionError: ``count`` is 0, and there was one.
        TargetUnavailableError: The brokers cannot be reached, or broke the connection.
        TargetError: They said no.
    """
    topic = config["topic"]
    asking = asking_for(f"consume from {topic}", _TIMEOUT, config, context)
    cluster = asking.cluster
    context.exchange.sent = Words(asking.where)
    watch = record(asking, context)
    group = config.get("group_id")
    reader = context.item.get(
        ("kafka reader", cluster, topic, group),
        lambda: TopicReader(Wanted(cluster=cluster), topic, watch, context),
        TopicReader.close,
    )
    tests = wanted_messages(config, context)
    _begin(config, reader, watch, asking, context)
    wanted = amount(config)
    sighting = _look(reader, reader.read(_end(wanted, asking, context)), wanted, tests, asking)
    if not wanted.needed and not sighting.found:
        sighting = _look(reader, _to_the_end(reader, asking, context), wanted, tests, asking)
    context.exchange.received = Consumed(
        [shown for _, shown in sighting.found], sighting.seen, time.perf_counter() - asking.started
    )
    _judge(wanted.needed, sighting, reader, asking)
    if group is not None:
        with lend(Consumer, Wanted(cluster=cluster, group=group), asking, context) as client:
            commit(client, [message for message, _ in sighting.found], asking.deadline)
    for message, shown in sighting.found:
        reader.take(message, shown)
    return _result(sighting)


def _begin(
    config: Mapping[str, Any], reader: TopicReader, watch: Watch, asking: Asking, context: ActionContext
) -> None:
    where = _BEGINNING if _from_beginning(config) else _END
    group = config.get("group_id")
    if group is None:
        if where == _BEGINNING or reader.begun != where:
            reader.begin(where, {} if where == _BEGINNING else watch.ends or {})
    elif reader.begun is None:
        with lend(Consumer, Wanted(cluster=asking.cluster, group=group), asking, context) as client:
            starts = committed(client, asking.topic, asking.deadline)
        reader.begin(where, {**({} if where == _BEGINNING else watch.ends or {}), **starts})


def _from_beginning(config: Mapping[str, Any]) -> bool:
    explicit = config.get("from_beginning", config.get("fromBeginning"))
    return config.get("auto_offset_reset") in ("earliest", "beginning") if explicit is None else bool(explicit)


def _look(
    reader: TopicReader,
    messages: Generator[Incoming | None, None, None],
    amount: Amount,
    tests: tuple[Test, ...],
    asking: Asking,
) -> Sighting:
    sighting = Sighting(tests)
    try:
        with told(asking), closing(messages):
            for message in messages:
                if message is not None:
                    sighting.add(*message)
                if len(sighting.found) >= amount.most:
                    break
                if message is None and amount.needed and len(sighting.found) >= amount.needed:
                    break
    except BaseException:
        reader.drop()
        raise
    return sighting


def _end(amount: Amount, asking: Asking, context: ActionContext) -> Deadline:
    """Return when to stop: where that is success, early enough not to end past the step's deadline."""
    if amount.needed:
        return asking.deadline
    last = context.deadline
    return asking.deadline.earlier(Deadline(last.at - min(_TO_RETURN_S, last.remaining() / 4), last.cause))


def _to_the_end(reader: TopicReader, asking: Asking, context: ActionContext) -> Generator[Incoming | None, None, None]:
    """Read on to where the broker says, now, that the topic ends: only then is it known that nothing came.

    Raises:
        ActionTimeoutError: It does not say so, or does not give what is there.
        TargetError: There is no such topic.
    """
    limit = context.deadline.earlier(Deadline.after(_SILENT_S, ""))
    try:
        with lend(Consumer, Wanted(cluster=asking.cluster), replace(asking, deadline=limit), context) as client:
            ends = ends_of(client, asking.topic, limit)
    except ActionTimeoutError as exc:
        raise _unseen(asking) from exc
    seen = False
    for message in reader.read(limit, ends):
        seen = seen or message is not None
        yield message
    if not reader.has_read(ends):
        raise _unseen(asking)
    if not ends and not seen:
        raise TargetError(
            f"{asking.where}: there is no such topic, so that nothing could come",
            code="UNKNOWN_TOPIC",
            hint="check the name; kafka.admin.createTopic makes one",
        )


def _unseen(asking: Asking) -> ActionTimeoutError:
    return ActionTimeoutError(
        f"{asking.where}: the broker did not answer, so that nothing could come", hint="is it frozen?"
    )


def _judge(needed: int | None, sighting: Sighting, reader: TopicReader, asking: Asking) -> None:
    if needed == 0 and sighting.found:
        _, shown = sighting.found[0]
        raise StepAssertionError(f"{asking.where}: a message came, and none was to: {describe_message(shown)}", total=1)
    if needed is not None and len(sighting.found) < needed:
        raise _too_few(needed, sighting, reader, asking)


def _too_few(needed: int, sighting: Sighting, reader: TopicReader, asking: Asking) -> ActionTimeoutError:
    waited = format_duration(time.perf_counter() - asking.started)
    cause = f" ({asking.deadline.cause})" if asking.deadline.cause else ""
    found = f"{len(sighting.found)} of {counted(needed)}" if sighting.found else f"no message of {needed}"
    seen, hint = _what_came(sighting, reader)
    misses = [f"{describe_message(shown)}: {reason()}" for shown, reason in sighting.others]
    last = f"; the last that did not match: {misses[-1]}" if misses else ""
    return ActionTimeoutError(
        f"{asking.where}: {found} after {waited}{cause}; {seen}{last}",
        hint=hint,
        details={"seen": sighting.seen, "not_matching": misses},
    )


def _what_came(sighting: Sighting, reader: TopicReader) -> tuple[str, str | None]:
    """Return what is told of it, and the hint."""
    if reader.is_there is None:
        return "the broker did not answer in that time", "is `timeout` long enough? is the broker frozen?"
    if time.monotonic() - reader.heard > _SILENT_S:
        return "the broker does not answer", "is it frozen?"
    if not reader.is_there:
        return "there is no such topic", "check the name; nobody created it meanwhile"
    seen = f"{counted(sighting.seen)} seen" if sighting.seen else "none came"
    taken = [shown for shown in reader.taken if first_reason(sighting.tests, shown) is None]
    if taken:
        last = describe_message(taken[-1])
        return (
            f"{seen}, and {counted(len(taken))} that would match taken earlier in this flow, the last: {last}",
            "a message is given out once: use the result of the step that took it, or tell them apart in `match`",
        )
    if sighting.seen:
        return seen, None
    return seen, "read from where the topic ended before the flow; from_beginning: true reads what was there before"


def _result(sighting: Sighting) -> dict[str, Any]:
    messages = [shown for _, shown in sighting.found]
    first = messages[0] if messages else {}
    return {
        "messages": messages,
        "count": len(messages),
        "messages_received": sighting.seen,
        **{name: first.get(name) for name in _FIRST_FIELDS},
    }
