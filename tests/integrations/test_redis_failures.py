"""What ``redis.*`` steps say when a server refuses, breaks or keeps silent; they stop in time and try nothing twice."""

from __future__ import annotations

import inspect
import signal
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from pytest_testmesh.errors import ActionTimeoutError, MeshError, TargetError, TargetUnavailableError
from pytest_testmesh.integrations import redis as actions
from pytest_testmesh.integrations.redis.failures import TABLE
from pytest_testmesh.polling import NEVER, Deadline

Get = Callable[..., Any]
GET = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"


@pytest.fixture
def get(steps: Any, tcp_script: Any) -> Iterator[Get]:
    """Runs ``redis.get`` with key ``k``; its connections are closed before the servers of `tcp_script`."""

    def run(port: int, deadline: Deadline = NEVER, host: str = "127.0.0.1", **config: Any) -> Any:
        return actions.redis_get({"key": "k", "host": host, "port": port, **config}, steps.context(deadline))

    yield run
    steps.session.close()


@pytest.fixture
def answering(tcp_script: Any) -> Callable[[bytes], Any]:
    """Start a server that reads a command, answers it, and closes the connection; *seen* is what it read."""

    def start(answer: bytes) -> Any:
        def play(connection: socket.socket, script: Any) -> None:
            script.seen.append(connection.recv(65536))
            connection.sendall(answer)

        script = tcp_script(play)
        script.seen = []
        return script

    return start


