"""A common server that a test of faults may freeze and kill: afterwards it runs and serves again."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat

import pytest
from real_server import Server

from pytest_testmesh.polling import Deadline, attempts


class FragileServer:
    """*server*, which serves when a GET of *ready_url* is answered with 200."""

    def __init__(self, server: Server, ready_url: str) -> None:
        self.server = server
        self.url = server.url
        self._ready_url = ready_url

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop it in its tracks; it serves again afterwards."""
        with self.server.frozen():
            yield
        self.wait_until_it_serves()

    def kill(self) -> None:
        """End it without a chance to say goodbye."""
        os.kill(self.server.facts["pid"], signal.SIGKILL)

    def restart(self) -> None:
        """Start it again, after `kill`, and return when it serves."""
        self.server.restart()
        self.wait_until_it_serves()

    def runs(self) -> bool:
        """Whether its process is there."""
        return os.path.exists(f"/proc/{self.server.facts['pid']}")

    def wait_until_it_serves(self) -> None:
        """Return when it answers: a server takes connections before that."""
        said: object = None
        for _ in attempts(repeat(0.05), Deadline.after(120, "")):
            try:
                with urllib.request.urlopen(self._ready_url, timeout=30):
                    return
            except (urllib.error.URLError, OSError) as exc:
                said = exc
        pytest.fail(f"{self.server.name} does not come back: {said}")


@contextmanager
def fragile_server(server: Server, ready_url: str) -> Iterator[FragileServer]:
    """Give *server* to a test; skips where its pid is not known."""
    if server.facts.get("pid") is None:
        pytest.skip(f"the pid of {server.name} is not known to {server.source}")
    fragile = FragileServer(server, ready_url)
    try:
        yield fragile
    finally:
        if not fragile.runs():
            server.restart()
        fragile.wait_until_it_serves()
