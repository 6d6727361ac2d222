"""Rows of the tables that turn a driver's errors into ours, and what all services tell alike."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile

from pytest_testmesh.errors import ActionError, ActionTimeoutError, TargetUnavailableError
from pytest_testmesh.polling import Deadline


@dataclass(frozen=True, slots=True)
class Row:
    """What an error means; *text* and *hint* may hold the ``{names}`` of facts, such as ``{said}``."""

    error: type[ActionError]
    text: str = "{said}"
    hint: str | None = None
    code: str | None = None

    def fill(self, facts: Mapping[str, object]) -> tuple[str, str | None]:
        """Return text and hint with *facts* in place of their names."""
        return self.text.format(**facts), self.hint and self.hint.format(**facts)

    def make(self, where: str, facts: Mapping[str, object]) -> ActionError:
        """Return the error; ``where: text`` is its first line."""
        text, hint = self.fill(facts)
        return self.error(f"{where}: {text}", hint=hint, code=self.code)


UNEXPECTED = Row(TargetUnavailableError)
BROKEN = Row(
    TargetUnavailableError,
    "the connection broke before the answer came",
    "did the server stop or restart? its log may say; what was asked for may have been done or not",
)
SOCKETS: Mapping[type[OSError], Row] = {
    ConnectionRefusedError: Row(
        TargetUnavailableError, "connection refused", "is {service} running? nothing listens on {origin}{default}"
    ),
    ConnectionResetError: BROKEN,
    ConnectionAbortedError: BROKEN,
    BrokenPipeError: BROKEN,
    socket.gaierror: Row(TargetUnavailableError, "unknown host {host}", "check the name; {said}"),
    ssl.SSLCertVerificationError: Row(
        TargetUnavailableError,
        "the TLS certificate is not accepted: {said}",
        "name its CA in verify_ssl, or write verify_ssl: false",
    ),
    ssl.SSLError: Row(TargetUnavailableError, "no TLS: {said}", "does the port speak TLS? try it without"),
    OSError: UNEXPECTED,
}
"""What sockets say; needs the facts service, host, origin (``host:port``), default (see `default_fact`) and said."""


def socket_row(exc: OSError) -> Row:
    """Return the row of `SOCKETS` for the error."""
    return next(SOCKETS[kind] for kind in type(exc).__mro__ if kind in SOCKETS)


def default_fact(is_default: bool, names: str) -> str:
    """Return what a hint adds of a server that nobody named; *names* are what names one, `` `url` or ... ``."""
    return f", which is the default: {names} names another" if is_default else ""


def timed_out(where: str, waited: str, waiting_for: str, deadline: Deadline, hint: str | None) -> ActionTimeoutError:
    """``where: timed out after 2s waiting for the response (timeout 2s of the command)``."""
    cause = f" ({deadline.cause})" if deadline.cause else ""
    return ActionTimeoutError(f"{where}: timed out after {waited} waiting for {waiting_for}{cause}", hint=hint)


_STALLED_HINTS = {
    "a connection": "are host and port right? a firewall that drops packets looks like this",
    "the TLS handshake": "nothing answers the TLS greeting: does the port speak TLS? try it without",
    "the server to take the request": "the server stopped reading; is it frozen?",
    "the response": "the server is connected but does not answer; is it frozen, or busy with a slow {work}?",
}


def stalled(
    where: str, waited: str, waiting_for: str, deadline: Deadline, work: str, port: str | None
) -> ActionTimeoutError:
    """`timed_out`, of a server to which one connection is held: what it is asked to do is called *work*.

    *port* is what the port should be, ``"the Bolt port"``, while the server has answered nothing on this connection.
    """
    hint = _STALLED_HINTS.get(waiting_for, "is the name server reachable?").format(work=work)
    if waiting_for == "the response" and port is not None:
        hint = f"{hint} it has answered nothing yet: is this {port}?"
    return timed_out(where, waited, waiting_for, deadline, hint)


def chain(exc: BaseException) -> Iterator[BaseException]:
    """Walk from *exc* to the root, by cause and into arguments, where urllib3 puts causes."""
    return _walk(exc, _cause)


def chain_since(handled: BaseException | None, exc: BaseException) -> Iterator[BaseException]:
    """As `chain`, also by context: drivers raise errors while they handle those of sockets, and do not say ``from``.

    It ends before *handled*, what was being handled when the step began: steps after a failure run while the error of
    an earlier one is, which is the context of all that is raised meanwhile.
    """
    return takewhile(lambda each: each is not handled, _walk(exc, lambda each: _cause(each) or each.__context__))


def _walk(exc: BaseException, below: Callable[[BaseException], BaseException | None]) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = exc
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = below(found)


def _cause(exc: BaseException) -> BaseException | None:
    # a group of neo4j's has one for each server of a cluster
    inside = (*exc.args, *getattr(exc, "exceptions", ()))
    return next((each for each in inside if isinstance(each, BaseException)), None) or exc.__cause__


def said(cause: BaseException) -> str:
    """Return the error's own words, without numbers and file names that help nobody."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return str(cause.verify_message).rstrip(".")
    if isinstance(cause, ssl.SSLError):
        return (cause.reason or str(cause)).replace("_", " ").lower()
    if isinstance(cause, OSError) and cause.strerror:
        return str(cause.strerror)
    return str(cause) or type(cause).__name__
