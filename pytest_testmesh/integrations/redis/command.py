"""The commands that a step's config means: as bytes for the server, as text for reports."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._durations import duration_s
from pytest_testmesh.integrations.redis.address import parse_address
from pytest_testmesh.values import shorten, to_text

_SHOWN_KEYS = 5
_SHORT = 80


@dataclass(frozen=True, slots=True)
class Command:
    """One command; *answers* are the types of its answer, *value* is what ``SET`` stores, *options* are ``PX 5000``."""

    name: str
    keys: tuple[bytes, ...]
    answers: tuple[type, ...]
    value: bytes | None = None
    options: tuple[bytes, ...] = ()

    @property
    def words(self) -> tuple[str | bytes, ...]:
        """What is sent."""
        value = () if self.value is None else (self.value,)
        return (self.name, *self.keys, *value, *self.options)

    @property
    def title(self) -> str:
        """``"SET user:42"``: the command and its keys, for the first line of messages."""
        keys = [shorten(show_bytes(key), _SHORT) for key in self.keys[:_SHOWN_KEYS]]
        more = len(self.keys) - len(keys)
        return " ".join([self.name, *keys, *([f"and {more} more"] if more else [])])


def show_bytes(data: bytes) -> str:
    """Return the text, or how many bytes there are."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"<{len(data)} bytes>"


def get_command(config: Mapping[str, Any]) -> Command:
    """Return ``GET key``."""
    return Command("GET", (_key(config["key"]),), (bytes, type(None)))


def set_command(config: Mapping[str, Any]) -> Command:
    """Return ``SET key value [PX milliseconds]``.

    Raises:
        ActionConfigError: No value or two, no base64, a ``ttl`` under a millisecond.
    """
    return Command("SET", (_key(config["key"]),), (bytes,), _value(config), _expiry(config))


def del_command(config: Mapping[str, Any]) -> Command:
    """Return ``DEL key ...``."""
    return Command("DEL", _keys(config), (int,))


def exists_command(config: Mapping[str, Any]) -> Command:
    """Return ``EXISTS key ...``."""
    return Command("EXISTS", _keys(config), (int,))


def check_get(config: Mapping[str, Any]) -> None:
    """Refuse at collection what no server would have to be asked about."""
    get_command(config)
    parse_address(config, {})


def check_set(config: Mapping[str, Any]) -> None:
    """Refuse at collection what no server would have to be asked about."""
    set_command(config)
    parse_address(config, {})


def check_keys(config: Mapping[str, Any]) -> None:
    """Refuse at collection what no server would have to be asked about."""
    _keys(config)
    parse_address(config, {})


def _key(key: str | int) -> bytes:
    return _utf8(str(key), "key")


def _keys(config: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return each key once: Redis would count one that is named twice twice."""
    if ("key" in config) == ("keys" in config):
        raise ActionConfigError("config needs either `key` or `keys`", hint="write `keys: [a, b]` for several")
    keys = config["keys"] if "keys" in config else [config["key"]]
    if not keys:
        raise ActionConfigError("config.keys is empty", hint="is the variable in it right?")
    return tuple(dict.fromkeys(map(_key, keys)))


def _value(config: Mapping[str, Any]) -> bytes:
    if ("value" in config) == ("value_base64" in config):
        raise ActionConfigError("config needs either `value` or `value_base64`")
    if "value_base64" in config:
        return _decoded(config["value_base64"])
    return _utf8(to_text(config["value"]), "value")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as exc:
        raise ActionConfigError(f"config.value_base64 is no base64: {exc}") from exc


def _expiry(config: Mapping[str, Any]) -> tuple[bytes, ...]:
    if "ttl" not in config:
        return ()
    milliseconds = round(duration_s(config, "ttl", "0s") * 1000)
    if milliseconds < 1:
        raise ActionConfigError(
            f"config.ttl: {config['ttl']!r} is no time to live", hint="leave ttl out for a key that never expires"
        )
    return (b"PX", str(milliseconds).encode())


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise ActionConfigError(f"config.{what} holds half a character: {exc.reason}") from exc
