"""What ``http_request`` says when no response comes, and that it stops in time."""

from __future__ import annotations

import http.client
import inspect
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import urllib3.exceptions

from pytest_testmesh.errors import ActionTimeoutError, TargetError, TargetUnavailableError
from pytest_testmesh.integrations.http.failures import TABLE
from pytest_testmesh.polling import Deadline

Dripping = Callable[..., Any]


@contextmanager
def soon(limit_s: float = 20.0) -> Iterator[None]:
    """Fail if the block takes so long that the deadline, 1.5 s or less in these tests, cannot have ended it."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < limit_s


@pytest.mark.parametrize(
    "exception",
    [
        each
        for _, each in inspect.getmembers(urllib3.exceptions, inspect.isclass)
        if issubclass(each, urllib3.exceptions.HTTPError) and each.__module__ == "urllib3.exceptions"
    ],
)
def test_every_error_of_urllib3_is_mapped(exception: type[Exception]) -> None:
    assert exception in TABLE


def test_connection_refused(steps: Any, unused_port: int) -> None:
    url = f"http://localhost:{unused_port}/orders"
    with pytest.raises(TargetUnavailableError) as caught:
        steps.http(url, "POST", body={"amount": 25})

    assert f"POST {url}: connection refused" == caught.value.message
    assert f"is the service running? nothing listens on localhost:{unused_port}" == caught.value.hint
    assert "CONNECTION_ERROR" == caught.value.code
    assert f'POST {url}  {{"amount": 25}}' == steps.exchange.sent()
    assert steps.exchange.received is None


def test_unknown_host(steps: Any) -> None:
    with pytest.raises(TargetUnavailableError, match=r"GET http://no\.such\.invalid/: unknown host no\.such\.invalid"):
        steps.http("http://no.such.invalid/")


def test_proxy_refused(steps: Any, server: Any, unused_port: int) -> None:
    proxy = f"http://127.0.0.1:{unused_port}"
    with pytest.raises(TargetUnavailableError, match=f"no connection through the proxy {proxy}: Connection refused"):
        steps.http(server.url("/echo"), proxy=proxy)


def test_untrusted_certificate(steps: Any, tls_server: Any) -> None:
    url = tls_server.url("/", "localhost", "https")
    expected = f"GET {url}: the TLS certificate of localhost:{tls_server.server_port} is not trusted: self.signed"
    with pytest.raises(TargetUnavailableError, match=expected) as caught:
        steps.http(url)

    assert "verify_ssl: false" in str(caught.value.hint)


def test_certificate_of_another_host(steps: Any, misnamed_tls_server: Any, make_certificate: Any) -> None:
    ca = str(make_certificate("DNS:other.example").cert)
    for host in ("localhost", "127.0.0.1"):
        with pytest.raises(TargetUnavailableError, match=r"is for another host: .*mismatch.*not valid for"):
            steps.http(misnamed_tls_server.url("/", host, "https"), verify_ssl=ca)


def test_https_to_a_server_without_tls(steps: Any, server: Any) -> None:
    with pytest.raises(TargetUnavailableError, match=r"no TLS with 127\.0\.0\.1:\d+: "):
        steps.http(server.url("/", scheme="https"))


def test_http_to_a_server_with_tls(steps: Any, tls_server: Any) -> None:
    with pytest.raises((TargetUnavailableError, TargetError)):
        steps.http(tls_server.url("/echo"))


def test_server_that_closes_without_an_answer(steps: Any, server: Any) -> None:
    with pytest.raises(TargetUnavailableError, match="the server closed the connection without an answer"):
        steps.http(server.url("/vanish"))


def test_connection_that_breaks_in_the_middle(steps: Any, server: Any) -> None:
    with pytest.raises(TargetUnavailableError, match="the connection broke before the response was complete"):
        steps.http(server.url("/cut"))


def test_broken_chunk(steps: Any, tcp_script: Any) -> None:
    def play(connection: socket.socket, script: Any) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")

    with pytest.raises(TargetUnavailableError, match="the connection broke"):
        steps.http(tcp_script(play).url())


def test_answer_that_is_not_http(steps: Any, tcp_script: Any) -> None:
    def play(connection: socket.socket, script: Any) -> None:
        connection.recv(65536)
        connection.sendall(b"220 mail.example ESMTP\r\n")

    with pytest.raises(TargetError, match=r"the answer is not HTTP: 220 mail\.example ESMTP"):
        steps.http(tcp_script(play).url())


def test_too_many_headers_are_not_http(steps: Any, dripping: Dripping) -> None:
    with pytest.raises(TargetError, match="the answer is not HTTP"):
        steps.http(dripping(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200, b"").url())


def test_body_with_a_wrong_encoding(steps: Any, server: Any) -> None:
    with pytest.raises(TargetError, match="the response body cannot be decoded"):
        steps.http(server.url("/bad-gzip"))


STALLS = {
    "silent": ((b"", b""), "the response headers"),
    "dripping-status-line": ((b"HTTP/1.1 200 ", b"O"), "the response headers"),
    "dripping-headers": ((b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"), "the response headers"),
    "dripping-body": ((b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"), "the rest of the body"),
    "dripping-chunks": (
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        "the rest of the body",
    ),
    "dripping-until-close": ((b"HTTP/1.0 200 OK\r\n\r\n", b"x"), "the rest of the body"),
}


@pytest.mark.parametrize(("sent", "waiting_for"), STALLS.values(), ids=STALLS)
def test_deadline_ends_a_request(steps: Any, dripping: Dripping, sent: tuple[bytes, bytes], waiting_for: str) -> None:
    url = dripping(*sent).url()
    said = rf"^GET {url}: timed out after [\d.]+s waiting for {waiting_for} \(timeout 1500ms of the request\)$"
    with soon(), pytest.raises(ActionTimeoutError, match=said) as caught:
        steps.http(url, timeout="1500ms")

    assert caught.value.hint
    assert "TIMEOUT" == caught.value.code


def test_deadline_ends_a_tls_handshake(steps: Any, dripping: Dripping) -> None:
    url = dripping(b"", b"").url(scheme="https")
    with soon(), pytest.raises(ActionTimeoutError, match="waiting for the TLS handshake"):
        steps.http(url, timeout=1.5)


def test_deadline_ends_a_dripping_tls_handshake(steps: Any, dripping: Dripping) -> None:
    url = dripping(b"\x16\x03\x03\x40\x00", b"\x00").url(scheme="https")
    with soon(), pytest.raises((ActionTimeoutError, TargetUnavailableError)):
        steps.http(url, timeout=0.4)


def test_deadline_ends_a_tunnel_that_is_never_made(steps: Any, dripping: Dripping) -> None:
    proxy = dripping(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n").url()
    with soon(), pytest.raises(ActionTimeoutError):
        steps.http("https://example.invalid/", proxy=proxy, timeout=0.4)


def test_deadline_ends_a_request_that_the_server_does_not_read(steps: Any, tcp_script: Any) -> None:
    url = tcp_script(lambda connection, script: script.stopped.wait(60) and None).url()
    with soon(), pytest.raises(ActionTimeoutError, match="waiting for the server to take the request"):
        steps.http(url, "POST", body="x" * 20_000_000, timeout="1500ms")


@pytest.fixture
def black_hole() -> Iterator[tuple[str, int]]:
    """An address that neither accepts nor refuses: a listener whose queue is full."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        stack.enter_context(socket.create_connection(full.getsockname()))
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield full.getsockname()


