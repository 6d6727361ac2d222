"""``kafka.produce`` sends once: what the broker holds after a step that did not get its acknowledgement."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import pytest

from pytest_testmesh.errors import MeshError, TargetError, TargetUnavailableError

_PRODUCE = 0
_FIRST_FLEXIBLE = 9
"""The version of produce from which lengths take one byte where they are small."""

_NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20
"""The broker has the message, and clients that retry send it again."""

_HOST = b"127.0.0.1"

Spoil = Callable[[bytes, int, bytes], "bytes | None"]
"""Makes of an answer, with its version and topic, another one; None: there is none, and no connection any more."""


def lost(frame: bytes, version: int, topic: bytes) -> None:
    """The connection breaks before the answer comes."""


def not_enough_replicas(frame: bytes, version: int, topic: bytes) -> bytes:
    """The broker says that it has written the message, but not often enough."""
    count_bytes, index_bytes = (1 if version >= _FIRST_FLEXIBLE else 4), 4
    at = frame.index(topic) + len(topic) + count_bytes + index_bytes
    return frame[:at] + struct.pack(">h", _NOT_ENOUGH_REPLICAS_AFTER_APPEND) + frame[at + 2 :]


class SpoilsTheFirstAcknowledgement:
    """A proxy that changes the first answer to a produce request, which the broker has carried out.

    A broker tells clients its own port; in what passes, that port becomes the proxy's.

    Source: https://kafka.apache.org/protocol
    """

    def __init__(self, broker: str, topic: str, spoil: Spoil) -> None:
        self.spoilt = threading.Event()
        self._topic, self._spoil = topic.encode(), spoil
        self._broker_port = int(broker.rpartition(":")[2])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self.url = f"127.0.0.1:{self._port}"
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End all connections."""
        for each in self._open:
            _end(each)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                broker = socket.create_connection(("127.0.0.1", self._broker_port))
                self._open += [client, broker]
                produced: dict[bytes, int] = {}
                for source, sink, change in (
                    (client, broker, lambda frame, produced=produced: _note(frame, produced)),
                    (broker, client, lambda frame, produced=produced: self._answer(frame, produced)),
                ):
                    threading.Thread(target=_pass_on, args=(source, sink, change), daemon=True).start()

    def _answer(self, frame: bytes, produced: dict[bytes, int]) -> bytes | None:
        if frame[:4] in produced and not self.spoilt.is_set():
            self.spoilt.set()
            return self._spoil(frame, produced[frame[:4]], self._topic)
        own, others = (struct.pack(">i", port) for port in (self._port, self._broker_port))
        return frame.replace(_HOST + others, _HOST + own)


def _note(frame: bytes, produced: dict[bytes, int]) -> bytes:
    """Remember of a produce request its correlation id and version."""
    kind, version = struct.unpack(">hh", frame[:4])
    if kind == _PRODUCE:
        produced[frame[4:8]] = version
    return frame


def _pass_on(source: socket.socket, sink: socket.socket, change: Callable[[bytes], bytes | None]) -> None:
    """Pass frames on until there is no more, or *change* makes None of one."""
    with suppress(OSError), source.makefile("rb") as frames:
        while len(size := frames.read(4)) == 4:
            frame = change(frames.read(struct.unpack(">i", size)[0]))
            if frame is None:
                break
            sink.sendall(size + frame)
    for each in (source, sink):
        _end(each)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)  # ends a read of another thread
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        pytest.param(lost, TargetUnavailableError, id="lost"),
        pytest.param(not_enough_replicas, TargetError, id="too few replicas"),
    ],
)
@pytest.mark.parametrize("brokers", ["mock"], indirect=True)
def test_a_message_without_its_acknowledgement_is_not_sent_again(
    step: Callable[..., Any], look: Any, brokers: str, topic: str, spoil: Spoil, error: type[MeshError]
) -> None:
    with closing(SpoilsTheFirstAcknowledgement(brokers, topic, spoil)) as proxy, pytest.raises(error):
        step("produce", brokers=proxy.url, topic=topic, value="once")

    assert proxy.spoilt.is_set()
    assert 1 == sum(look.ends(topic))
