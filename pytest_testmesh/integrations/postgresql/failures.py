"""The tables that turn errors of psycopg2, by SQLSTATE or by libpq's words, into ours."""

from __future__ import annotations

import re
from typing import Any

import psycopg2
from psycopg2 import errorcodes

from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    ActionTimeoutError,
    TargetError,
    TargetUnavailableError,
)
from pytest_testmesh.integrations._failures import Row, default_fact, timed_out
from pytest_testmesh.integrations.postgresql.connection import Expired
from pytest_testmesh.integrations.postgresql.target import Target
from pytest_testmesh.polling import Deadline

_GONE = "did the server crash, or was it stopped? its log may say"
_BIND = "values reach columns as text, numbers, arrays (lists) or JSON (mappings); a cast such as ?::jsonb says which"
_REFUSED = Row(TargetError)

BY_STATE: dict[str, Row] = {
    "22P02": Row(TargetError, hint=_BIND),
    "42601": Row(TargetError, hint="`sent` above shows the place"),
    "42501": Row(TargetError, hint="GRANT it to this user, or connect as another one"),
    "42P01": Row(TargetError, hint="is it in another schema, or not made yet? write schema.table"),
    "42P02": Row(ActionConfigError, hint="give its value in `params`"),
    "42804": Row(TargetError, hint=_BIND),
    "42883": Row(TargetError, hint=_BIND),
    "3D000": Row(TargetUnavailableError, hint="is the database's name right, and was it created?"),
    "3F000": Row(TargetError, hint="is the schema's name right, and was it created?"),
    "53300": Row(TargetUnavailableError, hint="each worker of pytest-xdist has its own connection"),
    "55P03": Row(TargetError, hint="another session holds the lock: see pg_locks and pg_stat_activity"),
    "57014": Row(TargetError, hint="somebody else ended the statement: pg_cancel_backend, or lock_timeout"),
    "57P01": Row(TargetUnavailableError, hint=_GONE),
    "57P02": Row(TargetUnavailableError, hint=_GONE),
    "57P03": Row(
        TargetUnavailableError, hint="the server starts or stops: `wait_for`, `retry` or `eventually` can wait"
    ),
    "57P04": Row(TargetUnavailableError, hint="somebody dropped the database"),
    "57P05": Row(TargetUnavailableError, hint=_GONE),
}
"""Conditions that need more words than the server's."""

BY_CLASS: dict[str, Row] = {
    **dict.fromkeys(
        "01 02 03 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 "
        "72 F0 HV P0 XX".split(),
        _REFUSED,
    ),
    "08": Row(TargetUnavailableError, hint=_GONE),
    "28": Row(TargetError, hint="are user and password right?", code="AUTHENTICATION_FAILED"),
}
"""Every class of https://www.postgresql.org/docs/current/errcodes-appendix.html: the server answered, and said no."""

BY_EXCEPTION: dict[type[BaseException], Row] = {
    psycopg2.InterfaceError: Row(TargetUnavailableError, hint=_GONE),
    psycopg2.OperationalError: Row(TargetUnavailableError, hint=_GONE),
    psycopg2.DatabaseError: Row(TargetError),
    psycopg2.Error: Row(TargetError),
    psycopg2.Warning: Row(TargetError),
}
"""Errors without a SQLSTATE: they come from libpq or psycopg2."""

_LOGIN = Row(TargetError, hint="are user and password right?", code="AUTHENTICATION_FAILED")
_TLS = Row(TargetUnavailableError, hint="does the server speak TLS? sslmode: disable does without it")
_NOBODY_THERE = Row(
    TargetUnavailableError,
    hint="is the server running? nothing listens on {host}:{port}{default}",
    text="connection refused",
)
_UNKNOWN_HOST = Row(
    TargetUnavailableError, hint="check the name; is the name server reachable?", text="unknown host {host}"
)
_UNTRUSTED = Row(
    TargetUnavailableError, hint="name its CA: ?sslrootcert=ca.crt", text="the server's TLS certificate is not trusted"
)
_OTHER_NAME = Row(TargetUnavailableError, hint="use the name in the certificate as host, or sslmode=verify-ca")
_NOT_POSTGRESQL = Row(
    TargetUnavailableError, hint="is {host}:{port} a PostgreSQL server?", text="the answer is not PostgreSQL's"
)
_CLOSED = Row(TargetUnavailableError, hint=_GONE, text="the server closed the connection")

