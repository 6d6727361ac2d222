"""Servers that end in the middle of a request: after it has reached them, before they answer."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from meanwhile import once
from real_server import Server, wait_until_stopped

_ESTABLISHED = "01"


@contextmanager
def dies_when_asked(server: Server, port: int, end: Callable[[], object]) -> Iterator[None]:
    """Freeze *server*, which listens on *port*; *end* it when it has got a request; skips where no pid is known."""
    pid = server.facts.get("pid")
    if pid is None:
        pytest.skip(f"the pid of {server.name} is not known to {server.source}")
    os.kill(pid, signal.SIGSTOP)
    wait_until_stopped(pid)
    with once(lambda: has_unread_bytes(port), end):
        yield


def has_unread_bytes(port: int) -> bool:
    """Whether a connection to *port* holds bytes that the server has not read.

    Source: https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html
    """
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, queues, *_ = line.split()
            if state == _ESTABLISHED and int(local.rpartition(":")[2], 16) == port:
                if int(queues.rpartition(":")[2], 16):
                    return True
    return False
