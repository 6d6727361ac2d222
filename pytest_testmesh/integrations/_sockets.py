"""TCP and TLS sockets whose every wait ends at the deadline of the step that uses them.

A time-out for each read, as most clients set it, does not bound a server that sends one byte at a time. These sockets
ask the deadline anew before each operation: about a microsecond for a usual response, no thread, no signal.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from ipaddress import ip_address
from math import inf
from typing import Any

from pytest_testmesh.polling import NEVER, Deadline

_DEADLINE: ContextVar[Deadline] = ContextVar("deadline of what is being asked", default=NEVER)


class Stalled(TimeoutError):
    """The deadline came; *waiting_for* says what was not there yet."""

    def __init__(self, waiting_for: str) -> None:
        super().__init__(f"timed out waiting for {waiting_for}")
        self.waiting_for = waiting_for


@contextmanager
def bounded_by(deadline: Deadline) -> Iterator[None]:
    """Let every connection that this thread uses inside the block stop at *deadline*."""
    token = _DEADLINE.set(deadline)
    try:
        yield
    finally:
        _DEADLINE.reset(token)


def _left(waiting_for: str) -> float | None:
    """Seconds left for the socket, None without a limit."""
    deadline = _DEADLINE.get()
    if deadline.at == inf:
        return None
    remaining = deadline.at - time.monotonic()
    if remaining <= 0:
        raise Stalled(waiting_for)
    return remaining


class BoundedSocket(socket.socket):
    """A TCP socket that stops at the deadline."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(_left("the response"))
        return super().recv_into(*args, **kwargs)

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        self.settimeout(_left("the response"))
        return super().recv(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(_left("the server to take the request"))
        try:
            super().sendall(*args, **kwargs)
        except TimeoutError as exc:
            raise Stalled("the server to take the request") from exc


class BoundedTLSSocket(ssl.SSLSocket):
    """A TLS socket that stops at the deadline; OpenSSL's own loops keep to the socket's time-out as a whole."""

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(_left("the TLS handshake"))
        try:
            super().do_handshake(block)
        except TimeoutError as exc:
            raise Stalled("the TLS handshake") from exc

    def read(self, *args: Any, **kwargs: Any) -> Any:
        self.settimeout(_left("the response"))
        return super().read(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(_left("the server to take the request"))
        try:
            return super().send(*args, **kwargs)
        except TimeoutError as exc:
            raise Stalled("the server to take the request") from exc


def connect(host: str, port: int) -> BoundedSocket:
    """Connect to the first address of *host* that answers; each gets its share of what remains.

    Raises:
        Stalled: The deadline came.
        OSError: No address could be connected to; the error of the last one.
    """
    found = addresses(host.strip("[]"), port)
    failure: OSError = OSError(f"{host} has no address")
    for position, (family, kind, protocol, _name, address) in enumerate(found):
        left = _left("a connection")
        try:
            with ExitStack() as on_error:
                connected = on_error.enter_context(BoundedSocket(family, kind, protocol))
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connected.settimeout(None if left is None else left / (len(found) - position))
                connected.connect(address)
                on_error.pop_all()
                return connected
        except TimeoutError as exc:
            failure = Stalled("a connection")
            failure.__cause__ = exc
        except OSError as exc:
            failure = exc
    raise failure


def addresses(host: str, port: int) -> list[Any]:
    """Return what ``socket.getaddrinfo`` does, in bounded time.

    Raises:
        Stalled: The deadline came.
        socket.gaierror: There is no such host.
    """
    left = _left("a connection")
    if left is None or host == "localhost" or _is_address(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return _looked_up(host, port, left)


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _looked_up(host: str, port: int, timeout_s: float) -> list[Any]:
    """Ask the resolver in a thread of its own: it has no time-out and cannot be interrupted."""
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as exc:
            found.append(exc)

    thread = threading.Thread(target=look_up, name=f"look up {host}", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not found:
        raise Stalled(f"the address of {host}")
    if isinstance(found[0], OSError):
        raise found[0]
    return list(found[0])
