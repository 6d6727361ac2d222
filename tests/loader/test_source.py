"""Recognising flow files by their bytes, and the lines of a file that reports show."""

from __future__ import annotations

import pytest

from pytest_testmesh.loader import excerpt, looks_like_flow

TEXT = "one\ntwo\n\tthree\nfour\n"


@pytest.mark.parametrize(
    "data",
    [
        b"flow:\n",
        b"flow: {}",
        b"flow:",
        b"a: 1\r\nflow :\r\n",
        b'"flow": {}',
        b"'flow': {}",
        b"\xef\xbb\xbfflow:\n",
        "flow:\n".encode("utf-16"),
    ],
)
def test_a_line_that_starts_with_flow_is_seen(data: bytes) -> None:
    assert looks_like_flow(data)


@pytest.mark.parametrize("data", [b"", b" flow:\n", b"workflow:\n", b"flows:\n", b"# flow:\n", b"flow\n", b"flow:x"])
def test_other_files_are_not(data: bytes) -> None:
    assert not looks_like_flow(data)


@pytest.mark.parametrize(
    ("line", "context", "shown"),
    [
        (1, 2, [">   1 | one"]),
        (3, 2, ["    1 | one", "    2 | two", ">   3 |  three"]),
        (4, 0, [">   4 | four"]),
        (5, 1, ["    4 | four", ">   5 |"]),
        (6, 2, []),
        (0, 2, []),
    ],
)
def test_excerpt(line: int, context: int, shown: list[str]) -> None:
    assert shown == excerpt(TEXT.encode(), line, context)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"caf\xff \x1b[31mred", ">   1 | caf\ufffd \ufffd[31mred"),
        (b"\xef\xbb\xbfa", ">   1 | a"),
        ("a".encode("utf-16"), ">   1 | a"),
        (b"x" * 1000, ">   1 | " + "x" * 157 + "..."),
    ],
    ids=["control characters", "bom", "utf-16", "long line"],
)
def test_an_excerpt_is_safe_to_print(data: bytes, shown: str) -> None:
    assert [shown] == excerpt(data, 1)
