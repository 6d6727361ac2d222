"""``redis.*`` at work: one command over a pooled connection, its answer as JSON."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Mapping
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.integrations._clients import ClientPool
from pytest_testmesh.integrations._durations import own_deadline
from pytest_testmesh.integrations._sockets import bounded_by
from pytest_testmesh.integrations._tls import tls_of_address
from pytest_testmesh.integrations.redis.address import parse_address
from pytest_testmesh.integrations.redis.command import (
    Command,
    del_command,
    exists_command,
    get_command,
    set_command,
)
from pytest_testmesh.integrations.redis.connection import BoundedConnection, Endpoint
from pytest_testmesh.integrations.redis.failures import MAPPED, Asking, failure
from pytest_testmesh.integrations.redis.texts import Received, Sent
from pytest_testmesh.units import format_duration


def get(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Return the text behind a key.

    Raises:
        TargetError: The key holds no string, or the server said no to something else; so do the other actions.
    """
    answer = _ask(get_command(config), config, context)
    if answer is None:
        return {"value": None, "exists": False, "binary": False}
    try:
        return {"value": answer.decode(), "exists": True, "binary": False}
    except UnicodeDecodeError:
        return {"value": base64.b64encode(answer).decode(), "exists": True, "binary": True}


def store(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Store a value under a key."""
    _ask(set_command(config), config, context)
    return {"ok": True}


def delete(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Delete keys."""
    return {"deleted": _ask(del_command(config), config, context)}


def exists(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Count keys."""
    command = exists_command(config)
    count = _ask(command, config, context)
    return {"exists": count == len(command.keys), "count": count}


def _ask(command: Command, config: Mapping[str, Any], context: ActionContext) -> Any:
    """Send *command* once and return the answer.

    Raises:
        ActionConfigError: The address cannot be used.
        ActionTimeoutError: ``timeout`` or the context's deadline came.
        TargetUnavailableError: No connection, or it broke.
        TargetError: The server said no.
    """
    endpoint = _endpoint(config, context)
    deadline = own_deadline(config, context.deadline, "the command")
    context.exchange.sent = Sent(command, endpoint.address)
    handled = sys.exc_info()[1]
    started = time.perf_counter()
    pool = context.session.get(BoundedConnection, _make_pool, ClientPool.close)
    with bounded_by(deadline), pool.lend(endpoint, deadline) as connection:
        try:
            answer = connection.ask(command)
        except MAPPED as exc:
            asking = Asking(
                command=command,
                address=endpoint.address,
                deadline=deadline,
                waited=format_duration(time.perf_counter() - started),
                first=connection.is_new,
                handled=handled,
            )
            raise failure(exc, asking) from exc
    context.exchange.received = Received(command, answer, time.perf_counter() - started)
    return answer


def _endpoint(config: Mapping[str, Any], context: ActionContext) -> Endpoint:
    address = parse_address(config, context.settings)
    context.hide(address.password)
    return Endpoint(address, tls_of_address(address.tls, address.verify, config, context.flow_dir))


def _make_pool() -> ClientPool[Endpoint, BoundedConnection]:
    return ClientPool(
        lambda endpoint, _deadline: BoundedConnection(endpoint),
        is_alive=lambda connection: connection.is_idle,
        close=lambda connection: connection.disconnect(),  # type: ignore[no-untyped-call]
    )
