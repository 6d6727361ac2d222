"""Sockets for the official driver whose every wait ends at the deadline of the step.

The driver waits for an answer without any limit, and has no setting for one. It makes its own TCP sockets, but hands
each to the ``ssl_context`` that its user gives: here it gets one that puts a bounded socket in its place, with TLS or
without. Its addresses come through the ``resolver`` that its user gives, which looks names up in bounded time.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pytest_testmesh.integrations._sockets import BoundedSocket, BoundedTLSSocket, Stalled, addresses
from pytest_testmesh.polling import NEVER


class PlainSocket(BoundedSocket):
    """A bounded socket; the driver's look whether the other side is gone, with a time-out of 0, does not wait."""

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        if self.gettimeout() == 0:
            return socket.socket.recv(self, *args, **kwargs)
        return super().recv(*args, **kwargs)

    def getpeercert(self, binary_form: bool = False) -> bytes:
        """Tell the driver, which takes this for TLS, that there is a certificate."""
        return b""


class TLSSocket(BoundedTLSSocket):
    """A bounded TLS socket; as `PlainSocket`."""

    def read(self, *args: Any, **kwargs: Any) -> Any:
        if self.gettimeout() == 0:
            return ssl.SSLSocket.read(self, *args, **kwargs)
        return super().read(*args, **kwargs)


class Sockets:
    """Makes and knows the sockets of one driver; given to it as ``ssl_context`` and, `resolve`, as ``resolver``.

    *tls* is None for connections in the clear. *failure* is why TLS could not begin: the driver does not always tell.
    """

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        if tls is not None:
            tls.sslsocket_class = TLSSocket
        self._tls = tls
        self._made: list[socket.socket] = []
        self._host = ""
        self.deadline = NEVER
        self.failure: OSError | None = None

    def resolve(self, address: Any) -> Iterator[tuple[str, int]]:
        """Give the driver the addresses behind a name, one at a time.

        Raises:
            Stalled: The deadline came.
            OSError: There is no such name.
        """
        host, port = address[0], int(address[1])
        for found in addresses(host, port):
            if self.deadline.passed:  # with no time left, the driver would connect without any limit
                raise Stalled("a connection")
            self._host = host
            yield found[4][0], port

    def wrap_socket(self, plain: socket.socket, server_hostname: str | None = None) -> socket.socket:
        """Return a bounded socket in place of *plain*; what the driver calls to begin TLS.

        The certificate must be that of the name; of it *server_hostname* is but an address.
        """
        timeout_s = plain.gettimeout()
        if self._tls is None:
            made: socket.socket = PlainSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())
            made.settimeout(timeout_s)
        else:
            try:
                made = self._tls.wrap_socket(plain, server_hostname=self._host or server_hostname)
            except OSError as exc:
                self.failure = exc
                raise
        self._made = [each for each in self._made if each.fileno() != -1]
        self._made.append(made)
        return made

    @property
    def are_quiet(self) -> bool:
        """Whether all connections stand and nothing came in meanwhile: neither an answer too many nor a goodbye."""
        poll = select.poll()
        for each in self._made:
            if each.fileno() == -1:
                return False
            poll.register(each, select.POLLIN)
        return bool(self._made) and not poll.poll(0)

    def cut(self) -> None:
        """End all connections at once, without a word to the server."""
        made, self._made = self._made, []
        for each in made:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                each.close()
