"""The one table that turns errors of urllib3, ssl and sockets into ours."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from urllib3 import exceptions as u3

from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    ActionTimeoutError,
    TargetError,
    TargetUnavailableError,
)
from pytest_testmesh.integrations.http.connection import Stalled
from pytest_testmesh.polling import Deadline


@dataclass(frozen=True, slots=True)
class Row:
    """What an error means; *text* and *hint* may hold ``{origin}``, ``{host}`` and ``{detail}``."""

    error: type[ActionError]
    text: str
    hint: str | None = None


_REFUSED = Row(TargetUnavailableError, "connection refused", "is the service running? nothing listens on {origin}")
_BROKEN = Row(
    TargetUnavailableError,
    "the connection broke before the response was complete",
    "did the service crash or restart? its log may say",
)
_NOT_HTTP = Row(TargetError, "the answer is not HTTP: {detail}", "is this the right port, and http or https right?")
_UNREADABLE = Row(TargetError, "the response body cannot be decoded: {detail}", "Content-Encoding says otherwise")
_BAD_URL = Row(ActionConfigError, "invalid URL: {detail}", "write http://host:port/path")
_UNEXPECTED = Row(TargetUnavailableError, "{detail}")

TABLE: dict[type[BaseException], Row] = {
    # sockets
    ConnectionRefusedError: _REFUSED,
    ConnectionResetError: _BROKEN,
    ConnectionAbortedError: _BROKEN,
    BrokenPipeError: _BROKEN,
    socket.gaierror: Row(TargetUnavailableError, "unknown host {host}", "check the name; {detail}"),
    OSError: _UNEXPECTED,
    # TLS
    ssl.SSLCertVerificationError: Row(
        TargetUnavailableError,
        "the TLS certificate of {origin} is not trusted: {detail}",
        "name its CA in verify_ssl or REQUESTS_CA_BUNDLE, or write verify_ssl: false",
    ),
    ssl.SSLError: Row(
        TargetUnavailableError, "no TLS with {origin}: {detail}", "does the port speak https? try http://"
    ),
    # http.client
    http.client.RemoteDisconnected: Row(
        TargetUnavailableError,
        "the server closed the connection without an answer",
        "did the service crash on this request? a server that closes kept connections unannounced looks the same: "
        "then send the header `Connection: close`",
    ),
    http.client.IncompleteRead: _BROKEN,
    http.client.HTTPException: _NOT_HTTP,
    # urllib3: what wraps one of the above is found by its cause, these stand for the rest
    u3.HTTPError: _UNEXPECTED,
    u3.PoolError: _UNEXPECTED,
    u3.RequestError: _UNEXPECTED,
    u3.SSLError: Row(TargetUnavailableError, "no TLS with {origin}: {detail}"),
    u3.ProxyError: Row(TargetUnavailableError, "{detail}"),
    u3.DecodeError: _UNREADABLE,
    u3.ProtocolError: _NOT_HTTP,
    u3.MaxRetryError: _UNEXPECTED,
    u3.HostChangedError: _UNEXPECTED,
    u3.TimeoutStateError: _UNEXPECTED,
    u3.TimeoutError: _UNEXPECTED,
    u3.ReadTimeoutError: _UNEXPECTED,
    u3.ConnectTimeoutError: _UNEXPECTED,
    u3.NewConnectionError: _UNEXPECTED,
    u3.NameResolutionError: _UNEXPECTED,
    u3.EmptyPoolError: _UNEXPECTED,
    u3.FullPoolError: _UNEXPECTED,
    u3.ClosedPoolError: _UNEXPECTED,
    u3.LocationValueError: _BAD_URL,
    u3.LocationParseError: _BAD_URL,
    u3.URLSchemeUnknown: _BAD_URL,
    u3.ProxySchemeUnknown: Row(ActionConfigError, "invalid proxy: {detail}", "write http://proxy:port"),
    u3.ProxySchemeUnsupported: Row(ActionConfigError, "invalid proxy: {detail}", "write http://proxy:port"),
    u3.ResponseError: _UNEXPECTED,
    u3.ResponseNotChunked: _NOT_HTTP,
    u3.BodyNotHttplibCompatible: _UNEXPECTED,
    u3.IncompleteRead: _BROKEN,
    u3.InvalidChunkLength: _NOT_HTTP,
    u3.InvalidHeader: _NOT_HTTP,
    u3.HeaderParsingError: _NOT_HTTP,
    u3.UnrewindableBodyError: _UNEXPECTED,
}

MAPPED = (u3.HTTPError, u3.ProxySchemeUnsupported, OSError, http.client.HTTPException)
"""What sending may raise and `failure` understands."""

_HOSTNAME_MISMATCH = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH, https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What was being done when an error came up, for its text."""

    what: str
    host: str
    origin: str
    proxy: str | None
    deadline: Deadline
    waiting_for: str
    waited: str


