"""SQLite: which file a URL means, connections, and statements that end at a deadline and on Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import repeat
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._json import from_bytes, to_json
from pytest_testmesh.integrations.sql.lexer import statements, tokens
from pytest_testmesh.integrations.sql.outcome import Outcome, column_names
from pytest_testmesh.integrations.sql.statement import Statement
from pytest_testmesh.polling import Deadline, attempts

_URL = re.compile(r"sqlite(?:\+\w+)?://(?P<host>[^/?]*)/?(?P<path>[^?]*)(?:\?(?P<options>.*))?", re.DOTALL)
_MODES = ("ro", "rw", "rwc")
_FORM = "write sqlite:///shop.db (beside the flow), sqlite:////tmp/shop.db or sqlite:///:memory:"
_BUSY_PAUSE_S = 0.02
_INTERRUPT_S = 2.0
"""How long an interrupted statement may take to end; it does so within some thousand of its own instructions."""
_INTERRUPT_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class SqliteTarget:
    """A file, or (*path* is None) a database in memory; *shown* is what messages call it."""

    path: str | None
    mode: str
    shown: str


def parse_sqlite(url: str, flow_dir: Path) -> SqliteTarget:
    """Return what ``sqlite:///file.db`` means; a relative path begins at *flow_dir*.

    Raises:
        ActionConfigError: Not such a URL.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ActionConfigError(f"config.connection: {url!r} names no SQLite database", hint=_FORM)
    options = dict(parse_qsl(found["options"] or "", keep_blank_values=True))
    mode = options.pop("mode", "rwc")
    if options or mode not in _MODES:
        wrong = next(iter(options), f"mode={mode}")
        raise ActionConfigError(f"config.connection: SQLite has no option {wrong}", hint="?mode=ro opens read-only")
    if found["host"]:
        raise ActionConfigError(f"config.connection: {url!r} has a slash too few", hint=_FORM)
    return sqlite_file(found["path"], flow_dir, mode)


def sqlite_file(path: str, flow_dir: Path, mode: str = "rwc") -> SqliteTarget:
    """Return the target of a path, or of ``:memory:`` or nothing at all: a database in memory.

    Raises:
        ActionConfigError: No path can be so.
    """
    if path in ("", ":memory:"):
        return SqliteTarget(None, "rwc", "sqlite:///:memory:")
    if "\0" in path:
        raise ActionConfigError("config.connection: a path cannot hold a NUL character")
    whole = os.path.abspath(flow_dir / path)
    return SqliteTarget(whole, mode, f"sqlite:///{path}")


class Interrupted(Exception):
    """The deadline came before the statement ended; *locked* says that another connection held the database."""

    def __init__(self, *, locked: bool = False) -> None:
        super().__init__("locked" if locked else "interrupted")
        self.locked = locked


