"""What was sent and received, as a report shows it; the report masks secrets, nothing is hidden here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.integrations.kafka.address import Cluster
from pytest_testmesh.integrations.kafka.messages import Outgoing
from pytest_testmesh.values import one_line, shorten, write_json

_SHORT = 200
_LONG = 100_000
_FEW = 3
_MANY = 1000


@dataclass(frozen=True, slots=True)
class Produced:
    """``2 messages to orders at localhost:9092  key=1 {"id":1}  ...``."""

    topic: str
    cluster: Cluster
    messages: Sequence[Outgoing]

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        limit = _LONG if verbose else _SHORT
        shown = [_outgoing(each, limit) for each in self.messages[: _MANY if verbose else _FEW]]
        return "  ".join([f"{counted(len(self.messages))} to {self.topic} at {self.cluster.shown}", *shown])


def _outgoing(message: Outgoing, limit: int) -> str:
    key = "" if message.key is None else f"key={shorten(_bytes(message.key), limit)} "
    return key + ("null" if message.value is None else shorten(_bytes(message.value), limit))


def _bytes(data: bytes) -> str:
    return data.decode(errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class Words:
    """A line that is the same in every report."""

    text: str

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        return self.text


@dataclass(frozen=True, slots=True)
class Consumed:
    """``2 of 5 messages in 12 ms  0@42 key=1 {"id":1}  ...``."""

    messages: Sequence[Mapping[str, Any]]
    seen: int
    duration_s: float

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        limit = _LONG if verbose else _SHORT
        shown = [describe_message(each, limit) for each in self.messages[: _MANY if verbose else _FEW]]
        took = f"{len(self.messages)} of {counted(self.seen)} in {self.duration_s * 1000:.0f} ms"
        return "  ".join([took, *shown])


def describe_message(message: Mapping[str, Any], limit: int = 100) -> str:
    """``0@42 key=order-1 {"id":1}``: partition and offset, the key and the value."""
    key = "" if message["key"] is None else f"key={shorten(one_line(message['key']), limit)} "
    value = message["value"]
    text = value if isinstance(value, str) else write_json(value)
    return f"{message['partition']}@{message['offset']} {key}{shorten(one_line(text), limit)}"


def counted(number: int) -> str:
    """``1 message``, ``2 messages``."""
    return f"{number} message{'s' * (number != 1)}"
