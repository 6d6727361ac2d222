"""Reads one HTTP answer of a plugin: the usual kind quickly, every other kind through `http.client`."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytest_testmesh.values import one_line

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from typing_extensions import Buffer  # collections.abc has it from 3.12 on

Receive = Callable[["Buffer"], int]

_CHUNK_BYTES = 16 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*(?=\r\n|$)")
_CONTENT_TYPE = re.compile(rb"\r\ncontent-type:[ \t]*([^\r\n]*)")
_CONNECTION = re.compile(rb"\r\nconnection:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n|$)")
_ENDED_EARLY = "it closed the connection in the middle of its answer"
_KEEPS_ALIVE = {
    (b"1", b""): True,
    (b"1", b"keep-alive"): True,
    (b"1", b"close"): False,
    (b"0", b""): False,
    (b"0", b"close"): False,
    (b"0", b"keep-alive"): True,
}


class AnswerError(Exception):
    """What came is not HTTP, or more than allowed."""


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
        text = one_line(text)
        return text if len(text) <= size else f"{text[: size - 3]}..."


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is too large a number")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def read_answer(receive: Receive, method: str, max_bytes: int) -> Answer:
    """Read one answer; *receive* fills a buffer as ``socket.recv_into`` does.

    Parsing headers with `http.client` takes longer than a quick plugin takes to answer, and loading it as long
    as a plugin in Go takes to start.

    Raises:
        ConnectionError: The connection ended before the answer did.
        AnswerError: It is not HTTP, or its body is larger than *max_bytes*.
    """
    buffer = bytearray(_CHUNK_BYTES)
    received = bytes(memoryview(buffer)[: receive(buffer)])
    head, end, body = received.partition(b"\r\n\r\n")
    plain = _plain_head(head) if end else None
    if plain is None or len(body) > plain.length:
        return _read_any(_Replay(received, receive), method, max_bytes)
    _check_size(plain.length, max_bytes)
    if len(body) < plain.length:
        body = _read_rest(body, plain.length, receive)
    return Answer(plain.status, plain.content_type, body, plain.keeps_alive)


@dataclass(frozen=True, slots=True)
class _PlainHead:
    """Status line and headers of the kind that nearly every server sends."""

    status: int
    content_type: str
    length: int
    keeps_alive: bool


def _plain_head(head: bytes) -> _PlainHead | None:
    """Parse a head with one ``Content-Length``, no other framing and no redirect; None for any other."""
    head = head.lower()
    status = head[9:12]
    if not head.startswith(b"http/1.") or not status.isdigit() or status[:1] not in b"245" or status == b"204":
        return None
    lengths = _LENGTH.findall(head)
    connections = _CONNECTION.findall(head) or [b""]
    keeps_alive = _KEEPS_ALIVE.get((head[7:8], connections[0]))
    if b"\r\ntransfer-encoding" in head or b"\r\ncontent-encoding" in head or keeps_alive is None:
        return None
    if len(lengths) != 1 or head.count(b"\r\ncontent-length") != 1 or len(connections) != 1:
        return None
    content_type = _CONTENT_TYPE.search(head)
    return _PlainHead(
        int(status), content_type[1].decode("latin-1") if content_type else "", int(lengths[0]), keeps_alive
    )


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise AnswerError(f"the answer is larger than {max_bytes} bytes")


def _read_rest(body: bytes, length: int, receive: Receive) -> bytes:
    whole = bytearray(length)
    whole[: len(body)] = body
    with memoryview(whole) as view:
        filled = len(body)
        while filled < length:
            count = receive(view[filled:])
            if not count:
                raise ConnectionError(_ENDED_EARLY)
            filled += count
    return bytes(whole)


class _Replay(io.RawIOBase):
    """Stands for a socket towards `http.client`: first what was already received, then what still comes."""

    def __init__(self, received: bytes, receive: Receive) -> None:
        super().__init__()
        self._received = received
        self._receive = receive
        self.ended = not received

    def readable(self) -> Literal[True]:
        return True

    def readinto(self, buffer: Buffer) -> int:
        if self.ended:
            return 0
        if not self._received:
            count = self._receive(buffer)
            self.ended = not count
            return count
        view = memoryview(buffer)
        count = min(len(view), len(self._received))
        view[:count], self._received = self._received[:count], self._received[count:]
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        """Do for `http.client.HTTPResponse` what ``socket.makefile`` does."""
        return io.BufferedReader(self)


def _read_any(source: _Replay, method: str, max_bytes: int) -> Answer:
    import http.client

    try:
        with http.client.HTTPResponse(source, method=method) as response:  # type: ignore[arg-type]  # see makefile
            response.begin()
            _check_framing(response)
            body = _read_body(response, max_bytes)
    except http.client.RemoteDisconnected as exc:
        raise ConnectionError("it closed the connection without an answer") from exc
    except http.client.IncompleteRead as exc:
        if not source.ended:  # http.client says the same when it cannot read the size of a chunk
            raise AnswerError("the answer is not HTTP: a chunk of it has no size") from exc
        raise ConnectionError(_ENDED_EARLY) from exc
    except http.client.HTTPException as exc:
        raise AnswerError(f"the answer is not HTTP: {type(exc).__name__}: {exc}") from exc
    return Answer(
        response.status,
        response.headers.get("Content-Type", ""),
        body,
        keeps_alive=not response.will_close,
        location=response.headers.get("Location"),
    )


def _check_framing(response: HTTPResponse) -> None:
    """Refuse what `http.client` would read on with, to wait for an end that never comes or to take half for all.

    Source: https://www.rfc-editor.org/rfc/rfc9112#section-6.3
    """
    lengths = dict.fromkeys(each.strip() for each in response.headers.get_all("Content-Length", []))
    if not response.chunked and (len(lengths) > 1 or not all(each.isdecimal() for each in lengths)):
        raise AnswerError(f"the answer is not HTTP: its Content-Length is {' and '.join(lengths)}")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise AnswerError(f"the answer is compressed ({encoding}), which was not asked for")


def _read_body(response: HTTPResponse, max_bytes: int) -> bytes:
    length = response.length
    if length is not None:
        _check_size(length, max_bytes)
        return response.read()
    chunks: list[bytes] = []
    size = 0
    while chunk := response.read(_CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        _check_size(size, max_bytes)
    return b"".join(chunks)
