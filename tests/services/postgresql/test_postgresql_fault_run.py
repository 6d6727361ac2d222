"""While flows run one after the other, PostgreSQL freezes, stops, starts and changes its password."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psutil
import pytest
from faults import Fallible, run_through_faults
from real_server import wait_until_stopped


@pytest.fixture
def server(own_postgres: Callable[..., Any], psql: Callable[[str, str], str]) -> Iterator[Any]:
    """A PostgreSQL for this test alone, with a password and a table."""
    made = own_postgres(password="first-one")
    psql(made.url, "CREATE TABLE steady (a int)")
    yield made
    made.stop(signal.SIGINT)


@contextmanager
def frozen(server: Any) -> Iterator[None]:
    """Stop all processes of a server: each connection has one.

    First the one that starts the others and takes note of their end: until it goes on, at last, none of them vanishes.
    """
    with ExitStack() as stack:
        postmaster = psutil.Process(server.facts["pid"])
        _freeze(postmaster, stack)
        for each in postmaster.children(recursive=True):
            _freeze(each, stack)
        yield


def _freeze(process: psutil.Process, stack: ExitStack) -> None:
    stack.callback(process.resume)
    process.suspend()
    wait_until_stopped(process.pid)


def test_fault_run(flows: Any, server: Any, psql: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    def change_password(old: str, new: str) -> None:
        others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
        psql(server.url.replace("first-one", old), f"ALTER ROLE postgres PASSWORD '{new}'")
        url = server.url.replace("first-one", new)
        psql(url, f"SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE {others}")

    monkeypatch.setenv("TESTMESH_POSTGRESQL_URL", server.url)
    postgresql = Fallible(
        service="postgresql",
        frozen=lambda: frozen(server),
        stop=lambda: server.stop(signal.SIGINT),
        start=server.start,
        change_password=change_password,
        login_refused="password authentication failed",
        also_told="terminating connection due to|the database system is (shutting down|starting up|not yet accepting)",
    )
    assert [] == run_through_faults(flows, postgresql)
    assert "first-one" not in (flows.folder / "run.log").read_text(encoding="utf-8")
    assert "1" == psql(server.url, "SELECT count(*) FROM steady WHERE a = 2")