def test_deadline_ends_a_connect(steps: Any, black_hole: tuple[str, int]) -> None:
    with soon(), pytest.raises(ActionTimeoutError, match="waiting for a connection"):
        steps.http(f"http://127.0.0.1:{black_hole[1]}/", timeout="1500ms")


def test_dead_address_leaves_time_for_the_next(
    steps: Any, server: Any, black_hole: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = [
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", black_hole),
        (socket.AF_INET, socket.SOCK_STREAM, 0, "", server.server_address),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: addresses)

    assert 200 == steps.http("http://two.example/echo", timeout="6s")["status"]


def test_deadline_ends_a_name_look_up(steps: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: stop.wait(60) and [])
    try:
        with soon(), pytest.raises(ActionTimeoutError, match=r"waiting for the address of slow\.example"):
            steps.http("http://slow.example/", timeout="400ms")
    finally:
        stop.set()


def test_deadline_bounds_redirects_together(steps: Any, server: Any) -> None:
    with soon(), pytest.raises(ActionTimeoutError):
        steps.http(server.url("/loop"), max_redirects=1_000_000, timeout="400ms")


def test_earlier_deadline_of_the_step_is_named(steps: Any, dripping: Dripping) -> None:
    url = dripping(b"", b"").url()
    with soon(), pytest.raises(ActionTimeoutError, match=r"\(step timeout 300ms\)"):
        steps.http(url, deadline=Deadline.after(0.3, "step timeout 300ms"))


def test_deadline_that_has_passed(steps: Any, server: Any) -> None:
    steps.http(server.url("/echo"))
    with pytest.raises(ActionTimeoutError):
        steps.http(server.url("/echo"), deadline=Deadline.after(0, "step timeout 0s"))

    assert 1 == len(server.received)


def test_connection_is_not_used_again_after_a_time_out(steps: Any, server: Any) -> None:
    with pytest.raises(ActionTimeoutError):
        steps.http(server.url("/silent"), timeout="200ms")
    server.gate.set()

    assert "GET" == steps.http(server.url("/echo"))["body"]["method"]


def test_interrupt_passes_through(steps: Any, tcp_script: Any) -> None:
    def play(connection: socket.socket, script: Any) -> None:
        connection.recv(65536)
        os.kill(os.getpid(), signal.SIGINT)
        script.stopped.wait(60)

    with soon(), pytest.raises(KeyboardInterrupt):
        steps.http(tcp_script(play).url())


def test_table_speaks_of_http_client_too() -> None:
    unknown = http.client.HTTPException("odd")

    assert any(kind in TABLE for kind in type(unknown).__mro__)


def test_secrets_are_left_to_the_report(steps: Any, unused_port: int) -> None:
    url = f"http://user:hidden@127.0.0.1:{unused_port}/"
    with pytest.raises(TargetUnavailableError, match=re.escape(url)):
        steps.http(url)
