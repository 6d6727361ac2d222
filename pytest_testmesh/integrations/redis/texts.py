"""What was sent and received, as a report shows it; the report masks secrets, nothing is hidden here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_testmesh.integrations.redis.address import Address
from pytest_testmesh.integrations.redis.command import Command, show_bytes

_SHORT = 400
_LONG = 100_000


@dataclass(frozen=True, slots=True)
class Sent:
    """``SET user:42 at localhost:6379 PX 5000  {"name":"Ann"}``; verbose with the whole value."""

    command: Command
    address: Address

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        command = self.command
        options = "".join(f" {each.decode()}" for each in command.options)
        line = f"{command.title} at {self.address.shown}{options}"
        if command.value is None:
            return line
        return f"{line}  {_cut(show_bytes(command.value), _LONG if verbose else _SHORT)}"


@dataclass(frozen=True, slots=True)
class Received:
    """``value in 0.4 ms  {"name":"Ann"}``; *answer* is bytes, a number, or None for no such key."""

    command: Command
    answer: Any
    duration_s: float

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        took = f"in {self.duration_s * 1000:.1f} ms"
        if self.answer is None:
            return f"no such key {took}"
        if self.command.name == "GET":
            return f"value {took}  {_cut(show_bytes(self.answer), _LONG if verbose else _SHORT)}"
        return f"{show_bytes(self.answer) if isinstance(self.answer, bytes) else self.answer} {took}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
