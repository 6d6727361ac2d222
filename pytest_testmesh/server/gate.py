"""The one ASGI middleware: refuses, reads bodies up to a limit, sets headers, and catches what nobody else does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio
from starlette.datastructures import Headers, MutableHeaders

from pytest_testmesh.server.problems import problem
from pytest_testmesh.server.security import RESPONSE_HEADERS, Refusal, Rules
from pytest_testmesh.units import format_duration

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1024 * 1024

_log = logging.getLogger("pytest_testmesh.server")


class Gate:
    """What every request passes first, and every answer last; a body may take *body_wait_s* to arrive."""

    def __init__(self, app: ASGIApp, rules: Rules, body_wait_s: float = 30.0) -> None:
        self._app = app
        self._rules = rules
        self._body_wait_s = body_wait_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass the other events of ASGI on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        refusal = self._rules.refusal(scope)
        body = b""
        if refusal is None:
            body, refusal = await _read_body(Headers(scope=scope), receive, self._body_wait_s)
        if refusal is not None:
            await problem(refusal.status, refusal.error, hint=refusal.hint, headers=refusal.headers)(
                scope, receive, answer.send
            )
            return
        try:
            await self._app(scope, _replay(body, receive), answer.send)
        except Exception:  # noqa: BLE001 - the boundary: what is wrong in here is no business of the client
            _log.exception("%s %r failed", scope["method"], scope["path"])
            if not answer.started:
                await problem(500, "internal error", hint="the server's log tells more")(scope, receive, answer.send)


class _Answer:
    """Adds the headers that every answer carries."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in RESPONSE_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


async def _read_body(headers: Headers, receive: Receive, wait_s: float) -> tuple[bytes, Refusal | None]:
    """Read the whole body; one that says or turns out to be too large, or does not arrive, is refused."""
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        return b"", _TOO_LARGE
    chunks: list[bytes] = []
    size_bytes = 0
    with anyio.move_on_after(wait_s):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b"", Refusal(status=400, error="the client has gone before the end of the body")
            chunks.append(message.get("body", b""))
            size_bytes += len(chunks[-1])
            if size_bytes > MAX_BODY_BYTES:
                return b"", _TOO_LARGE
            if not message.get("more_body", False):
                return b"".join(chunks), None
    return b"", Refusal(status=408, error=f"the body did not arrive within {format_duration(wait_s)}")


_TOO_LARGE = Refusal(status=413, error=f"the body is larger than {MAX_BODY_BYTES // 1024} KiB")


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a receiver that gives the body that was read, and then whatever else comes."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
