"""urllib3's connections over sockets that stop at the deadline, and no longer used than servers keep them."""

from __future__ import annotations

import socket
import sys
import time
from math import inf

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.response import BaseHTTPResponse

from pytest_testmesh.integrations._sockets import connect

_IDLE_S = 1.5
"""How long an idle connection is used again.

Servers close idle connections after 2 s (gunicorn), 5 s (Node, uvicorn, Apache) or more. A request that meets the
close on its way fails, and since nothing is ever sent twice here, it must not go out on a connection that old.
"""


class _Bounded(HTTPConnection):
    """Opens bounded sockets and knows until when it may be used again."""

    _usable_until = inf

    def _new_conn(self) -> socket.socket:
        try:
            connected = connect(self.host, self.port or self.default_port)
        except socket.gaierror as exc:
            raise NameResolutionError(self.host, self, exc) from exc
        except TimeoutError as exc:
            raise ConnectTimeoutError(self, str(exc)) from exc
        except OSError as exc:
            raise NewConnectionError(self, str(exc)) from exc
        sys.audit("http.client.connect", self, self.host, self.port)
        return connected

    @property
    def is_connected(self) -> bool:
        return time.monotonic() < self._usable_until and super().is_connected

    def getresponse(self) -> BaseHTTPResponse:  # type: ignore[override]
        response = super().getresponse()
        self._usable_until = time.monotonic() + _idle_s(response.headers.get("keep-alive"))
        return response


def _idle_s(keep_alive: str | None) -> float:
    """Read ``Keep-Alive: timeout=5``, by which a server says when it closes; half of that is safe."""
    if keep_alive is None:
        return _IDLE_S
    for part in keep_alive.split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() == "timeout" and value.isdecimal():
            return min(_IDLE_S, int(value) / 2)
    return _IDLE_S


class BoundedHTTPConnection(_Bounded):
    """HTTP in the clear."""


class BoundedHTTPSConnection(_Bounded, HTTPSConnection):
    """HTTP over TLS; the context must make `BoundedTLSSocket`."""

    def connect(self) -> None:
        super().connect()
        # keeps urllib3 from warning about each request: the flow's author wrote `verify_ssl: false`
        self.is_verified = True


class HTTPPool(HTTPConnectionPool):
    """A pool of `BoundedHTTPConnection`."""

    ConnectionCls = BoundedHTTPConnection


class HTTPSPool(HTTPSConnectionPool):
    """A pool of `BoundedHTTPSConnection`."""

    ConnectionCls = BoundedHTTPSConnection
