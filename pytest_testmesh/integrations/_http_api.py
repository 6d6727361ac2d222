"""Questions to the HTTP APIs of services that answer JSON, and one table of what it means where they do not."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionConfigError, ActionError
from pytest_testmesh.integrations._failures import Row
from pytest_testmesh.integrations._http_answers import Answer, row_of_status, said_by
from pytest_testmesh.integrations._tls import tls_options
from pytest_testmesh.integrations.http.auth import Tokens, authorize
from pytest_testmesh.integrations.http.client import HttpClient, Response, Route
from pytest_testmesh.integrations.http.environment import Proxies
from pytest_testmesh.integrations.http.request import Request, basic, build_request
from pytest_testmesh.integrations.http.target import Target, parse_target, text_of
from pytest_testmesh.model import EMPTY
from pytest_testmesh.polling import Deadline

TENANT = "X-Scope-OrgID"
_LONGEST_URL = 4000
"""Servers and proxies take 8 KiB of request line and headers; the rest is for tokens and path prefixes."""

RowOf = Callable[[str], "Row | None"]
"""``row_of(said)``: what a server's words mean to one service, or None where the status alone tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How requests get to a server and what they carry: the keys of ``API_PROPERTIES`` in *config*.

    *hide* is told each secret that reports must mask.
    """

    client: HttpClient
    config: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    folder: Path = field(default_factory=Path)
    proxies: Callable[[], Proxies] = Proxies
    tokens: Callable[[], Tokens] = Tokens
    hide: Callable[[str], None] = lambda secret: None

    @classmethod
    def of(cls, config: Mapping[str, Any], context: ActionContext) -> Access:
        """Return the access of one step."""
        return cls(
            client=HttpClient.of(context),
            config=config,
            folder=context.flow_dir,
            proxies=lambda: context.item.get(Proxies, Proxies),
            tokens=lambda: context.item.get(Tokens, Tokens),
            hide=context.hide,
        )

    def route(self, target: Target) -> Route:
        """Return the way to *target*, through the proxy that the config or the environment names."""
        given = self.config.get("proxy", True)
        proxy = self.proxies().find(target) if given is True else given or None
        if target.scheme == "https" or (proxy is not None and proxy.startswith("https:")):
            return Route(tls_options(self.config, self.folder), proxy)
        return Route(None, proxy)


class HttpApi:
    """The API of one server, whose base address is *url*; credentials in it are used and never shown."""

    def __init__(
        self,
        service: str,
        url: str,
        access: Access,
        row_of: RowOf = lambda said: None,
        headers: Mapping[str, str] = EMPTY,
    ) -> None:
        target = parse_target(url)
        self.service = service
        self.url = _base(target)
        self._login = target.credentials
        self._access = access
        self._row_of = row_of
        self._headers = {**headers, **_headers(access.config)}

    def ask(
        self,
        path: str,
        params: Mapping[str, Any] = EMPTY,
        *,
        deadline: Deadline,
        form: bool = False,
        returned: Container[int] = (),
    ) -> Answer:
        """Ask once: GET, or a POST of a form where *form* says that the server takes it and the URL would be too long.

        A list in *params* repeats its name, None leaves it out. Redirects are not followed. Statuses from 300 on are
        errors, but for those in *returned*.

        Raises:
            ActionConfigError: The config cannot be sent.
            ActionTimeoutError: The deadline came.
            TargetUnavailableError: No connection, or it broke.
            TargetError: The server says no.
        """
        request = self._request(path, params, form)
        where = f"{request.method} {self.url}{path}"
        authorized = self._authorized(request, deadline)
        response = self._send(authorized, where, deadline)
        answer = Answer(where=where, service=self.service, url=self.url, response=response)
        if answer.status < 300 or answer.status in returned:
            return answer
        if answer.status == 401 and "auth" in self._access.config:
            self._access.tokens().forget(self._access.config["auth"])
        raise self._refusal(answer, authorized)

    def _request(self, path: str, params: Mapping[str, Any], form: bool) -> Request:
        encoded = _encoded(params)
        url = self.url + path
        config = {"url": f"{url}?{encoded}" if encoded else url, "headers": self._headers}
        if form and len(config["url"]) > _LONGEST_URL:
            config = {"method": "POST", "url": url, "form": params, "headers": self._headers}
        return build_request(config, self._access.folder)

    def _authorized(self, request: Request, deadline: Deadline) -> Request:
        access = self._access
        auth = access.config.get("auth")
        if auth is not None:
            return authorize(request, auth, access.tokens, lambda ask: self._fetch_token(ask, deadline), access.hide)
        login = self._login or access.client.netrc.login(request.target.host)
        if login is None or request.has_header("authorization"):
            return request
        access.hide(login[1])
        return request.with_header("Authorization", basic(*login))

    def _fetch_token(self, request: Request, deadline: Deadline) -> Response:
        return self._access.client.send(request, self._access.route(request.target), deadline)

    def _send(self, request: Request, where: str, deadline: Deadline) -> Response:
        try:
            return self._access.client.send(request, self._access.route(request.target), deadline)
        except ActionError as exc:
            # a query makes a URL that nobody can read
            message = exc.message.replace(f"{request.method} {request.target.url}", where)
            raise type(exc)(message, hint=exc.hint, code=exc.code, details=exc.details) from exc.__cause__

    def _refusal(self, answer: Answer, request: Request) -> ActionError:
        headers = answer.response.headers
        wait = headers.get("retry-after")
        known = request.has_header("authorization") or bool(request.secret_headers)
        said = said_by(answer.response)
        facts = {
            **answer.facts,
            "said": said,
            "login": "are the credentials right, and may they do this?" if known else _NO_LOGIN,
            "wait": f"it asks to wait (Retry-After: {wait})" if wait else "give it time",
            "location": headers.get("location", "nowhere").partition("?")[0],
        }
        row = self._row_of(said) or row_of_status(answer.status)
        return row.make(answer.where, facts)


_NO_LOGIN = "no credentials were sent: `auth` takes type basic with username and password, or type bearer with token"


def _base(target: Target) -> str:
    """Return the URL without credentials and closing slash, to which paths can be added.

    Raises:
        ActionConfigError: It has a query.
    """
    url = target.url if target.userinfo is None else target.url.replace(f"{target.userinfo}@", "", 1)
    if urlsplit(url).query:
        raise ActionConfigError(
            f"url {url.partition('?')[0]} goes on with ?...", hint="write the base address, http://host:port"
        )
    return url.rstrip("/?")


def _headers(config: Mapping[str, Any]) -> dict[str, Any]:
    headers = {"Accept": "application/json", **(config.get("headers") or {})}
    tenant = config.get("tenant")
    if tenant is None:
        return headers
    if any(name.lower() == TENANT.lower() for name in headers):
        raise ActionConfigError(f"both config.tenant and config.headers.{TENANT} are given", hint="remove one of them")
    return {**headers, TENANT: tenant}


def _encoded(params: Mapping[str, Any]) -> str:
    pairs = [
        (name, text_of(each))
        for name, value in params.items()
        for each in (value if isinstance(value, list) else [value])
        if each is not None
    ]
    return urlencode(pairs, quote_via=quote, safe="")