@contextmanager
def soon(limit_s: float = 20.0) -> Iterator[None]:
    """Fail if the block takes so long that the deadline, 1 s in these tests, cannot have ended it."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < limit_s


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, each in inspect.getmembers(redis.exceptions, inspect.isclass)
        if issubclass(each, Exception) and each.__module__ == "redis.exceptions"
    ],
)
def test_every_error_of_redis_py_is_mapped(name: str) -> None:
    assert name in TABLE


@pytest.mark.parametrize(
    ("answer", "error", "code", "told", "hint"),
    [
        pytest.param(
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            TargetError,
            "WRONG_TYPE",
            "the key holds something else than text: WRONGTYPE Operation against",
            "a hash, list, set or stream is no string",
            id="WRONGTYPE",
        ),
        pytest.param(
            "NOAUTH Authentication required.",
            TargetError,
            "AUTHENTICATION_FAILED",
            "the server wants a login: ",
            "give `password`",
            id="NOAUTH",
        ),
        pytest.param(
            "NOPERM this user has no permissions to run the 'get' command",
            TargetError,
            "PERMISSION_DENIED",
            "the default user may not do this: ",
            "ACL GETUSER",
            id="NOPERM",
        ),
        pytest.param(
            "LOADING Redis is loading the dataset in memory",
            TargetUnavailableError,
            "CONNECTION_ERROR",
            "still loading its data",
            "retry",
            id="LOADING",
        ),
        pytest.param(
            "READONLY You can't write against a read only replica.",
            TargetError,
            "READ_ONLY",
            "is a replica and takes no writes",
            "primary",
            id="READONLY",
        ),
        pytest.param(
            "OOM command not allowed when used memory > 'maxmemory'.",
            TargetError,
            "OUT_OF_MEMORY",
            "no memory left",
            "maxmemory",
            id="OOM",
        ),
        pytest.param(
            "MOVED 7629 10.0.0.7:6379",
            TargetError,
            "REDIS_CLUSTER",
            "is a node of a Redis Cluster: MOVED 7629 10.0.0.7:6379",
            "single servers",
            id="MOVED",
        ),
        pytest.param(
            "ASK 7629 10.0.0.7:6379", TargetError, "REDIS_CLUSTER", "is a node of a Redis Cluster", "single", id="ASK"
        ),
        pytest.param(
            "CLUSTERDOWN Hash slot not served",
            TargetError,
            "REDIS_CLUSTER",
            "is a node of a Redis Cluster: CLUSTERDOWN Hash slot not served",
            "single",
            id="CLUSTERDOWN",
        ),
        pytest.param(
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            TargetUnavailableError,
            "CONNECTION_ERROR",
            "lost its primary",
            "primary",
            id="MASTERDOWN",
        ),
        pytest.param(
            "BUSY Redis is busy running a script.", TargetError, "TARGET_ERROR", "busy with a script", "KILL", id="BUSY"
        ),
        pytest.param(
            "ERR max number of clients reached",
            TargetUnavailableError,
            "CONNECTION_ERROR",
            "max number of clients reached",
            "",
            id="too many clients",
        ),
        pytest.param(
            "ERR something new", TargetError, "TARGET_ERROR", "the server said: something new", "", id="any other"
        ),
    ],
)
def test_what_the_server_said_is_told(
    get: Get, answering: Any, answer: str, error: type[MeshError], code: str, told: str, hint: str
) -> None:
    script = answering(f"-{answer}\r\n".encode())
    with pytest.raises(error) as caught:
        get(script.port)

    assert caught.value.message.startswith(f"GET k at 127.0.0.1:{script.port}: ")
    assert told in caught.value.message
    assert hint in (caught.value.hint or "")
    assert code == caught.value.code  # type: ignore[attr-defined]
    assert [GET] == script.seen


def test_a_refused_login_is_told_at_once_and_tried_once(get: Get, answering: Any) -> None:
    script = answering(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
    with pytest.raises(TargetError, match=r"the login of the user app is refused: .*invalid username") as caught:
        get(script.port, username="app", password="wrong")

    assert "AUTHENTICATION_FAILED" == caught.value.code
    assert [b"*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$5\r\nwrong\r\n"] == script.seen


@pytest.mark.parametrize(
    "answer",
    [
        "ERR AUTH <password> called without any password configured for the default user. "
        "Are you sure your configuration is correct?",
        "ERR Client sent AUTH, but no password is set",
    ],
    ids=["since 6.0", "before"],
)
def test_a_password_that_the_server_does_not_ask_for(get: Get, answering: Any, answer: str) -> None:
    with pytest.raises(TargetError, match="asks for no login") as caught:
        get(answering(f"-{answer}\r\n".encode()).port, password="secret")

    assert "leave `password` out" == caught.value.hint


def test_connection_refused(get: Get, steps: Any, unused_port: int) -> None:
    with pytest.raises(TargetUnavailableError) as caught:
        get(unused_port, host="localhost")

    assert f"GET k at localhost:{unused_port}: connection refused" == caught.value.message
    assert f"is Redis running? nothing listens on localhost:{unused_port}" == caught.value.hint
    assert f"GET k at localhost:{unused_port}" == steps.exchange.sent()
    assert steps.exchange.received is None


def test_unknown_host(get: Get) -> None:
    with pytest.raises(TargetUnavailableError, match=r"GET k at no\.such\.invalid:6379: unknown host"):
        get(6379, host="no.such.invalid")


def test_a_connection_that_breaks_before_the_answer_is_not_tried_again(get: Get, answering: Any) -> None:
    script = answering(b"$5\r\nhal")
    with pytest.raises(TargetUnavailableError, match="closed the connection"):
        get(script.port)

    assert [GET] == script.seen


def test_a_connection_that_breaks_later(get: Get, tcp_script: Any) -> None:
    def play(connection: socket.socket, script: Any) -> None:
        connection.recv(65536)
        connection.sendall(b"$-1\r\n")
        connection.recv(65536)

    port = tcp_script(play).port
    get(port)
    with pytest.raises(TargetUnavailableError, match="the connection broke before the answer came") as caught:
        get(port)

    assert "may have been done or not" in str(caught.value.hint)


def test_an_answer_too_many_drops_the_connection(get: Get, tcp_script: Any) -> None:
    """Else the next step would take it for its own."""

    answered, sent_more = threading.Event(), threading.Event()

    def play(connection: socket.socket, script: Any) -> None:
        connection.recv(65536)
        connection.sendall(b"$5\r\nfirst\r\n")
        answered.wait(20)
        connection.sendall(b"$5\r\nother\r\n")
        sent_more.set()

    port = tcp_script(play).port
    get(port)
    answered.set()
    sent_more.wait(20)

    assert "first" == get(port)["value"]


@pytest.mark.parametrize(
    ("start", "piece"), [pytest.param(b"", b"", id="silent"), pytest.param(b"$100000\r\n", b"x", id="dripping")]
)
def test_an_answer_that_does_not_end_ends_at_the_deadline(get: Get, dripping: Any, start: bytes, piece: bytes) -> None:
    script = dripping(start, piece)
    expected = rf"GET k at 127\.0\.0\.1:{script.port}: timed out after \S+ waiting for the response \(step timeout"
    with soon(), pytest.raises(ActionTimeoutError, match=expected) as caught:
        get(script.port, Deadline.after(1, "step timeout 1s"))

    assert "is it frozen" in str(caught.value.hint)
    assert "is this the port of Redis, usually 6379?" in str(caught.value.hint)


def test_own_timeout(get: Get, dripping: Any) -> None:
    with soon(), pytest.raises(ActionTimeoutError, match=r"\(timeout 300ms of the command\)"):
        get(dripping().port, timeout="300ms")


def test_a_server_that_reads_nothing_ends_at_the_deadline(steps: Any, tcp_script: Any) -> None:
    script = tcp_script(lambda connection, script: script.stopped.wait(20))
    config = {"key": "k", "value": "x" * 20_000_000, "host": "127.0.0.1", "port": script.port}
    with soon(), pytest.raises(ActionTimeoutError, match="waiting for the server to take the request"):
        actions.redis_set(config, steps.context(Deadline.after(1, "step timeout 1s")))


def test_after_a_timeout_the_connection_is_dropped(get: Get, tcp_script: Any) -> None:
    """The late answer must not become that of the next step."""
    timed_out = threading.Event()

    def play(connection: socket.socket, script: Any) -> None:
        connection.recv(65536)
        late = not timed_out.is_set()
        timed_out.wait(20)
        connection.sendall(b"$4\r\nlate\r\n" if late else b"$5\r\nright\r\n")

    port = tcp_script(play).port
    with pytest.raises(ActionTimeoutError):
        get(port, Deadline.after(0.3, "step timeout 300ms"))
    timed_out.set()

    assert "right" == get(port)["value"]


def test_an_older_error_is_not_taken_for_the_cause(get: Get, answering: Any) -> None:
    """The steps after a failure may run while its error is being handled."""
    port = answering(b"").port
    try:
        raise TimeoutError("of an earlier step")
    except TimeoutError:
        with pytest.raises(TargetUnavailableError, match="closed the connection"):
            get(port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGALRM], ids=["Ctrl-C", "pytest-timeout"])
def test_a_waiting_step_can_be_interrupted(get: Get, dripping: Any, number: signal.Signals) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(number, interrupt)
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.2, signal.pthread_kill, (main, number))
    port = dripping().port

    def ask() -> None:
        timer.start()  # on a busy machine it may be over before the step begins
        get(port, Deadline.after(60, "step timeout 60s"))

    try:
        with soon(), pytest.raises(KeyboardInterrupt):
            ask()
    finally:
        timer.join()
        signal.signal(number, previous)


@pytest.fixture
def tls_script(tcp_script: Any, certificate: Any) -> Any:
    """A server behind TLS that answers each command with nothing; *connections* counts its handshakes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)

    def play(connection: socket.socket, script: Any) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            script.connections += 1
            while wrapped.recv(65536):
                wrapped.sendall(b"$-1\r\n")

    script = tcp_script(play)
    script.connections = 0
    return script


