"""``neo4j.*`` against a real Neo4j, looked at from the other side with the bare driver."""

from __future__ import annotations

import os
import re
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from pytest_testmesh.errors import (
    ActionConfigError,
    MeshError,
    StepAssertionError,
    TargetError,
    TargetUnavailableError,
)

Look = Callable[..., list[dict[str, Any]]]
Step = Callable[..., Any]


@pytest.fixture
def run(flows: Any, environment: None) -> Callable[..., Any]:
    """Run one flow against the common Neo4j."""
    return lambda name, **variables: flows.run(str(flows.add(f"neo4j/{name}.yaml")), **variables)


def test_graph(run: Callable[..., Any], look: Look, label: str) -> None:
    done = run("graph", LABEL=label)

    assert {"passed": 1} == done.outcomes, done.text
    found = look(
        f"MATCH (a:{label})-[k:KNOWS]->(b) RETURN a.name AS a, a.tags AS tags, toString(k.since) AS since, b.name AS b"
    )
    assert [{"a": 'Zoë\'s "quote" 🌍', "tags": ["a", "b"], "since": "2020-02-02", "b": "Bob"}] == found


def test_types(run: Callable[..., Any]) -> None:
    done = run("types")

    assert {"passed": 1} == done.outcomes, done.text


def test_within_waits_for_another_process(flows: Any, environment: None, look: Look, label: str) -> None:
    flows.add("neo4j/within.yaml")
    running = flows.start("neo4j", LABEL=label)
    look(f"CREATE (:{label} {{state: 'NEW'}})")
    look(f"MATCH (n:{label}) SET n.state = 'PAID'")
    done = flows.finish(running)

    assert {"passed": 1} == done.outcomes, done.text


def test_every_scheme(run: Callable[..., Any], server: Any) -> None:
    facts = server.facts
    urls = facts["urls"]
    if "bolt_ssc" not in urls:
        pytest.skip(f"{server.source} speaks no TLS")
    done = run(
        "connections",
        NEO4J=urls["neo4j"],
        BOLT_SSC=urls["bolt_ssc"],
        NEO4J_SSC=urls["neo4j_ssc"],
        BOLT_S=urls["bolt_ssc"].replace("+ssc", "+s"),
        CA=facts["ca"],
        USER_NAME=facts["user"],
        SECRET=facts["password"],
    )

    assert {"passed": 1} == done.outcomes, done.text
    assert facts["password"] not in done.text


def test_a_missing_label_is_named(run: Callable[..., Any], label: str) -> None:
    done = run("missing", LABEL=label)

    assert {"failed": 1} == done.outcomes
    assert "count == 1 is false: count is 0" in done.causes[0]
    assert "the server warns: " in done.text
    assert re.search(f"warns: .*label.*{label}x", done.text)


ODD = [
    pytest.param("x'}) DETACH DELETE n //", id="single quote"),
    pytest.param('x"}) DETACH DELETE n //', id="double quote"),
    pytest.param("\\", id="backslash"),
    pytest.param("\\'", id="backslash and quote"),
    pytest.param("\\u0027 OR true //", id="unicode escape"),
    pytest.param("\\\\u0027 OR true //", id="escaped unicode escape"),
    pytest.param("`", id="backtick"),
    pytest.param("/* ${x} {{x}} $x */", id="braces"),
    pytest.param("a\r\nb\u2028c", id="line ends"),
    pytest.param("nul \0 nul", id="NUL"),
    pytest.param("🌍 ﷽ \u200b", id="emoji"),
    pytest.param("x" * 1_000_000, id="1 MB"),
]


@pytest.mark.parametrize("value", ODD)
def test_odd_values_come_back_equal(step: Step, look: Look, label: str, value: str) -> None:
    """Bound, and filled into either literal: no value ends it."""
    step(f"CREATE (:{label} {{value: $value}})", params={"value": value})
    for quote in "'\"":
        text = f"MATCH (n:{label}) WHERE n.value = {quote}${{v}}{quote} RETURN n.value AS v"
        assert [{"v": value}] == step(text, env={"v": value})["rows"]

    assert [{"value": value}] == look(f"MATCH (n:{label}) RETURN n.value AS value")


@pytest.mark.parametrize("value", [each for each in ODD if "\\" not in str(each.values[0])][:-1])
def test_odd_names_come_back_equal(step: Step, value: str) -> None:
    assert [value] == step("RETURN 1 AS `${v}`", env={"v": value})["columns"]


