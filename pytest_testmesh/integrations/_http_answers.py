"""What HTTP APIs answer: JSON, or one of the statuses that a table turns into our errors."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar

from pytest_testmesh.errors import TargetError
from pytest_testmesh.integrations._failures import Row
from pytest_testmesh.integrations._json import parse_json
from pytest_testmesh.integrations.http.client import Response
from pytest_testmesh.units import format_duration
from pytest_testmesh.values import one_line, shorten

T = TypeVar("T")

_LONGEST_SAID = 300
_SKEW_S = 5.0

STATUSES: Mapping[int, Row] = {
    400: Row(TargetError, "{service} does not understand the request: {said}", code="BAD_REQUEST"),
    401: Row(TargetError, "the login is refused: {said}", "{login}", code="AUTHENTICATION_FAILED"),
    403: Row(TargetError, "this is not allowed: {said}", "{login}", code="PERMISSION_DENIED"),
    404: Row(TargetError, "not found: {said}", "is {url} the base address of a {service}?", code="NOT_FOUND"),
    405: Row(TargetError, "{said}", "is {url} the base address of a {service}?", code="NOT_FOUND"),
    407: Row(TargetError, "the proxy wants a login: {said}", "put user and password into the URL of `proxy`"),
    414: Row(TargetError, "the request is too long: {said}", "ask in fewer words"),
    422: Row(TargetError, "{service} cannot do this: {said}", code="BAD_REQUEST"),
    429: Row(TargetError, "too many requests: {said}", "{wait}", code="RATE_LIMITED"),
    502: Row(TargetError, "{said}", "the proxy before {service} does not reach it", code="SERVICE_UNAVAILABLE"),
    503: Row(TargetError, "{said}", "{service} is there but not ready; {wait}", code="SERVICE_UNAVAILABLE"),
    504: Row(TargetError, "{said}", "the proxy before {service} got no answer in time", code="SERVICE_UNAVAILABLE"),
}
"""What each status means that is no answer; those that are not here are told as they are."""
_REDIRECT = Row(
    TargetError, "redirects to {location}", "write that address; if it is a login page, credentials", code="REDIRECT"
)
_OTHER = Row(TargetError, "{said}", "its log may say why", code="SERVER_ERROR")
_EVERYWHERE: Mapping[str, Row] = {
    # Loki, Tempo and Mimir
    r"no org id": Row(
        TargetError, "{service} wants a tenant: {said}", "name it: `tenant: my-team`", code="AUTHENTICATION_FAILED"
    ),
}
_NOT_JSON = Row(
    TargetError, "the answer is not JSON: {said}", "is {url} the base address of a {service}?", code="NOT_JSON"
)
_NOT_UNDERSTOOD = Row(
    TargetError,
    "the answer is not as {service} gives it: {said}",
    "{why}; is {url} a {service}?",
    code="NOT_UNDERSTOOD",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the *service* with the base address *url* answered; *where* begins messages about it."""

    where: str
    service: str
    url: str
    response: Response
    received_at_s: float = field(default_factory=time.time)

    @property
    def status(self) -> int:
        """The status code."""
        return self.response.status

    @property
    def text(self) -> str:
        """The body as text."""
        return _text(self.response)

    @property
    def facts(self) -> dict[str, object]:
        """What the rows of `STATUSES` can name of it."""
        return {"service": self.service, "url": self.url}

    def json(self) -> dict[str, Any]:
        """Return the body parsed, whatever its media type says; APIs like these answer with objects.

        Raises:
            TargetError: It is no JSON object.
        """
        try:
            parsed = parse_json(self.text)
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            raise _NOT_JSON.make(self.where, {**self.facts, "said": _beginning(self.text)})
        return parsed

    def read(self, reader: Callable[[Mapping[str, Any]], T]) -> T:
        """Return what *reader* makes of the JSON.

        Raises:
            TargetError: It is no JSON object, or not of the form that *reader* knows.
        """
        parsed = self.json()
        try:
            return reader(parsed)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as exc:
            row = _NOT_UNDERSTOOD
            raise row.make(self.where, {**self.facts, "said": _beginning(self.text), "why": repr(exc)}) from exc

    @property
    def server_ahead_s(self) -> float | None:
        """How far the server's clock is ahead of ours, to about a second; None where it does not tell."""
        try:
            return parsedate_to_datetime(self.response.headers["date"]).timestamp() - self.received_at_s
        except (KeyError, ValueError, TypeError):
            return None

    def clock_hint(self) -> Iterator[str]:
        """Say so if that is so far that a range read from our clock may miss what the server took in."""
        ahead_s = self.server_ahead_s
        if ahead_s is not None and abs(ahead_s) > _SKEW_S:
            off = f"{format_duration(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'}"
            yield f"the clock of {self.url} is {off} this machine's; the range was read from this machine's"


def row_of_status(status: int) -> Row:
    """Return what a status from 300 on means."""
    return STATUSES.get(status) or (_REDIRECT if status < 400 else _OTHER)


def by_words(rows: Mapping[str, Row]) -> Callable[[str], Row | None]:
    """Return what tells a refusal by its words: the row of the first pattern in *rows* that is found in them."""
    known = {**rows, **_EVERYWHERE}
    return lambda said: next((row for words, row in known.items() if re.search(words, said)), None)


def said_by(response: Response) -> str:
    """Return the server's own words for what went wrong in one line, else the status."""
    text = _text(response).strip()
    try:
        found = _message(parse_json(text))
    except (ValueError, RecursionError):
        found = text
    status = f"{response.status} {response.reason or _phrase(response.status)}".strip()
    if not found or found.startswith("<"):  # a page for people
        return status
    return shorten(one_line(found), _LONGEST_SAID)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _message(value: Any) -> str:
    """Find the text in ``{error: text}``, ``{message: text}``, ``{errors: [{msg: text}]}`` and the like."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        return _message(value[0])
    if isinstance(value, Mapping):
        return next((found for key in _MESSAGES if (found := _message(value.get(key)))), "")
    return ""


_MESSAGES = ("error", "message", "msg", "errors", "error_description")


def _text(response: Response) -> str:
    return response.body.decode("utf-8", "replace")


def _beginning(text: str) -> str:
    if text.lstrip().startswith("<"):
        return "a web page"
    return shorten(one_line(text)) if text else "nothing"
