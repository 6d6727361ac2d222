"""A proxy in front of a Kafka broker that changes one answer."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """A kind of request; from version *first_flexible* on, lengths in its answer take one byte where they are small."""

    number: int
    first_flexible: int


PRODUCE = Request(number=0, first_flexible=9)
LIST_OFFSETS = Request(number=2, first_flexible=6)

_HOST = b"127.0.0.1"

Spoil = Callable[[bytes, int], "bytes | None"]
"""Makes of an answer another one, given where the error code of the first partition is; None: the connection ends."""


def lost(frame: bytes, at: int) -> None:
    """The connection breaks before the answer comes."""


def failed(code: int) -> Spoil:
    """Return what says that the request failed, whatever the broker did."""
    return lambda frame, at: frame[:at] + struct.pack(">h", code) + frame[at + 2 :]


class SpoilsTheFirstAnswer:
    """A proxy that changes the first answer to one kind of request, which the broker has carried out.

    A broker tells clients its own port; in what passes, that port becomes the proxy's.

    Source: https://kafka.apache.org/protocol
    """

    def __init__(self, broker: str, topic: str, request: Request, spoil: Spoil) -> None:
        self.spoilt = threading.Event()
        self._topic, self._request, self._spoil = topic.encode(), request, spoil
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
                asked: dict[bytes, int] = {}
                for source, sink, change in (
                    (client, broker, lambda frame, asked=asked: self._note(frame, asked)),
                    (broker, client, lambda frame, asked=asked: self._answer(frame, asked)),
                ):
                    threading.Thread(target=_pass_on, args=(source, sink, change), daemon=True).start()

    def _note(self, frame: bytes, asked: dict[bytes, int]) -> bytes:
        """Remember of such a request its correlation id and version."""
        kind, version = struct.unpack(">hh", frame[:4])
        if kind == self._request.number:
            asked[frame[4:8]] = version
        return frame

    def _answer(self, frame: bytes, asked: dict[bytes, int]) -> bytes | None:
        if frame[:4] in asked and not self.spoilt.is_set():
            self.spoilt.set()
            return self._spoil(frame, self._error_code(frame, asked[frame[:4]]))
        own, others = (struct.pack(">i", port) for port in (self._port, self._broker_port))
        return frame.replace(_HOST + others, _HOST + own)

    def _error_code(self, frame: bytes, version: int) -> int:
        """Return where it is in the first partition: after the topic, the number of partitions and its index."""
        count_bytes, index_bytes = (1 if version >= self._request.first_flexible else 4), 4
        return frame.index(self._topic) + len(self._topic) + count_bytes + index_bytes


def _pass_on(source: socket.socket, sink: socket.socket, change: Callable[[bytes], bytes | None]) -> None:
    """Pass frames on until there is no more, or *change* makes None of one."""
    with suppress(OSError), source.makefile("rb") as frames:
        while len(size := frames.read(4)) == 4:
            (length,) = struct.unpack(">i", size)
            frame = frames.read(length)
            if len(frame) < length or (changed := change(frame)) is None:
                break
            sink.sendall(size + changed)
    for each in (source, sink):
        _end(each)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)  # ends a read of another thread
    connection.close()
