"""One connection to a PostgreSQL server, every wait of which ends at a deadline and can be interrupted.

psycopg2's usual connections wait in C, deaf to Ctrl-C and to any deadline; asynchronous ones leave the waiting to us.
They know no ``commit()``: transactions are statements. ``cancel()`` is not used, since it waits for the server with
the interpreter locked, for ever where the server is frozen.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, inf

import psycopg2
from psycopg2 import extensions as ext

from pytest_testmesh.integrations.postgresql.target import Target
from pytest_testmesh.integrations.postgresql.types import Types
from pytest_testmesh.integrations.sql.outcome import Outcome, column_names
from pytest_testmesh.polling import Deadline

_GRACE_S = 0.2
"""How long after the deadline the server may still say by itself that the time was up."""
_CANCEL_S = 0.5
"""What it may take to end a statement that goes on after that."""
_TOLERANCE_MS = 50
_MAX_TIMEOUT_MS = 2**31 - 1


class Expired(Exception):
    """The deadline came; *waiting_for* says what had not happened."""

    def __init__(self, waiting_for: str) -> None:
        super().__init__(waiting_for)
        self.waiting_for = waiting_for


@dataclass(slots=True)
class _Session:
    """What the server remembers of a connection: who used it last, and the statement_timeout it was told."""

    user: object = None
    timeout_ms: int | None = None


class Connection:
    """A connection to *target*; methods raise psycopg2's errors and `Expired`."""

    def __init__(self, target: Target, raw: ext.connection) -> None:
        self.raw = raw
        self._target = target
        self._session = _Session()
        self._types = Types(raw)
        self._json_columns: dict[str, frozenset[str]] = {}

    @classmethod
    def open(cls, target: Target, deadline: Deadline) -> Connection:
        """Connect and log in."""
        raw = psycopg2.connect(target.dsn, async_=1)
        try:
            if not _wait(raw, deadline.remaining()):
                raise Expired("a connection")
            connection = cls(target, raw)
            if raw.get_parameter_status("standard_conforming_strings") == "off":
                # else a backslash would end the literals that placeholders are filled into
                connection._run("SET standard_conforming_strings = on", deadline)
        except BaseException:
            raw.close()
            raise
        return connection

    @property
    def is_idle(self) -> bool:
        """Whether the next statement can be sent: no transaction is open, nothing is under way, nothing is broken."""
        return not self.raw.closed and self.raw.info.transaction_status == ext.TRANSACTION_STATUS_IDLE

    @property
    def is_alive(self) -> bool:
        """Whether it looks usable: an idle server has nothing to say but that it goes."""
        return self.is_idle and not _ready(self.raw.fileno(), select.POLLIN, 0)

    def close(self) -> None:
        """Close it; never waits."""
        with suppress(psycopg2.Error):
            self.raw.close()

    def claim(self, user: object, deadline: Deadline) -> None:
        """Begin to work for *user*, a run of a flow; settings and temporary tables of another one are dropped."""
        if self._session.user not in (None, user):
            self._run("DISCARD ALL", deadline)
            self._session.timeout_ms = None
            self.forget_types()
        self._session.user = user

    def forget_types(self) -> None:
        """Forget what the catalog said of types and columns: a statement may have changed them."""
        self._types.forget()
        self._json_columns.clear()

    def execute(self, text: str, deadline: Deadline) -> Outcome:
        """Run one statement, or a script of which the last one counts."""
        self._limit(deadline)
        cursor = self._run(text, deadline)
        description = cursor.description  # each access makes it anew
        if description is None:
            return Outcome(affected=max(cursor.rowcount, 0))
        names = column_names([column.name for column in description])
        rows = self._types.to_json(
            cursor.fetchall(),
            cursor,
            [column.type_code for column in description],
            lambda query: self._run(query, deadline).fetchall(),
        )
        changed = 0 if (cursor.statusmessage or "").startswith("SELECT") else max(cursor.rowcount, 0)
        # strict=True would take half as long again, and a row always has all columns
        return Outcome(columns=names, rows=[dict(zip(names, row, strict=False)) for row in rows], affected=changed)

    def begin(self, deadline: Deadline) -> None:
        """Begin a transaction."""
        self._limit(deadline)
        self._run("BEGIN", deadline)

    def commit(self, deadline: Deadline) -> None:
        """Commit the transaction."""
        self._run("COMMIT", deadline)

    def rollback(self) -> None:
        """Undo the transaction if one is open; a connection that cannot do so soon is closed."""
        if self.raw.closed or self.is_idle:
            return
        self._session.timeout_ms = None  # a SET within the transaction is undone, too
        try:
            self._run("ROLLBACK", Deadline.after(_CANCEL_S, ""))
        except (psycopg2.Error, Expired):
            self.close()

    def json_columns(self, table: str, deadline: Deadline) -> frozenset[str]:
        """Return the columns of type json or jsonb of *table*, a quoted name."""
        if table not in self._json_columns:
            name = ext.QuotedString(table)
            name.prepare(self.raw)
            found = self.execute(_JSON_COLUMNS.format(name=name.getquoted().decode("utf-8")), deadline)
            self._json_columns[table] = frozenset(row["attname"] for row in found.rows)
        return self._json_columns[table]

    def notices(self) -> Sequence[str]:
        """Return what the server told since the last call: ``NOTICE:  relation "x" already exists, skipping``."""
        found = [" ".join(each.split()) for each in self.raw.notices]
        self.raw.notices.clear()
        return found

    def _run(self, text: str, deadline: Deadline) -> ext.cursor:
        cursor = self.raw.cursor()
        try:
            cursor.execute(text)
            expired = not _wait(self.raw, deadline.remaining() + _GRACE_S)
        except (psycopg2.Error, ValueError, UnicodeError):
            raise
        except BaseException:  # Ctrl-C, pytest-timeout
            self._cancel()
            raise
        if expired:
            self._cancel()
            raise Expired("the statement")
        return cursor

    def _limit(self, deadline: Deadline) -> None:
        """Have the server end a statement at the deadline; costs a round trip where the time left is another one."""
        left_s = deadline.remaining()
        wanted = _rounded_up_ms(left_s)
        told = self._session.timeout_ms
        if told is not None and (told == wanted or wanted <= told <= wanted + _TOLERANCE_MS):
            return
        self._run(f"SET statement_timeout = {wanted}", deadline)
        self._session.timeout_ms = wanted

    def _cancel(self) -> None:
        """End the statement under way, by way of another connection; where that fails this one is closed."""
        deadline = Deadline.after(_CANCEL_S, "")
        try:
            other = psycopg2.connect(self._target.dsn, async_=1)
            try:
                if _wait(other, deadline.remaining()):
                    other.cursor().execute(f"SELECT pg_cancel_backend({self.raw.info.backend_pid})")
                    _wait(other, deadline.remaining())
            finally:
                other.close()
            _wait(self.raw, deadline.remaining())
        except psycopg2.Error:
            pass  # the usual way out: "canceling statement due to user request"
        if not self.raw.closed and self.raw.info.transaction_status == ext.TRANSACTION_STATUS_ACTIVE:
            self.close()


_JSON_COLUMNS = """
SELECT attname::text FROM pg_catalog.pg_attribute
WHERE attrelid = to_regclass({name}) AND atttypid IN ('json'::regtype, 'jsonb'::regtype) AND NOT attisdropped
"""


def _rounded_up_ms(seconds: float) -> int:
    """Return milliseconds, 0 for no limit; rounded so that the steps of a flow share one value."""
    if seconds == inf:
        return 0
    grain_ms = 100 if seconds > 1 else 10
    return min(max(ceil(seconds * 1000 / grain_ms), 1) * grain_ms, _MAX_TIMEOUT_MS)


def _wait(raw: ext.connection, seconds: float) -> bool:
    """Wait for what is under way; say whether it ended in time."""
    deadline = Deadline.after(seconds, "")
    while (state := raw.poll()) != ext.POLL_OK:
        event = select.POLLIN if state == ext.POLL_READ else select.POLLOUT
        # the socket may be another one each time, while the addresses of a host are tried
        if not _ready(raw.fileno(), event, deadline.remaining()):
            return False
    return True


def _ready(fileno: int, event: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fileno, event)
    return bool(poll.poll(None if seconds == inf else min(ceil(seconds * 1000), _MAX_TIMEOUT_MS)))
