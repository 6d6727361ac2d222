"""PostgreSQL stops, freezes, restarts and waits for locks while steps run: each ends in time, with the cause."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg2
import pytest

from pytest_testmesh.errors import ActionTimeoutError, TargetError, TargetUnavailableError
from pytest_testmesh.integrations.postgresql.actions import ACTIONS
from pytest_testmesh.polling import NEVER, Deadline

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
        yield


def soon(seconds: float, act: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def running(other: Any, text: str) -> bool:
    """Whether a statement that holds *text* goes on in the server after half a second."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        other.execute("SELECT query FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()")
        if not any(text in query for (query,) in other.fetchall()):
            return False
        time.sleep(0.05)
    return True


def test_a_slow_statement_ends_at_the_deadline_and_the_connection_lives_on(
    query: Callable[..., Any], other: Any, unique: str
) -> None:
    before = query(PID)
    started = time.monotonic()
    with pytest.raises(ActionTimeoutError) as caught:
        query(f"SELECT pg_sleep(30) -- {unique}", within_s=0.5)

    assert time.monotonic() - started < 5
    assert "waiting for the statement (step timeout 0.5s)" in caught.value.message
    assert not running(other, unique)
    assert before == query(PID)


def test_a_script_of_many_short_statements_ends_at_the_deadline(
    query: Callable[..., Any], other: Any, unique: str
) -> None:
    """The server's own limit is for each statement: the client must end the script."""
    with pytest.raises(ActionTimeoutError):
        query(f"/* {unique} */" + "SELECT pg_sleep(0.4);" * 50, within_s=0.5)

    assert not running(other, unique)


def test_a_lock_that_another_session_holds(query: Callable[..., Any], other: Any, unique: str) -> None:
    other.execute(f"CREATE TABLE {unique} (a int)")
    other.execute(f"BEGIN; LOCK TABLE {unique}")
    try:
        with pytest.raises(ActionTimeoutError) as caught:
            query(f"INSERT INTO {unique} VALUES (1)", timeout="300ms")
    finally:
        other.execute(f"COMMIT; DROP TABLE {unique}")

    assert "(timeout 300ms of the statement)" in caught.value.message
    assert "a lock that another session holds looks like this" in (caught.value.hint or "")


def test_a_transaction_that_is_cut_short_leaves_no_lock(
    make_context: Callable[..., Any], server: Any, query: Callable[..., Any], unique: str
) -> None:
    query(f"CREATE TABLE {unique} (a int)")
    context = make_context(Deadline.after(0.5, "step timeout"), postgresql_url=server.url)
    try:
        with pytest.raises(ActionTimeoutError):
            ACTIONS["transaction"]({"statements": [f"INSERT INTO {unique} VALUES (1)", "SELECT pg_sleep(30)"]}, context)
        assert {"n": 0} == query(f"LOCK TABLE {unique} NOWAIT; SELECT count(*)::int AS n FROM {unique}")
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
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(interruption):
            query(f"SELECT pg_sleep(30) -- {unique}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)

    assert not running(other, unique)
    assert {"x": 1} == query("SELECT 1 AS x")


def test_the_servers_end_of_a_connection_in_the_middle_of_a_statement(query: Callable[..., Any], server: Any) -> None:
    pid = query(PID)["pid"]

    def end() -> None:
        with psycopg2.connect(server.url) as connection:
            connection.cursor().execute("SELECT pg_terminate_backend(%s)", [pid])
        connection.close()

    timer = soon(0.3, end)
    with pytest.raises(TargetUnavailableError, match="terminating connection due to administrator command") as caught:
        query("SELECT pg_sleep(30)")
    timer.join()

    assert "did the server crash, or was it stopped?" in (caught.value.hint or "")
    assert pid != query(PID)["pid"]


def test_an_idle_connection_that_the_server_ended_is_replaced(query: Callable[..., Any], other: Any) -> None:
    pid = query(PID)["pid"]
    other.execute("SELECT pg_terminate_backend(%s)", [pid])
    time.sleep(0.2)

    assert pid != query(PID)["pid"]


def test_a_child_process_has_a_connection_of_its_own(query: Callable[..., Any]) -> None:
    pid = query(PID)["pid"]
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, str(query(PID)["pid"]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    seen = int(os.read(reader, 100))
    for each in (reader, writer):
        os.close(each)

    assert pid != seen
    assert pid == query(PID)["pid"]


def test_a_server_that_freezes_in_a_statement(make_context: Callable[..., Any], own: Any) -> None:
    query = query_at(make_context, own)
    pid = query(PID)["pid"]
    started = time.monotonic()
    with frozen(own.facts["pid"], pid), pytest.raises(ActionTimeoutError) as caught:
        query("SELECT 1", within_s=0.5)

    assert time.monotonic() - started < 5
    assert "timed out after" in caught.value.message
    assert {"x": 1} == query("SELECT 1 AS x", within_s=10)


def test_a_server_that_is_frozen_when_a_step_connects(make_context: Callable[..., Any], own: Any) -> None:
    query = query_at(make_context, own)
    with own.frozen(), pytest.raises(ActionTimeoutError, match="waiting for a connection"):
        query("SELECT 1", within_s=0.5)

    assert {"x": 1} == query("SELECT 1 AS x", within_s=10)


def test_ctrl_c_while_the_server_is_frozen(make_context: Callable[..., Any], own: Any) -> None:
    query = query_at(make_context, own)
    pid = query(PID)["pid"]
    timer = soon(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    started = time.monotonic()
    with frozen(own.facts["pid"], pid), pytest.raises(KeyboardInterrupt):
        query("SELECT 1", within_s=20)
    timer.join()

    assert time.monotonic() - started < 5


def test_a_server_that_crashes_and_comes_back(
    make_context: Callable[..., Any], own: Any, wait_until_ready: Callable[[Any], None]
) -> None:
    query = query_at(make_context, own)
    query("CREATE TABLE t (a int)")
    timer = soon(0.3, lambda: own.stop(signal.SIGQUIT))
    with pytest.raises(TargetUnavailableError):
        query("SELECT pg_sleep(30)")
    timer.join()
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
        other.execute(f"ALTER ROLE {unique} PASSWORD 'second-one'; SELECT pg_terminate_backend({pid})")
        time.sleep(0.2)
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
        "flow: {name: slow, marks: [{timeout: 1}], "
        "steps: [{action: postgresql.query, config: {query: SELECT pg_sleep(60)}}], "
        "teardown: [{action: log, config: {message: 'teardown ran'}}]}",
    )
    started = time.monotonic()
    done = flows.finish(flows.start())

    assert time.monotonic() - started < 30
    assert {"failed": 1} == done.outcomes, done.text
    assert "Timeout" in done.text
    assert "teardown ran" in done.text
