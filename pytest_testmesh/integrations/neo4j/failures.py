"""The one table that turns errors of Neo4j, of its driver and of sockets into ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from neo4j.exceptions import Neo4jError

from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    ActionTimeoutError,
    TargetError,
    TargetUnavailableError,
)
from pytest_testmesh.integrations._failures import (
    BROKEN,
    UNEXPECTED,
    Row,
    chain_since,
    default_fact,
    said,
    socket_row,
    stalled,
)
from pytest_testmesh.integrations._sockets import Stalled
from pytest_testmesh.integrations.neo4j.address import SETTING, Address
from pytest_testmesh.integrations.sql.outcome import place_in
from pytest_testmesh.polling import Deadline

_SAID = Row(TargetError, "the server said: {said}")
_LOGIN = "AUTHENTICATION_FAILED"
_WRONG_PASSWORD = Row(
    TargetError, "the login of {user} is refused: {said}", "are `username` and `password` those of this server?", _LOGIN
)
_NOT_ALLOWED = Row(
    TargetError, "{user} may not do this: {said}", "`SHOW USER PRIVILEGES` tells what the user may", "PERMISSION_DENIED"
)
_SYNTAX = Row(TargetError, "the statement is wrong{place}: {said}", None, "SYNTAX_ERROR")
_CONSTRAINT = Row(TargetError, "a constraint forbids it: {said}", None, "CONSTRAINT_VIOLATION")
_TRANSIENT = Row(TargetError, "the server could not do it now: {said}", "try again with retry", "TRANSIENT_ERROR")
_STOPPING = Row(TargetUnavailableError, "the database is not available: {said}", "does the server just start or stop?")
_NO_LEADER = Row(
    TargetError,
    "this server of the cluster takes no writes: {said}",
    "name the cluster by neo4j://, which finds the one that does",
    "READ_ONLY",
)
_ROUTING = Row(
    TargetUnavailableError,
    "the cluster told no server to ask: {said}",
    "is it a cluster that runs? bolt:// asks one server directly; `database` must exist",
)
_UNKNOWN_DATABASE = Row(
    TargetError, "there is no database {database}: {said}", "`SHOW DATABASES` lists them", "DATABASE_NOT_FOUND"
)
_MISSING_PARAMETER = Row(TargetError, "{said}", "give it in `params`, by its name without $", "MISSING_PARAMETER")
_NOT_BOLT = Row(
    TargetUnavailableError,
    "the answer is not of the Bolt protocol: {said}",
    "is this the Bolt port, usually 7687? a port that wants TLS looks the same: then write bolt+s:// or neo4j+s://",
)
_CLOSED_AT_ONCE = Row(
    TargetUnavailableError,
    "the server closed the connection without an answer",
    "is this the Bolt port of a Neo4j that runs? one that wants TLS looks the same: then write bolt+s:// or neo4j+s://",
)
_CLOSED_BY_TLS = Row(
    TargetUnavailableError,
    _CLOSED_AT_ONCE.text,
    "is this the Bolt port of a Neo4j that runs? one without TLS looks the same: then write bolt:// or neo4j://",
)
_PORT = "the Bolt port, usually 7687, and not that of HTTP"
_TIMED_OUT = Row(ActionTimeoutError, "the server ended the query: {said}", "the time was up; raise `timeout`")
_UNREADABLE = Row(TargetError, "a value of the answer cannot be read: {said}", "return it as text, by toString(...)")

CODES: Mapping[str, Row] = {
    "Neo.ClientError.Cluster.NotALeader": _NO_LEADER,
    "Neo.ClientError.Database.DatabaseNotFound": _UNKNOWN_DATABASE,
    "Neo.ClientError.General.ForbiddenOnReadOnlyDatabase": _NO_LEADER,
    "Neo.ClientError.Procedure.ProcedureNotFound": Row(
        TargetError, "{said}", "`SHOW PROCEDURES` lists them; is a plugin such as APOC missing?", "PROCEDURE_NOT_FOUND"
    ),
    "Neo.ClientError.Procedure.ProcedureTimedOut": _TIMED_OUT,
    "Neo.ClientError.Schema.ConstraintValidationFailed": _CONSTRAINT,
    "Neo.ClientError.Schema.ConstraintViolation": _CONSTRAINT,
    "Neo.ClientError.Security": _WRONG_PASSWORD,
    "Neo.ClientError.Security.AuthenticationRateLimit": Row(
        TargetError, "too many wrong logins: {said}", "the server takes none for some seconds", _LOGIN
    ),
    "Neo.ClientError.Security.CredentialsExpired": Row(
        TargetError, "the password of {user} must be changed first: {said}", "ALTER CURRENT USER SET PASSWORD", _LOGIN
    ),
    "Neo.ClientError.Security.Forbidden": _NOT_ALLOWED,
    "Neo.ClientError.Statement.AccessMode": _NO_LEADER,
    "Neo.ClientError.Statement.ParameterMissing": _MISSING_PARAMETER,
    "Neo.ClientError.Statement.SyntaxError": _SYNTAX,
    "Neo.ClientError.Transaction.LockClientStopped": _TIMED_OUT,
    "Neo.ClientError.Transaction.TransactionTimedOut": _TIMED_OUT,
    "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration": _TIMED_OUT,
    "Neo.TransientError": _TRANSIENT,
    "Neo.TransientError.Cluster.NotALeader": _NO_LEADER,
    "Neo.TransientError.General.DatabaseUnavailable": _STOPPING,
    "Neo.TransientError.General.OutOfMemoryError": Row(
        TargetError, "the server has no memory left for this: {said}", "return less at a time", "OUT_OF_MEMORY"
    ),
    "Neo.TransientError.Transaction.LockClientStopped": _TIMED_OUT,
    "Neo.TransientError.Transaction.Terminated": Row(
        TargetError, "the server ended the query: {said}", "was it stopped, or ended by an administrator?", "TERMINATED"
    ),
}
"""By the status code of Neo4j, whole, or what stands before its last dots."""

TABLE: Mapping[str, Row] = {
    "AuthConfigurationError": Row(ActionConfigError),
    "AuthError": _WRONG_PASSWORD,
    "BoltConnectionBroken": BROKEN,
    "BoltConnectionClosed": BROKEN,
    "BoltConnectionError": UNEXPECTED,
    "BoltError": _NOT_BOLT,
    "BoltFailure": _NOT_BOLT,
    "BoltHandshakeError": _NOT_BOLT,
    "BoltProtocolError": _NOT_BOLT,
    "BoltSecurityError": UNEXPECTED,
    "BoltTransactionError": UNEXPECTED,
    "BrokenRecordError": _UNREADABLE,
    "CertificateConfigurationError": Row(ActionConfigError),
    "ClientError": _SAID,
    "ConfigurationError": Row(ActionConfigError),
    "ConnectionAcquisitionTimeoutError": UNEXPECTED,  # told as a time-out
    "ConnectionPoolError": UNEXPECTED,
    "ConstraintError": _CONSTRAINT,
    "CypherSyntaxError": _SYNTAX,
    "CypherTypeError": Row(TargetError, "a value has the wrong type{place}: {said}", None, "TYPE_ERROR"),
    "DatabaseError": Row(TargetError, "the server failed: {said}", "its log tells more"),
    "DatabaseUnavailable": _STOPPING,
    "DriverError": UNEXPECTED,
    "Forbidden": _NOT_ALLOWED,
    "ForbiddenOnReadOnlyDatabase": _NO_LEADER,
    "GqlError": UNEXPECTED,
    "IncompleteCommit": BROKEN,
    "Neo4jError": _SAID,
    "NotALeader": _NO_LEADER,
    "QueryApiHttpError": _NOT_BOLT,
    "ReadServiceUnavailable": _ROUTING,
    "ResultConsumedError": UNEXPECTED,
    "ResultError": UNEXPECTED,
    "ResultFailedError": UNEXPECTED,
    "ResultNotSingleError": UNEXPECTED,
    "RoutingServiceUnavailable": _ROUTING,
    "ServiceUnavailable": UNEXPECTED,
    "SessionError": UNEXPECTED,
    "SessionExpired": BROKEN,
    "SocketDeadlineExceeded": UNEXPECTED,  # older than 6
    "SocketDeadlineExceededError": UNEXPECTED,  # told as a time-out
    "TokenExpired": _WRONG_PASSWORD,
    "TransactionError": UNEXPECTED,
    "TransactionNestingError": UNEXPECTED,
    "TransientError": _TRANSIENT,
    "UnsupportedServerProduct": _NOT_BOLT,
    "WriteServiceUnavailable": _ROUTING,
}
"""By the name of the class, also of those that the driver keeps to itself; which there are differs by version."""

PHRASES: Mapping[str, Row] = {
    "defunct connection": BROKEN,
    "No data": BROKEN,
    "closed the connection": BROKEN,
    "handshake": _NOT_BOLT,
    "looks like HTTP": _NOT_BOLT,
    "Unable to retrieve routing information": _ROUTING,
}
"""By what the text of a driver's error holds, where its class says too little."""