@pytest.mark.parametrize(
    ("config", "code", "told"),
    [
        pytest.param(
            {"query": "MATCH (n)\nRETUR n"},
            "SYNTAX_ERROR",
            r"is wrong \(line 2, column 1\): Invalid input",
            id="syntax",
        ),
        pytest.param(
            {"query": "RETURN foo(1)"}, "SYNTAX_ERROR", r"\(column 8\): Unknown function 'foo'", id="function"
        ),
        pytest.param({"query": "RETURN $x"}, "MISSING_PARAMETER", r"Expected parameter\(s\): x", id="parameter"),
        pytest.param(
            {"query": "RETURN 1", "database": "nope"}, "DATABASE_NOT_FOUND", "no database nope", id="database"
        ),
        pytest.param(
            {"query": "CALL no.such()"}, "PROCEDURE_NOT_FOUND", "no procedure with the name `no.such`", id="procedure"
        ),
        pytest.param({"query": "RETURN 1/0"}, "TARGET_ERROR", "the server said: / by zero", id="arithmetic"),
    ],
)
def test_what_the_server_refuses(step: Step, config: dict[str, Any], code: str, told: str) -> None:
    with pytest.raises(TargetError, match=told) as caught:
        step(**config)

    assert code == caught.value.code
    assert 1 == step("RETURN 1 AS x")["count"], "the connection can be used again"


def test_the_place_of_a_syntax_error_is_shown(step: Step) -> None:
    with pytest.raises(TargetError):
        step("MATCH (n)\n  RETUR n")

    assert "MATCH (n)\n  RETUR n\n  ^" == step.context.exchange.sent()  # type: ignore[attr-defined]


def test_a_violated_constraint(step: Step, look: Look, label: str) -> None:
    look(f"CREATE CONSTRAINT {label} FOR (n:{label}) REQUIRE n.id IS UNIQUE")
    try:
        step(f"CREATE (:{label} {{id: 1}})")
        with pytest.raises(TargetError, match=r"a constraint forbids it: .* already exists") as caught:
            step(f"CREATE (:{label} {{id: 1}})")
    finally:
        look(f"DROP CONSTRAINT {label}")

    assert "CONSTRAINT_VIOLATION" == caught.value.code


@pytest.mark.parametrize(
    ("url", "error", "told"),
    [
        pytest.param(
            "bolt://127.0.0.1:1", TargetUnavailableError, "query at 127.0.0.1:1: connection refused", id="refused"
        ),
        pytest.param(
            "neo4j://127.0.0.1:1", TargetUnavailableError, "127.0.0.1:1: connection refused", id="routing refused"
        ),
        pytest.param("bolt://no.invalid", TargetUnavailableError, "unknown host no.invalid", id="unknown host"),
        pytest.param(
            "neo4j://no.invalid", TargetUnavailableError, "unknown host no.invalid", id="routing unknown host"
        ),
    ],
)
def test_no_connection(step: Step, url: str, error: type[MeshError], told: str) -> None:
    with pytest.raises(error, match=told):
        step("RETURN 1", url=url)


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_a_wrong_password_is_told(step: Step, server: Any, user: str, scheme: str) -> None:
    """Of a user of its own: three wrong logins lock one out, whoever made them."""
    url = f"{scheme}://{server.url.partition('://')[2]}"
    with pytest.raises(TargetError, match=f"the login of the user {user} is refused") as caught:
        step("RETURN 1", url=url, username=user, password="wrong")

    assert "AUTHENTICATION_FAILED" == caught.value.code


def test_a_certificate_of_nobody_is_told(step: Step, server: Any) -> None:
    url = server.facts["urls"].get("bolt_ssc", "").replace("+ssc", "+s")
    if not url:
        pytest.skip(f"{server.source} speaks no TLS")
    with pytest.raises(TargetUnavailableError, match="the TLS certificate is not accepted"):
        step("RETURN 1", url=url)


@pytest.mark.parametrize("within", ["200ms", "1200ms"])
def test_an_assertion_that_does_not_hold_in_time(step: Step, within: str) -> None:
    step("RETURN 1 AS x")
    with pytest.raises(StepAssertionError, match="count == 2 is false: count is 1") as caught:
        step("RETURN 1 AS x", action="assert", within=within, **{"assert": ["count == 2"]})

    assert "still so after" in str(caught.value.hint)