def failure(exc: Exception, sending: Sending) -> ActionError:
    """Return the error of ours for *exc*; ``what: text`` is its first line."""
    chain = list(_chain(exc))
    if any(isinstance(each, (TimeoutError, u3.TimeoutError)) for each in chain) and not _refused(chain):
        return _timed_out(chain, sending)
    cause, row = _row(chain)
    facts = {"origin": sending.origin, "host": sending.host, "detail": _detail(cause)}
    text, hint = row.text.format(**facts), row.hint and row.hint.format(**facts)
    if sending.proxy is not None and any(isinstance(each, u3.ProxyError) for each in chain):
        text = f"no connection through the proxy {sending.proxy}: {_detail(cause)}"
        hint = "is the proxy right? `proxy: false` or NO_PROXY goes direct"
    return row.error(f"{sending.what}: {text}", hint=hint)


def _row(chain: list[BaseException]) -> tuple[BaseException, Row]:
    """Find the error nearest to the root that the table knows."""
    for cause in reversed(chain):
        for kind in type(cause).__mro__:
            if kind in TABLE:
                return cause, _special(cause) or TABLE[kind]
    return chain[0], _UNEXPECTED


def _timed_out(chain: list[BaseException], sending: Sending) -> ActionTimeoutError:
    stalled = next((each for each in chain if isinstance(each, Stalled)), None)
    waiting_for = sending.waiting_for
    if stalled is not None and stalled.waiting_for != "the response":
        waiting_for = stalled.waiting_for
    cause = f" ({sending.deadline.cause})" if sending.deadline.cause else ""
    return ActionTimeoutError(
        f"{sending.what}: timed out after {sending.waited} waiting for {waiting_for}{cause}",
        hint=_TIMEOUT_HINTS.get(waiting_for, "is the name server reachable?"),
    )


_TIMEOUT_HINTS = {
    "a connection": "are host and port right? a firewall that drops packets looks like this",
    "the TLS handshake": "does the port speak https?",
    "the server to take the request": "the server stopped reading; does it accept a body of this size?",
    "the response headers": "the server is connected but does not answer; if it needs longer, raise `timeout`",
    "the rest of the body": "the server began to answer but did not finish; if it needs longer, raise `timeout`",
}


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """Walk from the outermost error to the root; urllib3 also puts causes into arguments."""
    seen: set[int] = set()
    found: BaseException | None = exc
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        inner = next((each for each in found.args if isinstance(each, BaseException)), None)
        found = inner or found.__cause__


def _refused(chain: list[BaseException]) -> bool:
    """NewConnectionError is a ConnectTimeoutError for urllib3, though no time-out."""
    return any(isinstance(each, u3.NewConnectionError) for each in chain) and not any(
        isinstance(each, TimeoutError) for each in chain
    )


def _special(cause: BaseException) -> Row | None:
    """Tell apart what one class stands for."""
    if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code in _HOSTNAME_MISMATCH:
        return Row(
            TargetUnavailableError,
            "the TLS certificate of {origin} is for another host: {detail}",
            "use the name in the certificate as host, or write verify_ssl: false",
        )
    return None


def _detail(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return str(cause.verify_message).rstrip(".")
    if isinstance(cause, ssl.SSLError):
        return (cause.reason or str(cause)).replace("_", " ").lower()
    if isinstance(cause, OSError) and cause.strerror:
        return str(cause.strerror)
    return str(cause) or type(cause).__name__
