"""The one table that turns errors of urllib3, ssl and sockets into ours."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass

from urllib3 import exceptions as u3

from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    ActionTimeoutError,
    TargetError,
    TargetUnavailableError,
)
from pytest_testmesh.integrations._failures import UNEXPECTED, Row, chain, said, timed_out
from pytest_testmesh.integrations._sockets import Stalled
from pytest_testmesh.polling import Deadline

_REFUSED = Row(TargetUnavailableError, "connection refused", "is the service running? nothing listens on {origin}")
_BROKEN = Row(
    TargetUnavailableError,
    "the connection broke before the response was complete",
    "did the service crash or restart? its log may say",
)
_NOT_HTTP = Row(TargetError, "the answer is not HTTP: {said}", "is this the right port, and http or https right?")
_UNREADABLE = Row(TargetError, "the response body cannot be decoded: {said}", "Content-Encoding says otherwise")
_BAD_URL = Row(ActionConfigError, "invalid URL: {said}", "write http://host:port/path")

_OTHER_HOST = Row(
    TargetUnavailableError,
    "the TLS certificate of {origin} is for another host: {said}",
    "use the name in the certificate as host, or write verify_ssl: false",
)
_NO_PROXY = Row(
    TargetUnavailableError,
    "no connection through the proxy {proxy}: {said}",
    "is the proxy right? `proxy: false` or NO_PROXY goes direct",
)

TABLE: dict[type[BaseException], Row] = {
    # sockets
    ConnectionRefusedError: _REFUSED,
    ConnectionResetError: _BROKEN,
    ConnectionAbortedError: _BROKEN,
    BrokenPipeError: _BROKEN,
    socket.gaierror: Row(TargetUnavailableError, "unknown host {host}", "check the name; {said}"),
    OSError: UNEXPECTED,
    # TLS
    ssl.SSLCertVerificationError: Row(
        TargetUnavailableError,
        "the TLS certificate of {origin} is not trusted: {said}",
        "name its CA in verify_ssl or REQUESTS_CA_BUNDLE, or write verify_ssl: false",
    ),
    ssl.SSLError: Row(TargetUnavailableError, "no TLS with {origin}: {said}", "does the port speak https? try http://"),
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
    u3.HTTPError: UNEXPECTED,
    u3.PoolError: UNEXPECTED,
    u3.RequestError: UNEXPECTED,
    u3.SSLError: Row(TargetUnavailableError, "no TLS with {origin}: {said}"),
    u3.ProxyError: Row(TargetUnavailableError, "{said}"),
    u3.DecodeError: _UNREADABLE,
    u3.ProtocolError: _NOT_HTTP,
    u3.MaxRetryError: UNEXPECTED,
    u3.HostChangedError: UNEXPECTED,
    u3.TimeoutStateError: UNEXPECTED,
    u3.TimeoutError: UNEXPECTED,
    u3.ReadTimeoutError: UNEXPECTED,
    u3.ConnectTimeoutError: UNEXPECTED,
    u3.NewConnectionError: UNEXPECTED,
    u3.NameResolutionError: UNEXPECTED,
    u3.EmptyPoolError: UNEXPECTED,
    u3.FullPoolError: UNEXPECTED,
    u3.ClosedPoolError: UNEXPECTED,
    u3.LocationValueError: _BAD_URL,
    u3.LocationParseError: _BAD_URL,
    u3.URLSchemeUnknown: _BAD_URL,
    u3.ProxySchemeUnknown: Row(ActionConfigError, "invalid proxy: {said}", "write http://proxy:port"),
    u3.ProxySchemeUnsupported: Row(ActionConfigError, "invalid proxy: {said}", "write http://proxy:port"),
    u3.ResponseError: UNEXPECTED,
    u3.ResponseNotChunked: _NOT_HTTP,
    u3.BodyNotHttplibCompatible: UNEXPECTED,
    u3.IncompleteRead: _BROKEN,
    u3.InvalidChunkLength: _NOT_HTTP,
    u3.InvalidHeader: _NOT_HTTP,
    u3.HeaderParsingError: _NOT_HTTP,
    u3.UnrewindableBodyError: UNEXPECTED,
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
    causes = list(chain(exc))
    if any(isinstance(each, (TimeoutError, u3.TimeoutError)) for each in causes) and not _refused(causes):
        return _timed_out(causes, sending)
    cause, row = _row(causes)
    if sending.proxy is not None and any(isinstance(each, u3.ProxyError) for each in causes):
        row = _NO_PROXY
    facts = {"origin": sending.origin, "host": sending.host, "proxy": sending.proxy, "said": said(cause)}
    return row.make(sending.what, facts)


def _row(causes: list[BaseException]) -> tuple[BaseException, Row]:
    """Find the error nearest to the root that the table knows."""
    for cause in reversed(causes):
        for kind in type(cause).__mro__:
            if kind in TABLE:
                return cause, _special(cause) or TABLE[kind]
    return causes[0], UNEXPECTED


def _timed_out(causes: list[BaseException], sending: Sending) -> ActionTimeoutError:
    stalled = next((each for each in causes if isinstance(each, Stalled)), None)
    waiting_for = sending.waiting_for
    if stalled is not None and stalled.waiting_for != "the response":
        waiting_for = stalled.waiting_for
    hint = _TIMEOUT_HINTS.get(waiting_for, "is the name server reachable?")
    return timed_out(sending.what, sending.waited, waiting_for, sending.deadline, hint)


_TIMEOUT_HINTS = {
    "a connection": "are host and port right? a firewall that drops packets looks like this",
    "the TLS handshake": "does the port speak https?",
    "the server to take the request": "the server stopped reading; does it accept a body of this size?",
    "the response headers": "the server is connected but does not answer; if it needs longer, raise `timeout`",
    "the rest of the body": "the server began to answer but did not finish; if it needs longer, raise `timeout`",
}


def _refused(causes: list[BaseException]) -> bool:
    """NewConnectionError is a ConnectTimeoutError for urllib3, though no time-out."""
    return any(isinstance(each, u3.NewConnectionError) for each in causes) and not any(
        isinstance(each, TimeoutError) for each in causes
    )


def _special(cause: BaseException) -> Row | None:
    """Tell apart what one class stands for."""
    if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code in _HOSTNAME_MISMATCH:
        return _OTHER_HOST
    return None
