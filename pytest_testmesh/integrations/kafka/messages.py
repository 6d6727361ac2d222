"""Messages between a flow, where they are JSON, and Kafka, where they are bytes."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._json import parse_json

_UNSET = object()
_NO_TIMESTAMP = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message to produce; *value* None is a tombstone, *partition* None lets the client choose."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int | None = None


def outgoing(config: Mapping[str, Any], traceparent: str | None = None) -> tuple[Outgoing, ...]:
    """Return what the config of ``kafka.produce`` describes; ``messages`` take what they leave out from around them.

    *traceparent* is the header that ties them to the step's span, if runs are traced.

    Raises:
        ActionConfigError: Neither or both of a value and its base64, text that is no base64, no message at all.
    """
    if "messages" not in config:
        return (_outgoing(config, "config", traceparent),)
    if "value" in config or "value_base64" in config:
        raise ActionConfigError("config has both `messages` and a value", hint="write the value as one more message")
    if not config["messages"]:
        raise ActionConfigError("config.messages is empty", hint="list at least one message")
    common = {name: config[name] for name in ("key", "key_base64", "partition") if name in config}
    return tuple(
        _outgoing(_combined(common, each, config.get("headers", {})), f"config.messages[{index}]", traceparent)
        for index, each in enumerate(config["messages"])
    )


def _combined(common: Mapping[str, Any], own: Mapping[str, Any], headers: Mapping[str, Any]) -> dict[str, Any]:
    if "key" in own or "key_base64" in own:
        common = {name: value for name, value in common.items() if not name.startswith("key")}
    return {**common, **own, "headers": {**headers, **own.get("headers", {})}}


def _outgoing(message: Mapping[str, Any], where: str, traceparent: str | None) -> Outgoing:
    value = _part(message, "value", where)
    if value is _UNSET:
        raise ActionConfigError(
            f"{where} has neither `value` nor `value_base64`", hint="a tombstone, which deletes a key, is value: null"
        )
    key = _part(message, "key", where)
    return Outgoing(
        key=None if key is _UNSET else key,
        value=value,
        headers=message_headers(message.get("headers", {}), traceparent),
        partition=message.get("partition"),
    )


def _part(message: Mapping[str, Any], name: str, where: str) -> Any:
    encoded = f"{name}_base64"
    if encoded not in message:
        return to_bytes(message[name]) if name in message else _UNSET
    if name in message:
        raise ActionConfigError(f"{where} has both `{name}` and `{encoded}`", hint="remove one of them")
    try:
        return base64.b64decode(message[encoded], validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ActionConfigError(f"{where}.{encoded} is no base64: {exc}") from exc


def message_headers(given: Mapping[str, Any], traceparent: str | None) -> tuple[tuple[str, bytes | None], ...]:
    """Return the headers of one message; a list is one name repeated, a traceparent of the flow's own wins."""
    if traceparent is not None and "traceparent" not in given:
        given = {**given, "traceparent": traceparent}
    return tuple(
        (name, to_bytes(each))
        for name, value in given.items()
        for each in (value if isinstance(value, list) else [value])
    )


def to_bytes(value: Any) -> bytes | None:
    """Text as it is, null is none, anything else as JSON."""
    if value is None:
        return None
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value.encode("utf-8", "surrogatepass")  # type: ignore[no-any-return]


def incoming(message: Any) -> dict[str, Any]:
    """Return a message of confluent-kafka as JSON.

    A value that is JSON is parsed, other text stays text, what is no UTF-8 becomes base64; ``value_binary`` and
    ``key_binary`` say so.
    """
    key, key_binary = _text(message.key())
    value, value_binary = _text(message.value())
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "key": key,
        "value": value if value is None or value_binary else _parsed(value),
        "headers": dict(_headers(message.headers() or ())),
        "timestamp": _timestamp(*message.timestamp()),
        "key_binary": key_binary,
        "value_binary": value_binary,
    }


def _text(data: bytes | None) -> tuple[str | None, bool]:
    if data is None:
        return None, False
    try:
        return data.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(data).decode(), True


def _parsed(text: str) -> Any:
    try:
        return parse_json(text)
    except (ValueError, RecursionError):
        return text


def _headers(pairs: Any) -> Iterator[tuple[str, Any]]:
    """Yield each name once; a repeated one with the list of its values."""
    gathered: dict[str, list[str | None]] = {}
    for name, data in pairs:
        gathered.setdefault(name, []).append(_text(data)[0])
    for name, values in gathered.items():
        yield name, values[0] if len(values) == 1 else values


def _timestamp(kind: int, milliseconds: int) -> str | None:
    if kind == _NO_TIMESTAMP:
        return None
    try:
        moment = datetime.fromtimestamp(milliseconds // 1000, timezone.utc)
    except (ValueError, OverflowError, OSError):  # the producer wrote what is no date
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z"
