"""Connections of redis-py that end every wait at the deadline of the step, and never try anything twice."""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pytest_testmesh.integrations._sockets import connect
from pytest_testmesh.integrations._tls import TLSOptions, tls_context
from pytest_testmesh.integrations.redis.address import Address
from pytest_testmesh.integrations.redis.command import Command


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What connections are pooled by; *tls* is None in the clear."""

    address: Address
    tls: TLSOptions | None


class BoundedConnection(redis.Connection):
    """One connection, made by its first command inside ``bounded_by``.

    redis-py's own time-outs are for one read each: a reply that drips could outlast any deadline. Its retries, which
    are those of its clients, would turn a wrong password into seconds of waiting and one step into several commands.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        address = endpoint.address
        super().__init__(  # type: ignore[no-untyped-call]
            host=address.host,
            port=address.port,
            db=address.db,
            username=address.username,
            password=address.password,
            protocol=2,  # 3 begins with a HELLO of its own
            retry=Retry(NoBackoff(), 0),
        )
        # Without these, CLIENT SETINFO is not sent. They are attributes, since the parameters differ from 5.0 to 8.
        self.driver_info = None
        self.lib_name = self.lib_version = None
        self.is_new = True
        self._endpoint = endpoint

    def _connect(self) -> socket.socket:
        plain = connect(self.host, self.port)
        if self._endpoint.tls is None:
            return plain
        try:
            return tls_context(self._endpoint.tls).wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def ask(self, command: Command) -> Any:
        """Send one command and return the answer: bytes, a number, or None.

        Raises:
            redis.RedisError: The server said no, was not to be reached, or is no Redis; or the deadline came.
        """
        self.send_command(*command.words)  # type: ignore[no-untyped-call]
        try:
            answer = self.read_response(disable_decoding=True)
        except ValueError as exc:  # a length or a number that is none
            raise redis.InvalidResponse(str(exc)) from exc
        if not isinstance(answer, command.answers):
            self.disconnect()  # type: ignore[no-untyped-call]
            raise redis.InvalidResponse(f"{answer!r} is no answer to {command.name}")
        self.is_new = False
        return answer

    @property
    def is_idle(self) -> bool:
        """Whether the connection stands and nothing came in meanwhile: neither an answer too many nor a goodbye."""
        if self._sock is None:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)
