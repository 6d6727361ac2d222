"""Reads one HTTP answer of a plugin: the usual kind quickly, every other kind through `http.client`."""

from __future__ import annotations

import http.client
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from 3.12 on

Receive = Callable[["Buffer"], int]

_CHUNK_BYTES = 16 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*(?=\r\n|$)")
_CONTENT_TYPE = re.compile(rb"\r\ncontent-type:[ \t]*([^\r\n]*)")
_CONNECTION = re.compile(rb"\r\nconnection:(?![ \t]*keep-alive[ \t]*(?:\r\n|$))")


class TooLargeError(Exception):
    """The body is larger than allowed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read to its end. *location* is where a redirect points.

    *keeps_alive* says whether the connection can carry another request.
    """

    status: int
    content_type: str
    body: bytes
    keeps_alive: bool
    location: str | None = None

    def json(self) -> object:
        """Parse the body.

        Raises:
            ValueError: Not JSON; ``NaN`` and ``Infinity`` are not JSON either.
        """
        try:
            return _DECODER.decode(self.body.decode("utf-8-sig"))
        except RecursionError as exc:
            raise ValueError("it is nested too deeply") from exc

    def excerpt(self, size: int = 200) -> str:
        """Return the beginning of the body as one line of text."""
        text = self.body[: size * 4].decode(errors="backslashreplace")
        text = " ".join(text.split())
        return text if len(text) <= size else f"{text[: size - 3]}..."


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def read_answer(receive: Receive, method: str, max_bytes: int) -> Answer:
    """Read one answer; *receive* fills a buffer as ``socket.recv_into`` does.

    Parsing headers with `http.client` takes longer than a quick plugin takes to answer.

    Raises:
        TooLargeError: The body is larger than *max_bytes*.
        http.client.HTTPException: The answer is not HTTP, or ended early.
    """
    buffer = bytearray(_CHUNK_BYTES)
    received = bytes(memoryview(buffer)[: receive(buffer)])
    head, end, body = received.partition(b"\r\n\r\n")
    length = _plain_length(head.lower()) if end else None
    if length is None or len(body) > length:
        return _read_any(_Replay(received, receive), method, max_bytes)
    if length > max_bytes:
        raise TooLargeError
    if len(body) < length:
        body = _read_rest(body, length, receive)
    found = _CONTENT_TYPE.search(head.lower())
    content_type = found[1].decode("latin-1") if found else ""
    return Answer(int(head[9:12]), content_type, body, keeps_alive=True)


def _plain_length(head: bytes) -> int | None:
    """Return the body's length if *head* (in lower case) is of the kind that nearly every server sends.

    That is HTTP/1.1, no redirect, one ``Content-Length``, no other framing, and the connection stays open.
    """
    if not head.startswith(b"http/1.1 ") or head[9:10] not in b"245" or head[9:12] == b"204":
        return None
    if b"\r\ntransfer-encoding" in head or _CONNECTION.search(head) or not head[9:12].isdigit():
        return None
    lengths = _LENGTH.findall(head)
    return int(lengths[0]) if len(lengths) == 1 else None


def _read_rest(body: bytes, length: int, receive: Receive) -> bytes:
    whole = bytearray(length)
    whole[: len(body)] = body
    with memoryview(whole) as view:
        filled = len(body)
        while filled < length:
            count = receive(view[filled:])
            if not count:
                raise http.client.IncompleteRead(b"", length - filled)
            filled += count
    return bytes(whole)


class _Replay(io.RawIOBase):
    """Stands for a socket towards `http.client`: first what was already received, then what still comes."""

    def __init__(self, received: bytes, receive: Receive) -> None:
        super().__init__()
        self._received = received
        self._receive = receive
        self._ended = not received

    def readable(self) -> Literal[True]:
        return True

    def readinto(self, buffer: Buffer) -> int:
        if self._ended:
            return 0
        if not self._received:
            return self._receive(buffer)
        view = memoryview(buffer)
        count = min(len(view), len(self._received))
        view[:count], self._received = self._received[:count], self._received[count:]
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        """Do for `http.client.HTTPResponse` what ``socket.makefile`` does."""
        return io.BufferedReader(self)


def _read_any(source: _Replay, method: str, max_bytes: int) -> Answer:
    with http.client.HTTPResponse(source, method=method) as response:  # type: ignore[arg-type]  # see makefile
        response.begin()
        body = _read_body(response, max_bytes)
        return Answer(
            response.status,
            response.headers.get("Content-Type", ""),
            body,
            keeps_alive=not response.will_close,
            location=response.headers.get("Location"),
        )


def _read_body(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    length = response.length
    if length is not None:
        if length > max_bytes:
            raise TooLargeError
        return response.read()
    chunks: list[bytes] = []
    size = 0
    while chunk := response.read(_CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise TooLargeError
    return b"".join(chunks)
