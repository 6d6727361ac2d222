"""The socket that the server listens on, and the HTTP server behind it."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import anyio.to_thread
import uvicorn

from pytest_testmesh.server.connection import HEAD_WAIT_S, Connection
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
    """The HTTP server of *app*, on sockets that it is given; *finish* is called before it ends.

    SIGINT, SIGTERM and SIGHUP end it, and go to whoever handled them before once it has ended.
    """

    def __init__(self, app: FastAPI, finish: Callable[[], None], *, head_wait_s: float = HEAD_WAIT_S) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=partial(Connection, head_wait_s=head_wait_s),  # type: ignore[arg-type]
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

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take what uvicorn takes, and SIGHUP: the terminal of the server was closed."""
        with super().capture_signals():
            before = signal.getsignal(signal.SIGHUP)
            # nohup has it ignored; and signals are the main thread's
            if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
                yield
                return
            signal.signal(signal.SIGHUP, self.handle_exit)
            try:
                yield
            finally:
                signal.signal(signal.SIGHUP, before)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what requests may wait for, then wait for the requests."""
        await anyio.to_thread.run_sync(self._finish)
        await super().shutdown(sockets)
