"""Values as PostgreSQL literals, and statements composed of SQL and literals with the way back to the author's text.

psycopg2 sends text, never values apart from it. It quotes them with the connection at hand; its ``%s`` is not used, so
that a ``%`` in a statement means nothing.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from psycopg2.extensions import QuotedString
from psycopg2.extensions import connection as Psycopg2Connection

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations.sql.binding import Piece
from pytest_testmesh.values import shorten


@dataclass(frozen=True, slots=True)
class Composed:
    """A statement as it is sent; *starts* are where its pieces begin in *text*."""

    text: str
    starts: tuple[int, ...]
    pieces: Sequence[Piece]

    def author_offset(self, position: int) -> int | None:
        """Return where in the author's text that character of *text* comes from, both counted from 0."""
        index = bisect_right(self.starts, position) - 1
        if not 0 <= index < len(self.pieces):
            return None
        piece = self.pieces[index]
        if piece.text is None:
            return piece.start
        return min(piece.start + position - self.starts[index], piece.end)


def compose(pieces: Sequence[Piece], raw: Psycopg2Connection) -> Composed:
    """Put literals where the values are.

    Raises:
        ActionConfigError: A value that PostgreSQL cannot hold.
    """
    texts, starts, length = [], [], 0
    for piece in pieces:
        text = literal(piece.value, raw) if piece.text is None else piece.text
        starts.append(length)
        texts.append(text)
        length += len(text)
    return Composed("".join(texts), tuple(starts), pieces)


def literal(value: Any, raw: Psycopg2Connection) -> str:
    """Write a JSON value as SQL: text and lists without a type of their own, so that the column decides it.

    A list is an array, a mapping JSON, and so is a list in which there is a mapping.

    Raises:
        ActionConfigError: Text that PostgreSQL cannot hold.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return _number(value)
    if isinstance(value, str):
        return _quoted(value, raw)
    if isinstance(value, Mapping) or _holds_mapping(value):
        return _quoted(json.dumps(value, ensure_ascii=False), raw)
    return _quoted(_array(value), raw)


def _number(value: float) -> str:
    if isinstance(value, float) and not isfinite(value):
        return f"'{value}'::float8"
    # in brackets, since the minus could make a comment with another one, and -32768::smallint is out of range
    return f"({value!r})" if value < 0 else repr(value)


def _quoted(text: str, raw: Psycopg2Connection) -> str:
    if "\0" in text:
        raise ActionConfigError(
            f"{shorten(json.dumps(text, ensure_ascii=False))} holds a NUL character, and no text in PostgreSQL can",
            hint="a bytea column can: bind base64 and write decode(?, 'base64')",
        )
    quoted = QuotedString(text)
    quoted.prepare(raw)
    try:
        return str(quoted.getquoted().decode("utf-8")).strip(" ")
    except UnicodeEncodeError:
        raise ActionConfigError(f"{shorten(ascii(text))} is not valid Unicode and cannot be sent") from None


def _holds_mapping(values: Sequence[Any]) -> bool:
    return any(isinstance(each, Mapping) or (isinstance(each, list) and _holds_mapping(each)) for each in values)


def _array(values: Sequence[Any]) -> str:
    """Source: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO"""
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return _array(value)
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, (int, float)):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