def test_tls_with_a_ca_of_its_own(get: Get, tls_script: Any, certificate: Any) -> None:
    for _ in range(5):
        assert not get(tls_script.port, ssl=True, verify_ssl=str(certificate.cert))["exists"]

    assert 1 == tls_script.connections


def test_a_certificate_that_is_not_trusted(get: Get, tls_script: Any) -> None:
    with pytest.raises(TargetUnavailableError, match="certificate is not accepted: self-signed") as caught:
        get(tls_script.port, ssl=True)

    assert "name its CA in verify_ssl" in str(caught.value.hint)


def test_a_certificate_that_is_not_to_be_checked(get: Get, tls_script: Any) -> None:
    assert not get(tls_script.port, ssl=True, verify_ssl=False)["exists"]


def test_tls_with_a_server_that_speaks_none(get: Get, answering: Any) -> None:
    with pytest.raises(TargetUnavailableError, match="no TLS: ") as caught:
        get(answering(b"-ERR unknown command\r\n").port, ssl=True)

    assert "does the port speak TLS?" in str(caught.value.hint)


def test_tls_with_a_server_that_waits_for_more(get: Get, dripping: Any) -> None:
    with soon(), pytest.raises(ActionTimeoutError, match="waiting for the TLS handshake") as caught:
        get(dripping().port, Deadline.after(1, "step timeout 1s"), ssl=True)

    assert "nothing answers the TLS greeting: does the port speak TLS?" in str(caught.value.hint)


def test_tls_with_a_server_that_hangs_up(get: Get, tcp_script: Any) -> None:
    def reset(connection: socket.socket, script: Any) -> None:
        connection.recv(65536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with pytest.raises(TargetUnavailableError, match="closed the connection without an answer") as caught:
        get(tcp_script(reset).port, ssl=True)

    assert "write ssl: false or a redis:// url" in str(caught.value.hint)


def test_no_tls_with_a_server_that_wants_it(get: Get, tls_script: Any) -> None:
    with pytest.raises(TargetUnavailableError, match="closed the connection without an answer") as caught:
        get(tls_script.port)

    assert "write ssl: true" in str(caught.value.hint)
