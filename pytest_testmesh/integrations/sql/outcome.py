"""What a statement brought back: rows as JSON, counts, and their texts for reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_testmesh.values import shorten

_SHORT = 400
_LONG = 100_000
_ROWS_SHOWN = 3
_VALUE_WIDTH = 200
_LINE = 160
_CARET_AT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of one statement; *columns* is empty for one that gives no rows."""

    columns: tuple[str, ...] = ()
    rows: list[dict[str, Any]] = field(default_factory=list)
    affected: int = 0

    @property
    def row_count(self) -> int:
        """How many rows came back, or, of a statement that gives none, how many it changed."""
        return len(self.rows) if self.columns or self.rows else self.affected

    @property
    def first_row(self) -> dict[str, Any] | None:
        """The first row, if there is one."""
        return self.rows[0] if self.rows else None


def column_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, a repeated one with a number: of ``SELECT a.id, b.id`` both are to be seen, as id and id_2."""
    if len(set(names)) == len(names):
        return tuple(names)
    found: list[str] = []
    for name in names:
        number, unique = 1, name
        while unique in found or (number > 1 and unique in names):
            number += 1
            unique = f"{name}_{number}"
        found.append(unique)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Sent:
    """``SELECT ... WHERE id = ?  params [5]``, a line for each statement; *place* is where in the last its error is."""

    statements: Sequence[tuple[str, Any]]
    target: str
    place: str | None = None

    def __call__(self, verbose: bool = False) -> str:
        """Return the text; secrets are masked later."""
        lines = [_statement(text, params, verbose) for text, params in self.statements]
        if self.place is not None and not verbose:
            lines = [*lines[:-1], self.place, *_params(self.statements[-1][1], _SHORT)]
        elif self.place is not None:
            lines.append(self.place)
        return "\n".join([self.target, *lines] if verbose else lines)


def _statement(text: str, params: Any, verbose: bool) -> str:
    shown = _cut(text.strip(), _LONG) if verbose else _cut(" ".join(text.split()), _SHORT)
    return "  ".join([shown, *_params(params, _LONG if verbose else _SHORT)])


def _params(params: Any, size: int) -> list[str]:
    return [f"params {_cut(_json(params), size)}"] if params else []


@dataclass(frozen=True, slots=True)
class Received:
    """``3 rows in 2 ms  {"id": 1}  {"id": 2}  {"id": 3}``; verbose with every row on a line."""

    outcomes: Sequence[Outcome]
    duration_ms: int

    def __call__(self, verbose: bool = False) -> str:
        """Return the text; secrets are masked later."""
        texts = [_outcome(each, verbose) for each in self.outcomes]
        return f"{('; ' if not verbose else chr(10)).join(texts) or 'nothing'} in {self.duration_ms} ms"


def _outcome(outcome: Outcome, verbose: bool) -> str:
    if not outcome.columns:
        return f"{count(outcome.affected, 'row')} affected"
    shown = outcome.rows if verbose else outcome.rows[:_ROWS_SHOWN]
    rows = [_cut(_json(row), _LONG if verbose else _VALUE_WIDTH) for row in shown]
    if len(outcome.rows) > len(shown):
        rows.append(f"... {len(outcome.rows) - len(shown)} more")
    return ("\n" if verbose else "  ").join([count(len(outcome.rows), "row"), *rows])


def count(number: int, noun: str) -> str:
    """Write ``1 row``, ``2 rows``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else f"{shorten(text, size)} ({len(text)} characters)"


def caret(text: str, offset: int) -> str:
    """Return the line of *text* at *offset* (characters from 0) with a caret under it, and the two lines before it."""
    *before, line = text[:offset].split("\n")
    column = len(line)
    line += text[offset:].partition("\n")[0]
    if column > _CARET_AT:
        line, column = f"...{line[column - _CARET_AT // 2 :]}", _CARET_AT // 2 + 3
    shown = [*(each[:_LINE] for each in before[-2:]), line[:_LINE], f"{' ' * column}^"]
    return "\n".join(shown)


def place_in(text: str, offset: int | None) -> str:
    """Return `` (line 2, column 8)`` for a message, or nothing; the line only where there are many."""
    if offset is None:
        return ""
    before = text[:offset]
    line, column = before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
    return f" (line {line}, column {column})" if "\n" in text.strip() else f" (column {column})"