def test_a_statement_that_writes_is_not_run_again(step: Step, unique: str) -> None:
    label = f"T_{unique}"
    with pytest.raises(ActionConfigError, match="a statement that changes data is not run again"):
        step(f"CREATE (n:{label}) RETURN n", action="assert", within="1s", **{"assert": ["count == 2"]})

    assert 1 == step(f"MATCH (n:{label}) DETACH DELETE n RETURN count(*) AS n")["first_row"]["n"]


class Proxy:
    """Forwards to a server, keeps what clients sent, and closes a connection that sends *deadly*."""

    def __init__(self, target: tuple[str, int], deadly: bytes) -> None:
        self.seen: list[bytearray] = []
        self._target, self._deadly = target, deadly
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            seen = bytearray()
            self.seen.append(seen)
            for pair in ((client, server, seen), (server, client, bytearray())):
                thread = threading.Thread(target=self._pump, args=pair, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket, seen: bytearray) -> None:
        with source:
            try:
                while data := source.recv(65536):
                    seen += data
                    if self._deadly in seen:
                        break
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


@pytest.fixture
def proxy(server: Any) -> Iterator[Callable[[bytes], Proxy]]:
    """``proxy(b"DEADLY")`` stands before the common Neo4j."""
    made: list[Proxy] = []
    host, _, port = server.url.partition("://")[2].partition(":")

    def make(deadly: bytes) -> Proxy:
        made.append(Proxy((host, int(port)), deadly))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_nothing_is_tried_twice(step: Step, proxy: Callable[[bytes], Proxy], server: Any) -> None:
    """Neither after a refusal nor after a broken connection does the server get a statement again."""
    between = proxy(b"RETURN 'deadly'")
    login = {
        "url": f"bolt://127.0.0.1:{between.port}",
        "username": server.facts["user"],
        "password": server.facts["password"],
    }
    step("RETURN 1 AS first", **login)
    with pytest.raises(TargetError):
        step("RETURN 1/0 AS second", **login)
    with pytest.raises(TargetUnavailableError, match="the connection broke before the answer came"):
        step("RETURN 'deadly'", **login)
    step("RETURN 1 AS fourth", **login)

    sent = b"".join(bytes(each) for each in between.seen)
    assert [1, 1, 1, 1] == [sent.count(each) for each in (b"AS first", b"AS second", b"'deadly'", b"AS fourth")]
    assert 2 == len(between.seen), "one connection for all, and another after it broke"
    assert 0 == sent.count(b"PING")


def test_a_connection_is_not_shared_over_a_fork(step: Step, look: Look, label: str) -> None:
    others = _sockets()
    step("RETURN 1 AS x")
    of_parent = _sockets()
    pid = os.fork()
    if pid == 0:
        has_its_own = False
        try:
            step(f"CREATE (:{label} {{by: 'child'}})")
            has_its_own = bool(_sockets() - of_parent)
        finally:
            os._exit(not has_its_own)
    _, status = os.waitpid(pid, 0)

    assert 0 == os.waitstatus_to_exitcode(status), "the child failed, or used the connection of its parent"
    assert 1 == step(f"MATCH (n:{label}) RETURN n.by AS by")["count"]
    assert of_parent - others <= _sockets(), "the parent's connection goes on"
    assert [{"by": "child"}] == look(f"MATCH (n:{label}) RETURN n.by AS by")


def _sockets() -> set[int]:
    """Return the sockets of this process by their inodes."""
    found = []
    for each in range(1000):
        with suppress(OSError):
            found.append(os.fstat(each))
    return {each.st_ino for each in found if stat.S_ISSOCK(each.st_mode)}


def test_what_the_server_warns_of_is_in_the_steps_log_and_not_also_in_the_drivers(
    step: Step, look: Look, label: str, caplog: pytest.LogCaptureFixture
) -> None:
    query = f"MATCH (n:{label}_unknown) RETURN n"
    step(query)
    of_the_step = [record for record in caplog.records if record.name == "neo4j.notifications"]
    look(query)

    assert ["warning"] == [each["level"] for each in step.context.logs]  # type: ignore[attr-defined]
    assert [] == of_the_step
    assert [record for record in caplog.records if record.name == "neo4j.notifications"], "others' lines stay"
