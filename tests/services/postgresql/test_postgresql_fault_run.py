"""While flows run one after the other, PostgreSQL freezes, stops, starts and changes its password."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
from fault_runs import fault_run
from real_server import wait_until_stopped

KNOWN_CAUSES = re.compile(
    r"connection refused|did the server crash|terminating connection|the server closed the connection"
    r"|the connection (broke|is gone)"
    r"|timed out after .* waiting for (the statement|a connection) \(the step's timeout of 0.50s\)"
    r"|password authentication failed|the database system is (starting up|shutting down)"
)


@pytest.fixture
def server(own_postgres: Callable[..., Any], psql: Callable[[str, str], str]) -> Iterator[Any]:
    """A PostgreSQL for this test alone, with a password and a table."""
    made = own_postgres(password="first-one")
    psql(made.url, "CREATE TABLE steady (a int)")
    yield made
    made.stop(signal.SIGINT)


@contextmanager
def frozen(server: Any) -> Iterator[None]:
    """Stop all processes of a server: each connection has one."""
    processes = [psutil.Process(server.facts["pid"])]
    processes += processes[0].children(recursive=True)
    for each in processes:
        each.suspend()
        wait_until_stopped(each.pid)
    try:
        yield
    finally:
        for each in processes:
            each.resume()


def change_password(psql: Callable[[str, str], str], url: str, old: str, new: str) -> None:
    """Change it, and let nobody stay who logged in by the old one."""
    psql(url.replace("first-one", old), f"ALTER ROLE postgres PASSWORD '{new}'")
    others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
    psql(url.replace("first-one", new), f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")


def test_fault_run(flows: Any, server: Any, psql: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTMESH_POSTGRESQL_URL", server.url)
    with fault_run(flows, "postgresql", 14) as run:
        run.go(2)
        with frozen(server):
            run.go(2)
        run.let(1)
        server.stop(signal.SIGINT)
        run.go(3)
        server.start()
        run.go(3)
        change_password(psql, server.url, "first-one", "second-one")
        run.go(3)
        change_password(psql, server.url, "second-one", "first-one")
        done = run.finish()

    assert [] == [cause for cause in done.causes if not KNOWN_CAUSES.search(cause)]
    for fault in ("timed out", "connection refused", "password authentication failed"):
        assert fault in "".join(done.causes)
    assert "flow_z" not in "".join(done.causes)
    assert "first-one" not in done.text
    assert 15 == done.outcomes["passed"] + done.outcomes["failed"]
    assert "1" == psql(server.url, "SELECT count(*) FROM steady WHERE a = 2")
