"""The table that turns errors of SQLite into ours, with the names that were probably meant."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    TargetError,
    TargetUnavailableError,
)
from pytest_testmesh.integrations._failures import Row, timed_out
from pytest_testmesh.integrations.database.sqlite import Interrupted, SqliteConnection, SqliteTarget
from pytest_testmesh.integrations.sql.lexer import tokens
from pytest_testmesh.polling import Deadline
from pytest_testmesh.values import near_matches

_NO_FILE = Row(TargetUnavailableError)
BY_WORDS: tuple[tuple[str, Row], ...] = (
    ("syntax error|incomplete input|unrecognized token", Row(TargetError, code="SYNTAX_ERROR")),
    ("no such table", Row(TargetError, code="UNDEFINED_TABLE")),
    ("no such column|has no column named", Row(TargetError, code="UNDEFINED_COLUMN")),
    ("no such function|wrong number of arguments", Row(TargetError, code="UNDEFINED_FUNCTION")),
    ("ambiguous column", Row(TargetError, code="AMBIGUOUS_COLUMN")),
    ("already exists", Row(TargetError, hint="write CREATE TABLE IF NOT EXISTS", code="DUPLICATE_TABLE")),
    ("UNIQUE constraint", Row(TargetError, code="UNIQUE_VIOLATION")),
    ("NOT NULL constraint", Row(TargetError, code="NOT_NULL_VIOLATION")),
    ("FOREIGN KEY constraint", Row(TargetError, code="FOREIGN_KEY_VIOLATION")),
    ("CHECK constraint", Row(TargetError, code="CHECK_VIOLATION")),
    ("readonly database", Row(TargetError, hint="?mode=ro, or the file's permissions, forbid it")),
    ("not a database|malformed", Row(TargetError, hint="is the path right? a program may have written half of it")),
    ("unable to open database", _NO_FILE),
    ("disk I/O error|disk is full", Row(TargetUnavailableError, hint="is the disk full?")),
    ("number of bindings", Row(ActionConfigError, hint="write placeholders as ?, $1 or :name")),
    ("cannot (?:start a transaction|commit|rollback)", Row(ActionConfigError, hint="`transaction: true` does that")),
)  # fmt: skip
"""What SQLite says, which has no codes for most of it. The first match counts."""

BY_EXCEPTION: dict[type[BaseException], Row] = {
    sqlite3.InterfaceError: Row(ActionConfigError),
    sqlite3.ProgrammingError: Row(ActionConfigError),
    sqlite3.Error: Row(TargetError),
    sqlite3.Warning: Row(ActionConfigError),
    OverflowError: Row(ActionConfigError, hint="SQLite's integers have 64 bits: bind the number as text"),
    UnicodeEncodeError: Row(ActionConfigError, hint="a value is not valid Unicode"),
}
"""What the words do not tell."""

MAPPED = (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeEncodeError, Interrupted)
"""What a connection may raise and `failure` understands."""


def failure(
    exc: BaseException,
    target: SqliteTarget,
    deadline: Deadline,
    waited: str,
    connection: SqliteConnection | None = None,
    place: str = "",
) -> ActionError:
    """Return the error of ours for *exc*, one of `MAPPED`; *place* is where in the statement the error is."""
    if isinstance(exc, Interrupted):
        waiting_for = "another connection to release its lock" if exc.locked else "the statement"
        hint = "a transaction that another process or an earlier step left open holds it" if exc.locked else None
        return timed_out(target.shown, waited, waiting_for, deadline, hint)
    row = find_row(exc)
    hint = row.hint
    if row is _NO_FILE:
        hint = _why_no_file(target)
    elif connection is not None:
        hint = _near_names(str(exc), connection) or hint
    return row.error(f"{target.shown}: {exc}{place}", hint=hint, code=row.code)


def find_row(exc: BaseException) -> Row:
    """Return the row of an error: by SQLite's words, else by its type."""
    for words, row in BY_WORDS:
        if isinstance(exc, sqlite3.Error) and re.search(words, str(exc)):
            return row
    return next(BY_EXCEPTION[kind] for kind in type(exc).__mro__ if kind in BY_EXCEPTION)


def offset_of(exc: BaseException, text: str) -> int | None:
    """Return where in the statement the error is, if the word that SQLite names stands there just once."""
    found = re.search(r'near "(.*)"|unrecognized token: "(.*)"|no such \w+: (?:\w+\.)?(\w+)', str(exc), re.DOTALL)
    if found is None:
        return None
    word = next(group for group in found.groups() if group is not None)
    places = [token.start for token in tokens(text, "sqlite") if text[token.start : token.end].strip('"`[]') == word]
    return places[0] if len(places) == 1 else None


def _near_names(said: str, connection: SqliteConnection) -> str | None:
    missing = re.search(r"no such (table|column): (?:\w+\.)?(.+)|has no column named (.+)", said)
    if missing is None:
        return None
    tables = connection.names()
    if missing[1] == "table":
        return _near(missing[2], list(tables), "tables") or "there is no table yet: does a step create it?"
    columns = dict.fromkeys(column for each in tables.values() for column in each)
    return _near(missing[2] or missing[3], list(columns), "columns")


def _near(sought: str, names: Sequence[str], what: str) -> str | None:
    near = near_matches(sought, names, 1)
    if near:
        return f"did you mean {near[0]}?"
    return f"{what} there: {', '.join(names[:12])}" if names else None


def _why_no_file(target: SqliteTarget) -> str:
    path = Path(target.path or "")
    if path.is_dir():
        return f"{path} is a folder"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    return f"may {path} be read and written?" if path.exists() else f"there is no file {path}, or it may not be made"
