"""The one way HTTP goes out: over urllib3's pools, once, until the deadline, with every error in our words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from urllib3 import HTTPHeaderDict, PoolManager, ProxyManager, Retry, Timeout
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.response import BaseHTTPResponse

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionConfigError, TargetError
from pytest_testmesh.integrations._sockets import bounded_by
from pytest_testmesh.integrations._tls import TLSOptions, tls_context
from pytest_testmesh.integrations.http.connection import HTTPPool, HTTPSPool
from pytest_testmesh.integrations.http.environment import Netrc
from pytest_testmesh.integrations.http.failures import MAPPED, Sending, failure
from pytest_testmesh.integrations.http.request import Request, basic
from pytest_testmesh.integrations.http.target import Target, parse_target
from pytest_testmesh.polling import Deadline
from pytest_testmesh.units import format_duration

MAX_BODY_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_NO_LIMIT = Timeout(None)
_ONLY_ONCE = Retry(False, redirect=False)
_POOLS = {"http": HTTPPool, "https": HTTPSPool}


@dataclass(frozen=True, slots=True)
class Route:
    """How to get to a server: *tls* for https, through *proxy* or None for direct."""

    tls: TLSOptions | None
    proxy: str | None


@dataclass(frozen=True, slots=True)
class Response:
    """What came back for one request, the body whole and without its content encoding."""

    status: int
    reason: str
    headers: HTTPHeaderDict
    body: bytes


class HttpClient:
    """Connection pools and the logins of netrc, for one session."""

    def __init__(self) -> None:
        self.netrc = Netrc()
        self._managers: dict[Route, PoolManager] = {}
        self._pools: dict[tuple[Route, str, str, int], HTTPConnectionPool] = {}

    @classmethod
    def of(cls, context: ActionContext) -> HttpClient:
        """Return the client of the session, closed with it."""
        return context.session.get(cls, cls, cls.close)

    def close(self) -> None:
        """Close every connection; of pools that are only forgotten, an error that is still held keeps some open."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        self._managers.clear()

    def send(self, request: Request, route: Route, deadline: Deadline) -> Response:
        """Send *request* once and read the whole response.

        Nothing is ever sent twice, not even on a kept-alive connection that the server has closed.

        Raises:
            ActionTimeoutError: The deadline came; says what was waited for.
            TargetUnavailableError: No connection, or it broke.
            TargetError: The answer is not HTTP or larger than `MAX_BODY_BYTES`.
            ActionConfigError: The proxy cannot be used.
        """
        started = time.monotonic()
        pool = self._pool(request.target, route)
        waiting_for = "the response headers"
        try:
            with bounded_by(deadline):
                raw = pool.urlopen(
                    request.method,
                    _request_line_target(request.target, route),
                    body=request.body,
                    headers=_wire(request.headers),
                    retries=_ONLY_ONCE,
                    redirect=False,
                    assert_same_host=False,
                    timeout=_NO_LIMIT,
                    preload_content=False,
                )
                waiting_for = "the rest of the body"
                body = _read(raw, request)
        except MAPPED as exc:
            raise failure(exc, _sending(request, route, deadline, waiting_for, started)) from exc
        return Response(raw.status, raw.reason or "", raw.headers, body)

    def _pool(self, target: Target, route: Route) -> HTTPConnectionPool:
        key = (route, target.scheme, target.host, target.port)
        pool = self._pools.get(key)
        if pool is None:
            manager = self._managers.get(route)
            if manager is None:
                manager = self._managers[route] = pool_manager(route)
            pool = self._pools[key] = manager.connection_from_host(target.host, target.port, scheme=target.scheme)
        return pool


def pool_manager(route: Route) -> PoolManager:
    """Return pools of connections that stop at the deadline, never ask twice, and take *route*.

    Raises:
        ActionConfigError: The proxy, or a file for TLS, cannot be used.
    """
    options: dict[str, Any] = {"num_pools": 10_000, "maxsize": 10}
    if route.tls is not None:
        options["ssl_context"] = tls_context(route.tls)
    if route.proxy is None:
        manager = PoolManager(**options)
    else:
        manager = _proxy_manager(route.proxy, options)
    manager.pool_classes_by_scheme = _POOLS
    return manager


def _proxy_manager(proxy: str, options: dict[str, Any]) -> ProxyManager:
    if proxy.lower().startswith("socks"):
        raise ActionConfigError(
            f"proxy {proxy}: SOCKS proxies are not supported", hint="write `proxy: false` or unset ALL_PROXY"
        )
    target = parse_target(proxy)
    headers = {} if target.credentials is None else {"Proxy-Authorization": basic(*target.credentials)}
    return ProxyManager(
        f"{target.scheme}://{_bracketed(target.host)}:{target.port}",
        proxy_headers=headers,
        proxy_ssl_context=options.get("ssl_context"),
        **options,
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _wire(headers: Mapping[str, str]) -> dict[str, Any]:
    """Values that are not ASCII go out as UTF-8; http.client would take latin-1 or fail."""
    return {name: value if value.isascii() else value.encode() for name, value in headers.items()}


def _request_line_target(target: Target, route: Route) -> str:
    """An HTTP proxy wants the whole URL (RFC 9112, 3.2.2), everyone else the path."""
    if route.proxy is not None and target.scheme == "http":
        return f"http://{_bracketed(target.host)}:{target.port}{target.path}"
    return target.path


def _read(raw: BaseHTTPResponse, request: Request) -> bytes:
    """Read the body, at most `MAX_BODY_BYTES` of it; afterwards the connection is back in its pool or closed."""
    declared = raw.headers.get("content-length", "")
    try:
        if declared.isdecimal() and request.method != "HEAD":
            if int(declared) > MAX_BODY_BYTES:
                raise _too_large(request)
            if "content-encoding" not in raw.headers and "transfer-encoding" not in raw.headers:
                return raw.read()
        return b"".join(_bounded_chunks(raw, request))
    finally:
        # a body that was read to its end has given the connection back already
        if raw.connection is not None:
            raw.close()


def _bounded_chunks(raw: BaseHTTPResponse, request: Request) -> Iterator[bytes]:
    size_bytes = 0
    while chunk := raw.read(_CHUNK_BYTES):
        size_bytes += len(chunk)
        if size_bytes > MAX_BODY_BYTES:
            raise _too_large(request)
        yield chunk


def _too_large(request: Request) -> TargetError:
    return TargetError(
        f"{request.method} {request.target.url}: the response is larger than {MAX_BODY_BYTES // 1024 // 1024} MiB",
        hint="a step keeps its response in memory; ask the server for less",
    )


def _sending(request: Request, route: Route, deadline: Deadline, waiting_for: str, started: float) -> Sending:
    return Sending(
        what=f"{request.method} {request.target.url}",
        host=request.target.host,
        origin=request.target.shown_origin,
        proxy=route.proxy,
        deadline=deadline,
        waiting_for=waiting_for,
        waited=format_duration(time.monotonic() - started),
    )
