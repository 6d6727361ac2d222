"""``http_request`` at work: builds the request, follows redirects, keeps cookies, shapes the result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionConfigError, TargetError
from pytest_testmesh.integrations._durations import own_deadline
from pytest_testmesh.integrations._tls import tls_options
from pytest_testmesh.integrations.http.auth import Tokens, authorize
from pytest_testmesh.integrations.http.client import HttpClient, Response, Route
from pytest_testmesh.integrations.http.cookies import Cookies
from pytest_testmesh.integrations.http.environment import Login, Proxies
from pytest_testmesh.integrations.http.request import Request, basic, build_request
from pytest_testmesh.integrations.http.response import Headers, decode_body
from pytest_testmesh.integrations.http.target import Target
from pytest_testmesh.integrations.http.texts import Received, Sent
from pytest_testmesh.polling import Deadline

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def run(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Send the request of *config* and return its response.

    Config and result: ``SCHEMA`` and ``RESULT`` of this package.

    Raises:
        ActionConfigError: The config cannot be sent.
        ActionTimeoutError: ``timeout`` or the context's deadline came.
        TargetUnavailableError: No connection, or it broke.
        TargetError: Not HTTP, too large, too many redirects.
    """
    return perform(config, context, own_deadline(config, context.deadline, "the request"))


def perform(config: Mapping[str, Any], context: ActionContext, deadline: Deadline) -> dict[str, Any]:
    """Do what `run` does, until *deadline*."""
    return _Conversation(config, context, deadline).result()


class _Conversation:
    """One request with its redirects."""

    def __init__(self, config: Mapping[str, Any], context: ActionContext, deadline: Deadline) -> None:
        self._config = config
        self._context = context
        self._deadline = deadline
        self._client = HttpClient.of(context)
        self._cookies = context.item.get(Cookies, Cookies)
        self._set_cookies: dict[str, str] = {}
        self._hops: list[tuple[int, str]] = []

    def result(self) -> dict[str, Any]:
        """Send, follow, and shape the result."""
        request = self._traced(self._authorized(build_request(self._config, self._context.flow_dir)))
        sent = self._with_cookies(request)
        self._context.exchange.sent = Sent(sent)
        started = time.perf_counter()
        response = self._send(sent)
        follow, limit = self._config.get("follow_redirects", True), self._config.get("max_redirects", 10)
        while follow and response.status in _REDIRECTS and "location" in response.headers:
            if len(self._hops) >= limit:
                raise self._too_many(request, limit)
            request = self._next(request, response)
            response = self._send(self._with_cookies(request))
        if response.status == 401 and "auth" in self._config:
            self._tokens().forget(self._config["auth"])
        return self._shaped(request, response, time.perf_counter() - started)

    def _shaped(self, request: Request, response: Response, duration_s: float) -> dict[str, Any]:
        content_type = response.headers.get("content-type", "")
        duration_ms = round(duration_s * 1000)
        result = {
            "status": response.status,
            "body": decode_body(response.body, content_type),
            "headers": Headers(response.headers.itermerged()),
            "cookies": self._set_cookies,
            "duration_ms": duration_ms,
            "time": duration_ms,
            "content_type": content_type,
            "url": request.target.url,
        }
        self._context.exchange.received = Received(result, response.reason, tuple(self._hops))
        return result

    def _authorized(self, request: Request) -> Request:
        auth = self._config.get("auth")
        if auth is not None:
            return authorize(request, auth, self._tokens, self._fetch_token, self._context.hide)
        if request.has_header("authorization"):
            return request
        if request.target.credentials is not None:
            return self._with_login(request, request.target.credentials)
        return self._with_netrc(request)

    def _traced(self, request: Request) -> Request:
        if self._context.traceparent is None or request.has_header("traceparent"):
            return request
        return request.with_header("traceparent", self._context.traceparent)

    def _tokens(self) -> Tokens:
        return self._context.item.get(Tokens, Tokens)

    def _with_netrc(self, request: Request) -> Request:
        login = self._client.netrc.login(request.target.host)
        return request if login is None else self._with_login(request, login)

    def _with_login(self, request: Request, login: Login) -> Request:
        self._context.hide(login[1])
        return request.with_header("Authorization", basic(*login))

    def _fetch_token(self, request: Request) -> Response:
        self._context.exchange.sent = Sent(request)
        return self._send(request)

    def _with_cookies(self, request: Request) -> Request:
        header = self._cookies.header(request.target.url, request.cookies)
        if header is None or request.has_header("cookie"):
            return request
        return request.with_header("Cookie", header)

    def _send(self, request: Request) -> Response:
        response = self._client.send(request, self._route(request.target), self._deadline)
        if "set-cookie" in response.headers:
            self._set_cookies.update(self._cookies.store(request.target.url, response.headers))
        return response

    def _route(self, target: Target) -> Route:
        given = self._config.get("proxy", True)
        proxy = self._context.item.get(Proxies, Proxies).find(target) if given is True else given or None
        if target.scheme == "https" or (proxy is not None and proxy.startswith("https:")):
            return Route(tls_options(self._config, self._context.flow_dir), proxy)
        return Route(None, proxy)

    def _next(self, request: Request, response: Response) -> Request:
        location = response.headers["location"]
        try:
            target = request.target.redirected(location)
        except ActionConfigError as exc:
            raise TargetError(
                f"{request.method} {request.target.url}: redirects to where no request can go: {exc.message}",
                hint="write follow_redirects: false to look at the redirect itself",
            ) from exc
        self._hops.append((response.status, target.url))
        request = request.redirected(response.status, target)
        return request if request.has_header("authorization") else self._with_netrc(request)

    def _too_many(self, request: Request, limit: int) -> TargetError:
        return TargetError(
            f"{request.method} {request.target.url}: more than {limit} redirects",
            code="TOO_MANY_REDIRECTS",
            hint=f"the last led to {self._hops[-1][1]}" if self._hops else "max_redirects is 0",
        )