_TIMEOUTS = frozenset({"ConnectionAcquisitionTimeoutError", "SocketDeadlineExceeded", "SocketDeadlineExceededError"})
_PLACE = re.compile(r"\(line (\d+), column (\d+) \(offset: (\d+)\)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What was being done when an error came up, for its text.

    *first* is whether nothing was answered on this connection before, *handled* an older error, still being dealt with.
    """

    text: str
    address: Address
    database: str | None
    deadline: Deadline
    waited: str
    first: bool
    handled: BaseException | None

    @property
    def where(self) -> str:
        """``"query at localhost:7687"``."""
        return f"query at {self.address.origin}"


def failure(exc: BaseException, asking: Asking) -> ActionError:
    """Return the error of ours for *exc*: ``query at localhost:7687: connection refused``."""
    causes = list(chain_since(asking.handled, exc))
    timeout = next((each for each in causes if isinstance(each, TimeoutError)), None)
    if timeout is not None or any(type(each).__name__ in _TIMEOUTS for each in causes):
        waiting_for = timeout.waiting_for if isinstance(timeout, Stalled) else _waited_for(causes)
        return stalled(
            asking.where, asking.waited, waiting_for, asking.deadline, "query", _PORT if asking.first else None
        )
    cause, row = _row(causes)
    if row is BROKEN and asking.first:
        row = _CLOSED_BY_TLS if asking.address.tls else _CLOSED_AT_ONCE
    offset = offset_in(cause, asking.text)
    user = asking.address.username
    facts = {
        "database": asking.database or "of that name",
        "default": default_fact(asking.address.is_default, f"`url` or testmesh_{SETTING}"),
        "host": asking.address.host,
        "origin": asking.address.origin,
        "place": place_in(asking.text, offset),
        "said": _said(cause),
        "service": "Neo4j",
        "user": f"the user {user}" if user else "nobody (there is no `username`)",
    }
    return row.make(asking.where, facts)


def is_mapped(exc: Exception) -> bool:
    """Whether `failure` understands the error: all of the driver's own, and those of sockets."""
    return isinstance(exc, OSError) or type(exc).__module__.split(".")[0] == "neo4j"


def offset_in(exc: BaseException, text: str) -> int | None:
    """Return where in *text* the server found the error, in characters from 0."""
    found = _PLACE.search(getattr(exc, "message", None) or "") if isinstance(exc, Neo4jError) else None
    return min(int(found.group(3)), len(text)) if found else None


def _waited_for(causes: list[BaseException]) -> str:
    return "a connection" if any("establish connection" in str(each) for each in causes) else "the response"


def _row(causes: list[BaseException]) -> tuple[BaseException, Row]:
    """Find the row of what the server said, else of the error nearest to the root that one of the tables knows."""
    for exc in causes:
        if isinstance(exc, Neo4jError):
            return exc, _server_row(exc)
    for cause in reversed(causes):
        row = socket_row(cause) if isinstance(cause, OSError) and type(cause) is not OSError else _driver_row(cause)
        if row is not None:
            return cause, row
    return causes[0], UNEXPECTED


def _server_row(exc: Neo4jError) -> Row:
    code = exc.code or ""
    while code:
        if code in CODES:
            return CODES[code]
        code = code.rpartition(".")[0]
    return _by_class(exc) or _SAID


def _driver_row(cause: BaseException) -> Row | None:
    text = str(cause)
    row = next((row for phrase, row in PHRASES.items() if phrase in text), None)
    return row or (UNEXPECTED if isinstance(cause, OSError) else _by_class(cause))


def _by_class(exc: BaseException) -> Row | None:
    return next((TABLE[kind.__name__] for kind in type(exc).__mro__ if kind.__name__ in TABLE), None)


def _said(cause: BaseException) -> str:
    """Return the error's own words; of a long one of the server's its first line, without the place told elsewhere."""
    if isinstance(cause, Neo4jError):
        text = _PLACE.sub("", (cause.message or "").partition("\n")[0]).strip()
        return f"{text} ({cause.code})" if cause.code else text
    return said(cause).partition("\n")[0]
