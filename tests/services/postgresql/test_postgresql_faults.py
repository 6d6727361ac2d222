"""PostgreSQL stops, freezes, restarts and waits for locks while steps run: each ends in time, with the cause."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import repeat
from typing import Any

import psycopg2
import pytest
from real_server import wait_until_stopped
from soon import soon

from pytest_testmesh.errors import ActionTimeoutError, TargetError, TargetUnavailableError
from pytest_testmesh.integrations.postgresql.actions import ACTIONS
from pytest_testmesh.polling import NEVER, Deadline, attempts

PID = "SELECT pg_backend_pid() AS pid"


@pytest.fixture
def query(make_context: Callable[..., Any], server: Any) -> Callable[..., Any]:
    """``query("SELECT 1", within_s=2)`` runs one step against the common server."""
    return query_at(make_context, server)


def query_at(make_context: Callable[..., Any], server: Any) -> Callable[..., Any]:
    def run(text: str, within_s: float | None = None, **config: Any) -> Any:
        deadline = NEVER if within_s is None else Deadline.after(within_s, f"step timeout {within_s:g}s")
        config = {"query": text, **config}
        return ACTIONS["query"](config, make_context(deadline, postgresql_url=server.url))["first_row"]

    return run


@pytest.fixture
def other(server: Any) -> Iterator[Any]:
    """A connection of somebody else's; what it does is committed at once."""
    connection = psycopg2.connect(server.url)
    connection.autocommit = True
    yield connection.cursor()
    connection.close()


@pytest.fixture
def own(own_postgres: Any, wait_until_ready: Any) -> Any:
    """A server for this test alone."""
    server = own_postgres()
    wait_until_ready(server)
    return server


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Stop processes of a server in their tracks."""
    with ExitStack() as stack:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            stack.callback(os.kill, pid, signal.SIGCONT)
            wait_until_stopped(pid)
        yield


def wait_until(other: Any, text: str, *, running: bool) -> bool:
    """Wait until a statement that holds *text* goes on in the server, or until none does; say whether it came so."""
    for _ in attempts(repeat(0.05), Deadline.after(20, "")):
        other.execute("SELECT query FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()")
        if running is any(text in query for (query,) in other.fetchall()):
            return True
    return False


def end(other: Any, pid: int) -> None:
    """End a connection of somebody else's, and return when its process is gone."""
    other.execute("SELECT pg_terminate_backend(%s, 20000)", [pid])


def test_a_slow_statement_ends_at_the_deadline_and_the_connection_lives_on(
    query: Callable[..., Any], other: Any, unique: str
) -> None:
    def lives_on() -> bool:
        before = query(PID)
        with pytest.raises(ActionTimeoutError, match=r"waiting for the statement \(step timeout 0.5s\)"):
            query(f"SELECT pg_sleep(30) -- {unique}", within_s=0.5)
        return bool(before == query(PID))

    # where the server does not get round to ending the statement, the connection must be closed
    assert any(lives_on() for _ in range(5))
    assert wait_until(other, unique, running=False)


def test_a_script_of_many_short_statements_ends_at_the_deadline(
    query: Callable[..., Any], other: Any, unique: str
) -> None:
    """The server's own limit is for each statement: the client must end the script."""
    with pytest.raises(ActionTimeoutError):
        query(f"/* {unique} */" + "SELECT pg_sleep(0.4);" * 50, within_s=0.5)

    assert wait_until(other, unique, running=False)


def test_a_lock_that_another_session_holds(query: Callable[..., Any], other: Any, unique: str) -> None:
    query(f"CREATE TABLE {unique} (a int)")
    other.execute(f"BEGIN; LOCK TABLE {unique}")
    try:
        with pytest.raises(ActionTimeoutError) as caught:
            query(f"INSERT INTO {unique} VALUES (1)", timeout="500ms")
    finally:
        other.execute(f"COMMIT; DROP TABLE {unique}")

    assert "(timeout 500ms of the statement)" in caught.value.message
    assert "a lock that another session holds looks like this" in (caught.value.hint or "")


def test_a_transaction_that_is_cut_short_leaves_no_lock(
    make_context: Callable[..., Any], server: Any, query: Callable[..., Any], unique: str
) -> None:
    query(f"CREATE TABLE {unique} (a int)")
    context = make_context(Deadline.after(0.5, "step timeout"), postgresql_url=server.url)
    try:
        with pytest.raises(ActionTimeoutError):
            ACTIONS["transaction"]({"statements": [f"INSERT INTO {unique} VALUES (1)", "SELECT pg_sleep(30)"]}, context)
        assert {"n": 0} == query(f"LOCK TABLE {unique}; SELECT count(*)::int AS n FROM {unique}")
    finally:
        query(f"DROP TABLE {unique}")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, TimeoutError], ids=["Ctrl-C", "pytest-timeout"])
