"""``neo4j.*`` while the real server stops, starts, freezes and changes its password."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import pytest
from dying_servers import dies_when_asked, has_unread_bytes
from faults import Fallible, run_through_faults

from pytest_testmesh.errors import ActionTimeoutError, TargetError, TargetUnavailableError
from pytest_testmesh.polling import Deadline, attempts

Step = Callable[..., Any]


@pytest.fixture
def server(service: Any, alone: None, wait_until_ready: Callable[[Any], None]) -> Iterator[Any]:
    """The common Neo4j, for this test alone; it answers again afterwards."""
    found = service("neo4j")
    wait_until_ready(found)
    yield found
    wait_until_ready(found)


@pytest.mark.parametrize("scheme", ["bolt", "neo4j", "bolt_ssc"])
def test_a_frozen_server_ends_the_step_at_its_deadline(step: Step, server: Any, scheme: str) -> None:
    """A warm connection waits for its answer, a new one for TLS or the first answer; closing does not wait."""
    facts = server.facts
    if scheme not in facts["urls"]:
        pytest.skip(f"{server.source} speaks no TLS")
    named = {"url": facts["urls"][scheme], "username": facts["user"], "password": facts["password"]}
    step("RETURN 1", **named)
    with server.frozen():
        for connection in ("warm", "new"):
            with pytest.raises(ActionTimeoutError, match=r"waiting for .* \(step timeout 300ms\)") as caught:
                step("RETURN 1", Deadline.after(0.3, "step timeout 300ms"), **named)
            if connection == "warm":
                assert "the Bolt port" not in str(caught.value.hint), "it is: it has answered before"

    assert 1 == step("RETURN 1", **named)["count"]


def test_a_frozen_server_does_not_hold_up_the_end_of_the_session(step: Step, server: Any) -> None:
    step("RETURN 1")
    with server.frozen():
        started = time.monotonic()
        step.context.session.close()  # type: ignore[attr-defined]

        assert time.monotonic() - started < 20


def test_the_server_stops_working_for_a_step_that_timed_out(
    step: Step, server: Any, ask: Callable[..., Any], unique: str
) -> None:
    slow = f"UNWIND range(1, 100000000) AS x UNWIND range(1, 1000) AS {unique} RETURN count(*)"
    with pytest.raises(ActionTimeoutError):
        step(slow, timeout="300ms")
    end = Deadline.after(60, "")
    while any(unique in each["q"] for each in _running(server, ask)) and not end.passed:
        time.sleep(0.1)

    assert [] == [each for each in _running(server, ask) if unique in each["q"]]


def _running(server: Any, ask: Callable[..., Any]) -> list[dict[str, Any]]:
    return ask(server, "SHOW TRANSACTIONS YIELD currentQuery AS q WHERE NOT q STARTS WITH 'SHOW' RETURN q")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGALRM], ids=["Ctrl-C", "pytest-timeout"])
def test_signals_get_through(flows: Any, environment: None, server: Any, number: signal.Signals) -> None:
    """The test in front of a frozen server ends by the signal, long before its own time-out."""
    timeout = "  marks: [{timeout: 2}]\n" if number == signal.SIGALRM else ""
    flows.write("test.yaml", f"flow:\n  name: f\n{timeout}  steps:\n{_STEP}")
    with server.frozen():
        running = flows.start("test.yaml", "-p", "timeout")
        if number == signal.SIGINT:
            _wait_until_asked(server, running)
            running.process.send_signal(number)
        done = flows.finish(running)

    assert ("KeyboardInterrupt" if number == signal.SIGINT else "Timeout") in done.text


def _wait_until_asked(server: Any, running: Any) -> None:
    """Return when the frozen server holds the step's greeting."""
    for _ in attempts(repeat(0.01), Deadline.after(60, "")):
        if has_unread_bytes(_port(server)):
            return
    pytest.fail(f"no step asked the server:\n{running.text}")


_STEP = """\
    - action: neo4j.query
      config: {query: RETURN 1, timeout: 5m}
"""


def test_a_server_that_was_restarted_between_two_steps_is_used(
    step: Step, server: Any, wait_until_ready: Callable[[Any], None]
) -> None:
    step("RETURN 1")
    server.restart()
    wait_until_ready(server)

    assert 1 == step("RETURN 1")["count"]


@pytest.fixture
def change_password(server: Any, ask: Callable[..., Any], user: str) -> Callable[[str], None]:
    """``change_password("second-password")`` changes that of `user`."""
    return lambda new: ask(server, f"ALTER USER {user} SET PASSWORD $new", new=new) and None


def test_a_changed_password_is_told_at_once(
    step: Step, server: Any, user: str, change_password: Callable[[str], None]
) -> None:
    """A connection that was logged in before stays so: that is Neo4j's way."""
    named = {"url": server.url, "username": user}
    step("RETURN 1", password="first-password", **named)
    change_password("second-password")
    step("RETURN 1", password="first-password", **named)
    with pytest.raises(TargetError, match=f"the login of the user {user} is refused") as caught:
        step("RETURN 1", password="third-password", **named)

    assert "AUTHENTICATION_FAILED" == caught.value.code
    assert 1 == step("RETURN 1", password="second-password", **named)["count"]


_ENVIRONMENT = {name: os.environ[name] for name in ("HOME", "TESTMESH_TEST_SERVICES_RESTART") if name in os.environ}
"""What the command that restarts a server needs, and flows do not get."""


def test_fault_run(
    flows: Any,
    environment: None,
    server: Any,
    ask: Callable[..., Any],
    label: str,
    user: str,
    wait_until_ready: Callable[[Any], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While flows run one after the other the server freezes, crashes, starts, and the user's password changes."""

    def start() -> None:
        server.restart()
        wait_until_ready(server)

    def change_password(old: str, new: str) -> None:
        ask(server, f"ALTER USER {user} SET PASSWORD $new", new=new)
        connections = f"CALL dbms.listConnections() YIELD connectionId, username WHERE username = '{user}'"
        ask(server, f"{connections} CALL dbms.killConnection(connectionId) YIELD message RETURN message")

    for name, value in _ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TESTMESH_NEO4J_USERNAME", user)
    monkeypatch.setenv("TESTMESH_NEO4J_PASSWORD", "first-password")
    neo4j = Fallible(
        service="neo4j",
        frozen=server.frozen,
        stop=lambda: _kill(server),
        start=start,
        change_password=change_password,
        passwords=("first-password", "second-password"),
        login_refused=f"the login of the user {user} is refused",
        also_told="the database is not available|the answer is not of the Bolt protocol|too many wrong logins",
    )
    assert [] == run_through_faults(flows, neo4j, LABEL=label)


def _kill(server: Any) -> None:
    """Kill it, and return when it is gone."""
    os.kill(server.facts["pid"], signal.SIGKILL)
    for _ in attempts(repeat(0.01), Deadline.after(60, "end")):
        try:
            socket.create_connection(("127.0.0.1", _port(server)), 5).close()
        except ConnectionRefusedError:
            return


def _port(server: Any) -> int:
    return int(server.url.rpartition(":")[2])


def test_a_server_that_dies_in_the_middle_of_a_step_is_told(step: Step, server: Any) -> None:
    step("RETURN 1")
    pid = server.facts.get("pid")
    try:
        with (
            dies_when_asked(server, _port(server), lambda: os.kill(pid, signal.SIGKILL)),
            pytest.raises(TargetUnavailableError, match="the connection broke before the answer came"),
        ):
            step("RETURN 1", Deadline.after(60, ""))
    finally:
        server.restart()
