"""Connected clients, kept for the session: a step does not pay for a connection that an earlier step made."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from pytest_testmesh.errors import TargetError
from pytest_testmesh.polling import Deadline

K = TypeVar("K", bound=Hashable)
C = TypeVar("C")


class ClientPool(Generic[K, C]):
    """The clients of one service that no step uses right now, by their settings.

    *connect* makes one, *is_alive* says quickly, without asking the server, whether an idle one can be used: the
    server may have closed it meanwhile. *survives* says whether a client can be used again after an error in the block
    that it was lent to. Kept in ``context.session``. All methods may be called from any thread.
    """

    def __init__(
        self,
        connect: Callable[[K, Deadline], C],
        *,
        is_alive: Callable[[C], bool],
        close: Callable[[C], object],
        survives: Callable[[C, BaseException], bool] = lambda client, error: isinstance(error, TargetError),
    ) -> None:
        self._connect = connect
        self._is_alive = is_alive
        self._close = close
        self._survives = survives
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._idle: dict[K, list[C]] = {}
        self._parents: dict[K, list[C]] = {}

    @contextmanager
    def lend(self, settings: K, deadline: Deadline) -> Iterator[C]:
        """Lend a client to one step.

        It is kept afterwards, also when the block raises what the client survives: by default `TargetError`, since a
        server that answers "no" is still there. After any other error it is closed.
        """
        client = self._take(settings)
        if client is None:
            client = self._connect(settings, deadline)
        whole = False
        try:
            yield client
            whole = True
        except BaseException as exc:
            whole = self._survives(client, exc)
            raise
        finally:
            if whole:
                self._give_back(settings, client)
            else:
                self._close(client)

    def close(self) -> None:
        """Close all idle clients."""
        with self._lock:
            self._drop_after_fork()
            idle, self._idle = self._idle, {}
        for clients in idle.values():
            for client in clients:
                self._close(client)

    def _take(self, settings: K) -> C | None:
        while True:
            with self._lock:
                self._drop_after_fork()
                clients = self._idle.get(settings)
                client = clients.pop() if clients else None
            if client is None or self._is_alive(client):
                return client
            self._close(client)

    def _give_back(self, settings: K, client: C) -> None:
        with self._lock:
            self._idle.setdefault(settings, []).append(client)

    def _drop_after_fork(self) -> None:
        """Set the parent's connections aside without closing them: a goodbye would end them for the parent, too.

        They are kept, since some clients say goodbye when they are no longer referred to.
        """
        if self._owner != os.getpid():
            self._owner = os.getpid()
            self._parents, self._idle = self._idle, {}
