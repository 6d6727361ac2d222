"""Reading HTTP answers: both ways of reading agree, whatever pieces the bytes come in."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_testmesh.external.answer import Answer, AnswerError, read_answer

LIMIT = 1000


def in_pieces(data: bytes, sizes: Iterable[int]) -> Callable[[memoryview], int]:
    """Return a ``recv_into`` that gives the bytes in pieces of these sizes, then one byte at a time."""
    left = bytearray(data)
    pieces = iter(sizes)

    def receive(buffer: memoryview) -> int:
        size = min(next(pieces, 1), len(buffer), len(left))
        memoryview(buffer)[:size] = bytes(left[:size])
        del left[:size]
        return size

    return receive


def read(data: bytes, sizes: Iterable[int] = (10_000,)) -> Answer:
    return read_answer(in_pieces(data, sizes), "POST", LIMIT)


PLAIN = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"a": "b\\n c"}'[:-1]
ANSWERS = {
    "plain": (PLAIN, (200, True)),
    "keep-alive": (PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), (200, True)),
    "upper case": (PLAIN.upper().replace(PLAIN[-13:].upper(), PLAIN[-13:]), (200, True)),
    "close": (PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), (200, False)),
    "1.0": (PLAIN.replace(b"1.1", b"1.0"), (200, False)),
    "1.0 keep-alive": (
        PLAIN.replace(b"1.1", b"1.0").replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"),
        (200, True),
    ),
    "another connection option": (
        PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade, close\r\n\r\n"),
        (200, False),
    ),
    "400": (PLAIN.replace(b"200 OK", b"400 Bad Request"), (400, True)),
    "302": (PLAIN.replace(b"200 OK", b"302 Found"), (302, True)),
    "no reason": (PLAIN.replace(b"200 OK", b"200"), (200, True)),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'5\r\n{"a":\r\n8\r\n "b\\n c"\r\n0\r\n\r\n',
        (200, True),
    ),
    "until the end": (PLAIN.replace(b"Content-Length: 13\r\n", b""), (200, False)),
    "equal lengths": (
        PLAIN.replace(b"\r\n\r\n", b"\r\nContent-Length: 13\r\n\r\n"),
        (200, True),
    ),
}


@pytest.mark.parametrize(("data", "expected"), ANSWERS.values(), ids=ANSWERS)
@settings(deadline=None)
@given(sizes=st.lists(st.integers(1, 80), max_size=6))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(data, expected, sizes):
    answer = read(data, sizes)

    assert (*expected, PLAIN[-13:], "application/json") == (
        answer.status,
        answer.keeps_alive,
        answer.body,
        answer.content_type.lower(),
    )


def test_no_body_is_expected_after_204():
    assert b"" == read(b"HTTP/1.1 204 No Content\r\n\r\n").body


def test_a_redirect_keeps_its_target():
    answer = read(b"HTTP/1.1 307 Temporary\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n")

    assert (307, "http://x/") == (answer.status, answer.location)


@pytest.mark.parametrize(
    "head", [b"Content-Length: 1001", b"Content-Length: 99999999999999999999", b"Connection: close"], ids=str
)
def test_a_body_beyond_the_limit_is_refused(head):
    with pytest.raises(AnswerError, match="larger than 1000 bytes"):
        read(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + b"x" * 1001)


def test_a_body_at_the_limit_is_read():
    assert LIMIT == len(read(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000).body)


@pytest.mark.parametrize("size", [0, len(PLAIN) - 13, len(PLAIN) - 1])
def test_an_answer_that_ends_early_is_an_error(size):
    with pytest.raises(ConnectionError, match="closed the connection"):
        read(PLAIN[:size])


HEADERS = st.sampled_from(
    [
        b"Content-Length: 3",
        b"content-length:  3 ",
        b"Content-Length: -1",
        b"Content-Length: x",
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Connection: keep-alive, close",
        b"X: y",
        b" folded",
        b"",
    ]
)
STATUS = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 100 C", b"HTTP/1.1 2", b"http/1.1 500", b""]
)


@settings(deadline=None)
@given(status=STATUS, headers=st.lists(HEADERS, max_size=4), body=st.binary(max_size=20), extra=st.binary(max_size=5))
def test_no_answer_raises_anything_but_the_two_errors_of_an_answer(status, headers, body, extra):
    data = b"\r\n".join([status, *headers, b"", body]) + extra

    try:
        answer = read(data)
    except (ConnectionError, AnswerError):
        return
    assert 100 <= answer.status <= 999


@settings(deadline=None)
@given(body=st.binary(max_size=40))
def test_no_body_raises_anything_but_a_value_error(body):
    answer = Answer(200, "", body, keeps_alive=True)

    assert len(answer.excerpt(10)) <= 10
    try:
        answer.json()
    except ValueError:
        return