class SqliteConnection:
    """A connection; raises sqlite3's errors, OverflowError for integers of more than 64 bits, and `Interrupted`.

    Statements run in a thread of their own: SQLite works in C, deaf to Ctrl-C and deadlines, until another thread
    interrupts it.
    """

    def __init__(self, target: SqliteTarget) -> None:
        self.target = target
        self._raw = sqlite3.connect(
            _address(target), uri=True, timeout=0, isolation_level=None, check_same_thread=False
        )
        self._raw.text_factory = from_bytes  # text that is not UTF-8 would be an error
        self._thread = ThreadPoolExecutor(1, "sqlite")
        self._file = _identity(target)

    @property
    def is_alive(self) -> bool:
        """Whether the file is still the one that was opened: flows remove and make databases anew."""
        return self._file is None or self._file == _identity(self.target)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._raw.in_transaction

    def close(self) -> None:
        """Undo what is open, and close."""
        self._thread.shutdown()
        self._raw.close()

    def run(self, statement: Statement, deadline: Deadline) -> Outcome:
        """Run the statements of a script; the outcome is that of the last one."""
        outcome = Outcome()
        for text, values in _scripted(statement):
            outcome = self._run(text, values, deadline)
        if self._file is None:
            self._file = _identity(self.target)  # the statement may have made it
        return outcome

    def begin(self, deadline: Deadline) -> None:
        """Begin a transaction that may write."""
        self._run("BEGIN IMMEDIATE", [], deadline)

    def commit(self, deadline: Deadline) -> None:
        """Commit the transaction."""
        self._run("COMMIT", [], deadline)

    def rollback(self) -> None:
        """Undo the transaction, if one is open."""
        if self._raw.in_transaction:
            self._raw.rollback()

    def _run(self, text: str, values: Sequence[Any], deadline: Deadline) -> Outcome:
        locked = False
        for _ in attempts(repeat(_BUSY_PAUSE_S), deadline):
            try:
                return self._run_once(text, values, deadline)
            except Interrupted:
                raise Interrupted(locked=locked) from None
            except sqlite3.OperationalError as exc:
                locked = "is locked" in str(exc)
                if not locked:
                    raise
        raise Interrupted(locked=locked)

    def _run_once(self, text: str, values: Sequence[Any], deadline: Deadline) -> Outcome:
        left_s = deadline.remaining()
        try:
            future = self._thread.submit(self._execute, text, values)
            done, _ = wait([future], None if left_s == inf else left_s)
        except BaseException:  # Ctrl-C, pytest-timeout
            self._interrupt()
            raise
        if not done:
            self._interrupt()
            raise Interrupted
        return future.result()

    def _interrupt(self) -> None:
        """End what the thread does, by more than one interrupt: a statement that is yet to begin misses the first."""
        last = self._thread.submit(lambda: None)
        for _ in attempts(repeat(_INTERRUPT_PAUSE_S), Deadline.after(_INTERRUPT_S, "")):
            self._raw.interrupt()
            if last.done():
                break

    def _execute(self, text: str, values: Sequence[Any]) -> Outcome:
        cursor = self._raw.execute(text, values)
        try:
            if cursor.description is None:
                return Outcome(affected=max(cursor.rowcount, 0))
            names = column_names([column[0] for column in cursor.description])
            rows = [dict(zip(names, map(to_json, row), strict=True)) for row in cursor]
            return Outcome(columns=names, rows=rows, affected=max(cursor.rowcount, 0))
        finally:
            cursor.close()

    def names(self) -> dict[str, list[str]]:
        """Return the columns of each table and view by its name, for near matches."""
        found: dict[str, list[str]] = {}
        query = (
            "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type IN ('table', 'view')"
        )
        for table, column in self._raw.execute(query):
            found.setdefault(table, []).append(column)
        return found


def _address(target: SqliteTarget) -> str:
    return ":memory:" if target.path is None else f"file:{quote(target.path)}?mode={target.mode}"


def _identity(target: SqliteTarget) -> tuple[int, int] | None:
    if target.path is None:
        return None
    try:
        found = os.stat(target.path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _scripted(statement: Statement) -> Iterator[tuple[str, list[Any]]]:
    """Cut a script into its statements with their values; the ``;`` within a trigger do not count."""
    text = "".join("?" if piece.text is None else piece.text for piece in statement.pieces)
    values = iter([_bindable(piece.value) for piece in statement.pieces if piece.text is None])
    placeholders = [token.start for token in tokens(text, "sqlite") if token.kind == "placeholder"]
    start: int | None = None
    for begin, end in statements(text, "sqlite"):
        start = begin if start is None else start
        if not sqlite3.complete_statement(f"{text[start:end]};"):
            continue
        yield text[start:end], [next(values) for place in placeholders if start <= place < end]
        start = None
    if start is not None:
        yield text[start:], [next(values) for place in placeholders if place >= start]


def _bindable(value: Any) -> Any:
    """SQLite keeps JSON as text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value
