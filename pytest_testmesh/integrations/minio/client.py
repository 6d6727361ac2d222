"""The client of minio over sockets that stop at the deadline: each request goes out once, each error in our words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from minio import Minio
from urllib3 import Retry, Timeout

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionConfigError, MeshError
from pytest_testmesh.integrations._clients import ClientPool
from pytest_testmesh.integrations._sockets import bounded_by
from pytest_testmesh.integrations._tls import tls_options
from pytest_testmesh.integrations.http.client import Route, pool_manager
from pytest_testmesh.integrations.http.environment import Proxies
from pytest_testmesh.integrations.http.failures import Sending
from pytest_testmesh.integrations.minio.address import Address, parse_address
from pytest_testmesh.integrations.minio.calls import Calls
from pytest_testmesh.integrations.minio.failures import MAPPED, Asking, failure
from pytest_testmesh.integrations.minio.names import Place
from pytest_testmesh.polling import Deadline
from pytest_testmesh.units import format_duration

_ONLY_ONCE: Mapping[str, Any] = {"retries": Retry(False, redirect=False), "timeout": Timeout(None)}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What clients are pooled by."""

    address: Address
    route: Route


class S3:
    """One client, used by one step at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._http = pool_manager(endpoint.route)
        self._http.connection_pool_kw.update(_ONLY_ONCE)
        self._minio = self._connected()

    def close(self) -> None:
        """Close its connections."""
        # clear() alone leaves that to the collector: an S3Error that is still referred to holds its pool
        for key in self._http.pools.keys():
            pool = self._http.pools.get(key)
            if pool is not None:
                pool.close()
        self._http.clear()

    @contextmanager
    def asking(self, verb: str, place: Place, deadline: Deadline) -> Iterator[Calls]:
        """Give what can be asked for until *deadline*.

        Raises:
            ActionConfigError: The server or the client refuses a name.
            ActionTimeoutError: *deadline* came.
            TargetUnavailableError: No connection, or it broke.
            TargetError: The server said no, or is no S3.
        """
        started = time.monotonic()
        calls = Calls(self._minio, place, f"{verb} {place.shown} at {self._endpoint.address.origin}")
        try:
            with bounded_by(deadline):
                yield calls
        except MAPPED as exc:
            raise failure(exc, self._asking(calls, deadline, time.monotonic() - started)) from exc
        finally:
            calls.duration_s = time.monotonic() - started

    def _asking(self, calls: Calls, deadline: Deadline, waited_s: float) -> Asking:
        address = self._endpoint.address
        sending = Sending(
            what=calls.where,
            host=address.target.host,
            origin=address.origin,
            proxy=self._endpoint.route.proxy,
            deadline=deadline,
            waiting_for=calls.waiting_for,
            waited=format_duration(waited_s),
        )
        return Asking(place=calls.place, address=address, sending=sending)

    def _connected(self) -> Minio:
        address = self._endpoint.address
        try:
            minio = _Minio(
                address.origin,
                access_key=address.access_key,
                secret_key=address.secret_key,
                session_token=address.session_token,
                secure=address.tls,
                region=address.region,
                http_client=self._http,
            )
        except ValueError as exc:
            raise ActionConfigError(f"the endpoint {address.origin} cannot be used: {exc}") from exc
        if address.path_style is True:
            minio.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
        elif address.path_style is False:
            minio.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
        return minio


class _Minio(Minio):
    """Keeps the cause of an upload that failed: cleaning up after it may fail, too, and would be told in its place."""

    def _abort_multipart_upload(self, bucket_name: str, object_name: str, upload_id: str) -> None:
        with suppress(*MAPPED):
            super()._abort_multipart_upload(bucket_name, object_name, upload_id)


def find_endpoint(config: Mapping[str, Any], context: ActionContext) -> Endpoint:
    """Return where and how to connect; its secrets are masked from now on.

    Raises:
        ActionConfigError: The address cannot be used.
    """
    address = parse_address(config, context.settings)
    for secret in (address.secret_key, address.session_token):
        context.hide(secret)
    given = config.get("proxy", True)
    proxy = context.item.get(Proxies, Proxies).find(address.target) if given is True else given or None
    tls = tls_options(config, context.flow_dir) if address.tls or (proxy or "").startswith("https:") else None
    return Endpoint(address, Route(tls, proxy))


@contextmanager
def lent(endpoint: Endpoint, context: ActionContext, deadline: Deadline) -> Iterator[S3]:
    """Lend a client of the session to one step."""
    pool = context.session.get(S3, _make_pool, ClientPool.close)
    with pool.lend(endpoint, deadline) as client:
        yield client


def _make_pool() -> ClientPool[Endpoint, S3]:
    return ClientPool(
        lambda endpoint, _deadline: S3(endpoint),
        # urllib3 looks at each connection before it uses it, and drops one that broke
        is_alive=lambda client: True,
        close=S3.close,
        survives=lambda client, error: isinstance(error, MeshError),
    )
