"""HTTP to a plugin on loopback: one kept connection, deadlines that hold, answers of bounded size.

Environment proxies never apply, and redirects are not followed.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from typing import TYPE_CHECKING

from pytest_testmesh.errors import PluginProtocolError
from pytest_testmesh.external.answer import Answer, AnswerError, read_answer
from pytest_testmesh.polling import NEVER, Deadline

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from 3.12 on

_HOST = "127.0.0.1"
_CLOSES_AT_ONCE_S = 1.0
_REQUEST = (
    b"%s %s HTTP/1.1\r\n"
    b"Host: 127.0.0.1:%d\r\n"
    b"Accept: application/json\r\n"
    b"Content-Type: application/json\r\n"
    b"Content-Length: %d\r\n"
    b"\r\n"
    b"%s"
)


class _Connection:
    """One connection, whose every operation ends at the deadline, however slowly the bytes drip."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._poll = select.poll()
        self._deadline = NEVER
        self.is_open = False

    def open(self, deadline: Deadline) -> None:
        """Connect, without names to look up or proxies to ask."""
        self._deadline = deadline
        self._arm()
        self._socket.connect((_HOST, self._port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(self._socket, select.POLLIN)
        self.is_open = True

    def close(self) -> None:
        """Close the socket; safe to repeat."""
        self.is_open = False
        self._socket.close()

    @property
    def usable(self) -> bool:
        """Whether another request can be sent: the peer neither closed nor sent anything unasked."""
        return self.is_open and not self._poll.poll(0)

    def exchange(self, method: str, path: str, body: bytes, *, deadline: Deadline, max_bytes: int) -> Answer:
        """Send one request and read its answer to the end."""
        self._deadline = deadline
        self._arm()
        self._socket.sendall(_REQUEST % (method.encode(), path.encode(), self._port, len(body), body))
        answer = read_answer(self._receive, method, max_bytes)
        if not answer.keeps_alive:
            self.close()
        return answer

    def _receive(self, buffer: Buffer) -> int:
        self._arm()
        return self._socket.recv_into(buffer)

    def _arm(self) -> None:
        remaining = self._deadline.remaining()
        if remaining <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(min(remaining, threading.TIMEOUT_MAX))


class PluginEndpoint:
    """The HTTP side of one plugin process.

    Calls one after another share one connection. A plugin may serve one connection at a time and keep it
    alive: a connection is therefore only kept idle while no other call is under way, and a second one is only
    opened for calls that really run at once. A plugin that closes connections without a word would close one
    under a request sooner or later: once it was seen to do so, every call gets a connection of its own.
    """

    def __init__(self, plugin_id: str, port: int, *, max_answer_bytes: int) -> None:
        self._plugin_id = plugin_id
        self._port = port
        self._max_answer_bytes = max_answer_bytes
        self._lock = threading.Lock()
        self._idle: _Connection | None = None
        self._idle_since = 0.0
        self._keep = True
        self._calls = 0

    def request(self, method: str, path: str, body: bytes = b"", *, deadline: Deadline) -> Answer:
        """Exchange one request. A POST is never sent twice; a GET is, if a kept connection broke under it.

        Raises:
            TimeoutError: The deadline passed.
            ConnectionError: No connection, or it broke; the text says how.
            PluginProtocolError: The answer is not HTTP, or too large.
        """
        connection = self._take()
        kept = connection.is_open
        try:
            return self._exchange(connection, method, path, body, deadline)
        except ConnectionError:
            if method != "GET" or not kept:
                raise
        self._keep = False
        return self._exchange(self._take(), method, path, body, deadline)

    def _exchange(self, connection: _Connection, method: str, path: str, body: bytes, deadline: Deadline) -> Answer:
        whole = False
        try:
            if not connection.is_open:
                connection.open(deadline)
            answer = connection.exchange(method, path, body, deadline=deadline, max_bytes=self._max_answer_bytes)
            whole = True
            return answer
        except AnswerError as exc:
            raise PluginProtocolError(
                f"plugin {self._plugin_id}: {method} {path}: {exc}", plugin_id=self._plugin_id
            ) from exc
        finally:
            self._give_back(connection, keep=whole)

    def close(self) -> None:
        """Close the idle connection; calls under way close theirs when they end, and none is kept any more."""
        with self._lock:
            connection, self._idle = self._idle, None
            self._keep = False
        if connection is not None:
            connection.close()

    def _take(self) -> _Connection:
        """Return the idle connection unless the plugin closed it meanwhile, else a new one, not yet open."""
        with self._lock:
            self._calls += 1
            connection, self._idle = self._idle, None
        if connection is not None:
            if connection.usable:
                return connection
            connection.close()
            if time.monotonic() - self._idle_since < _CLOSES_AT_ONCE_S:
                self._keep = False
        return _Connection(self._port)

    def _give_back(self, connection: _Connection, *, keep: bool) -> None:
        with self._lock:
            self._calls -= 1
            if keep and self._keep and self._calls == 0 and connection.is_open:
                self._idle = connection
                self._idle_since = time.monotonic()
                return
        connection.close()