def test_what_interrupts_a_step_ends_its_statement(
    query: Callable[..., Any], other: Any, unique: str, interruption: type[BaseException]
) -> None:
    def interrupt(number: int, frame: object) -> None:
        raise interruption

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(interruption), soon(0.3, lambda: os.kill(os.getpid(), signal.SIGALRM)):
            query(f"SELECT pg_sleep(30) -- {unique}")
    finally:
        signal.signal(signal.SIGALRM, old)

    assert wait_until(other, unique, running=False)
    assert {"x": 1} == query("SELECT 1 AS x")


def test_the_servers_end_of_a_connection_in_the_middle_of_a_statement(
    query: Callable[..., Any], server: Any, unique: str
) -> None:
    pid = query(PID)["pid"]

    def end_it() -> None:
        with closing(psycopg2.connect(server.url)) as connection:
            connection.autocommit = True
            wait_until(connection.cursor(), unique, running=True)
            end(connection.cursor(), pid)

    with (
        pytest.raises(TargetUnavailableError, match="terminating connection due to administrator command") as caught,
        soon(0, end_it),
    ):
        query(f"SELECT pg_sleep(30) -- {unique}")

    assert "did the server crash, or was it stopped?" in (caught.value.hint or "")
    assert pid != query(PID)["pid"]


def test_an_idle_connection_that_the_server_ended_is_replaced(query: Callable[..., Any], other: Any) -> None:
    pid = query(PID)["pid"]
    end(other, pid)

    assert pid != query(PID)["pid"]


def test_a_child_process_has_a_connection_of_its_own(query: Callable[..., Any]) -> None:
    pid = query(PID)["pid"]
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, str(query(PID)["pid"]).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    seen = int(os.read(reader, 100))
    os.close(reader)

    assert pid != seen
    assert pid == query(PID)["pid"]


def test_a_server_that_freezes_in_a_statement(make_context: Callable[..., Any], own: Any) -> None:
    query = query_at(make_context, own)
    pid = query(PID)["pid"]
    with frozen(own.facts["pid"], pid), pytest.raises(ActionTimeoutError, match="timed out after"):
        query("SELECT 1", within_s=0.5)

    assert {"x": 1} == query("SELECT 1 AS x")


def test_a_server_that_is_frozen_when_a_step_connects(make_context: Callable[..., Any], own: Any) -> None:
    query = query_at(make_context, own)
    with own.frozen(), pytest.raises(ActionTimeoutError, match="waiting for a connection"):
        query("SELECT 1", within_s=0.5)

    assert {"x": 1} == query("SELECT 1 AS x")


def test_ctrl_c_while_the_server_is_frozen(make_context: Callable[..., Any], own: Any) -> None:
    query = query_at(make_context, own)
    pid = query(PID)["pid"]
    with (
        frozen(own.facts["pid"], pid),
        pytest.raises(KeyboardInterrupt),
        soon(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)),
    ):
        query("SELECT 1", within_s=60)


def test_a_server_that_crashes_and_comes_back(
    make_context: Callable[..., Any], own: Any, wait_until_ready: Callable[[Any], None]
) -> None:
    query = query_at(make_context, own)
    query("CREATE TABLE t (a int)")
    with pytest.raises(TargetUnavailableError), soon(0.3, lambda: own.stop(signal.SIGQUIT)):
        query("SELECT pg_sleep(30)")
    with pytest.raises(TargetUnavailableError, match="connection refused"):
        query("SELECT 1")
    own.start()
    wait_until_ready(own)

    assert {"n": 0} == query("SELECT count(*)::int AS n FROM t")


def test_a_server_that_restarts_between_two_steps(
    make_context: Callable[..., Any], own: Any, wait_until_ready: Callable[[Any], None]
) -> None:
    query = query_at(make_context, own)
    first = query(PID)
    own.stop(signal.SIGINT)
    own.start()
    wait_until_ready(own)

    assert first != query(PID)


def test_a_password_that_changes(make_context: Callable[..., Any], server: Any, other: Any, unique: str) -> None:
    if not server.facts["password"]:
        pytest.skip("this server asks for no password")
    other.execute(f"CREATE ROLE {unique} LOGIN PASSWORD 'first-one'")
    query = query_at(make_context, server)
    try:
        pid = query(PID, user=unique, password="first-one")["pid"]
        other.execute(f"ALTER ROLE {unique} PASSWORD 'second-one'")
        end(other, pid)
        with pytest.raises(TargetError, match="password authentication failed"):
            query("SELECT 1", user=unique, password="first-one")
        assert {"x": 1} == query("SELECT 1 AS x", user=unique, password="second-one")
    finally:
        other.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{unique}'")
        other.execute(f"DROP ROLE {unique}")


def test_a_run_that_pytest_timeout_ends(flows: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTMESH_POSTGRESQL_URL", server.url)
    flows.write(
        "slow.yaml",
        "flow: {name: slow, marks: [{timeout: 3}], "
        "steps: [{action: postgresql.query, config: {query: SELECT pg_sleep(60)}}], "
        "teardown: [{action: log, config: {message: 'teardown ran'}}]}",
    )
    done = flows.finish(flows.start())

    assert {"failed": 1} == done.outcomes, done.text
    assert "Timeout" in done.text
    assert "teardown ran" in done.text
