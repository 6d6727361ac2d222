"""The socket that the server listens on, and the HTTP server behind it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio.to_thread
import uvicorn

from pytest_testmesh.server.settings import ServerError

if TYPE_CHECKING:
    from fastapi import FastAPI

_BACKLOG = 2048
_FINISH_S = 3
"""How long requests that still run when the server is told to end may take, in seconds."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; port 0 takes a free one.

    Raises:
        ServerError: It is taken, not one of this machine's, or may not be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise ServerError(
            f"cannot listen on {host} port {port}: {reason}", hint="choose another with --host and --port"
        ) from exc


class HttpServer(uvicorn.Server):
    """The HTTP server of *app*, on sockets that it is given; SIGINT and SIGTERM end it, after *finish* was called."""

    def __init__(self, app: FastAPI, finish: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",  # the stricter of uvicorn's two
                ws="none",
                lifespan="on",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_FINISH_S,
            )
        )
        self._finish = finish

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what requests may wait for, then wait for the requests."""
        await anyio.to_thread.run_sync(self._finish)
        await super().shutdown(sockets)
