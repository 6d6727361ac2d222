"""One connection of a client: uvicorn's, with a limit to how long the head of a request may take to arrive."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WAIT_S = 30.0
"""As much as a body may take."""


class Connection(H11Protocol):
    """Is closed when a client that has opened it, or begun a request on it, does not finish the head in time.

    uvicorn limits only the time between two requests; each connection that says nothing would keep a descriptor.
    """

    def __init__(self, *args: Any, head_wait_s: float = HEAD_WAIT_S, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_wait_s = head_wait_s
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take what came; the time of a head runs from its first byte, however many more drip in."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._head_timer is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the timer."""
        super().connection_lost(exc)
        self._stop_waiting()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self._head_wait_s, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