BY_WORDS: tuple[tuple[str, Row], ...] = (
    ("authentication failed|role .* does not exist", _LOGIN),
    ("no password supplied", Row(TargetError, hint="give a password", code="AUTHENTICATION_FAILED")),
    ("database .* does not exist", BY_STATE["3D000"]),
    ("no pg_hba.conf entry", Row(TargetUnavailableError, hint="pg_hba.conf lets this user in from elsewhere only")),
    ("too many (?:clients|connections)|remaining connection slots", BY_STATE["53300"]),
    ("database system is|not yet accepting connections", BY_STATE["57P03"]),
    ("Connection refused", _NOBODY_THERE),
    ("could not translate host name", _UNKNOWN_HOST),
    ("certificate verify failed", _UNTRUSTED),
    ("server certificate for|does not match host name", _OTHER_NAME),
    ("root certificate file", Row(ActionConfigError, hint="add ?sslrootcert=ca.crt, or sslrootcert=system")),
    ("terminating connection", BY_STATE["57P01"]),
    (r"\A(?!connection to server)(?:.* )?SSL SYSCALL|SSL connection has been closed", _CLOSED),  # in a statement
    ("does not support SSL|SSL error|SSL SYSCALL", _TLS),
    ("invalid .* value|certificate file|private key", Row(ActionConfigError, hint="check the connection settings")),
    ("can't execute COPY", Row(ActionConfigError, hint="use postgresql.insert", text="no COPY to or from here")),
    ("expected authentication request", _NOT_POSTGRESQL),
    (
        "server closed the connection|connection already closed|no connection to the server|Connection reset"
        "|Broken pipe",
        _CLOSED,
    ),
)
"""What libpq says of a connection that failed, of which psycopg2 has no SQLSTATE. The first match counts."""

MAPPED = (psycopg2.Error, psycopg2.Warning, Expired)
"""What a connection may raise and `failure` understands."""


def failure(exc: BaseException, target: Target, deadline: Deadline, waited: str, place: str = "") -> ActionError:
    """Return the error of ours for *exc*, one of `MAPPED`; *place* is where in the statement the error is."""
    if isinstance(exc, Expired) or (_state(exc) == "57014" and deadline.remaining() < _NEARLY_S):
        return _timed_out(exc, target, deadline, waited)
    row = find_row(exc)
    default = default_fact(target.is_default, "the step's connection or testmesh_postgresql_url")
    text, row_hint = row.fill({"host": target.host, "port": target.port, "said": _said(exc), "default": default})
    hint = "; ".join(filter(None, (_server_hint(exc), row_hint)))
    code = row.code or (_code(exc) if issubclass(row.error, TargetError) else None)
    return row.error(f"{target.shown}: {text}{place}", hint=hint or None, code=code, details=_details(exc))


_NEARLY_S = 0.1


def find_row(exc: BaseException) -> Row:
    """Return the row of an error: by its SQLSTATE, by libpq's words, by its type."""
    state = _state(exc)
    if state:
        return row_of_state(state)
    said = str(exc)
    for words, row in BY_WORDS:
        if re.search(words, said):
            return row
    return next(BY_EXCEPTION[kind] for kind in type(exc).__mro__ if kind in BY_EXCEPTION)


def row_of_state(state: str) -> Row:
    """Return the row of a SQLSTATE; an extension of the server may have conditions of its own."""
    return BY_STATE.get(state) or BY_CLASS.get(state[:2], _REFUSED)


def _timed_out(exc: BaseException, target: Target, deadline: Deadline, waited: str) -> ActionTimeoutError:
    waiting_for = exc.waiting_for if isinstance(exc, Expired) else "the statement"
    hint = (
        "are host and port right? a firewall that drops packets looks like this, and so does a frozen server"
        if waiting_for == "a connection"
        else "a lock that another session holds looks like this: see pg_locks; if it needs longer, raise `timeout`"
    )
    return timed_out(target.shown, waited, waiting_for, deadline, hint)


def _state(exc: BaseException) -> str | None:
    return getattr(exc, "pgcode", None)


def _said(exc: BaseException) -> str:
    """Return what was said, in one line: the server's primary message with its detail, or the last line of libpq's."""
    diag = getattr(exc, "diag", None)
    if diag is not None and diag.message_primary:
        detail = diag.message_detail
        return f"{diag.message_primary}: {' '.join(detail.split())}" if detail else str(diag.message_primary)
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()] or [type(exc).__name__]
    return _PREFIX.sub("", lines[0])


_PREFIX = re.compile(r"^(?:connection to server .*? failed: )?(?:(?:FATAL|ERROR): +)?")


def _server_hint(exc: BaseException) -> str | None:
    hint = getattr(getattr(exc, "diag", None), "message_hint", None)
    return " ".join(hint.split()).rstrip(".") if hint else None


def _code(exc: BaseException) -> str | None:
    """Return the condition's name, which ``retry_on`` may name: ``UNIQUE_VIOLATION``."""
    state = _state(exc)
    try:
        return errorcodes.lookup(state).strip("_") if state else None
    except KeyError:
        return state


def _details(exc: BaseException) -> dict[str, Any]:
    diag = getattr(exc, "diag", None)
    facts = {
        "sqlstate": _state(exc),
        "schema": getattr(diag, "schema_name", None),
        "table": getattr(diag, "table_name", None),
        "column": getattr(diag, "column_name", None),
        "constraint": getattr(diag, "constraint_name", None),
        "context": getattr(diag, "context", None),
    }
    return {name: value for name, value in facts.items() if value}
