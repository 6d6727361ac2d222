"""Real servers on loopback for the tests of integrations: HTTP, HTTPS, a proxy, and bare TCP scripts."""

from __future__ import annotations

import gzip
import json
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from pytest_testmesh.actions import ActionContext, Exchange, Resources
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.integrations.http import http_request
from pytest_testmesh.polling import NEVER, Deadline
from pytest_testmesh.scope import Scope

_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy")
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC", "no_proxy")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the machine's own proxies, certificates and netrc out of the tests."""
    for name in (*_VARIABLES, *_CERTIFICATES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@dataclass
class Steps:
    """Makes contexts of one session and runs ``http_request`` steps, as the runner would."""

    scope: Scope
    folder: Path
    session: Resources = field(default_factory=Resources)
    item: Resources = field(default_factory=Resources)
    exchange: Exchange = field(default_factory=Exchange)
    secrets: list[str] = field(default_factory=list)

    def context(self, deadline: Deadline = NEVER) -> ActionContext:
        """Return a context for one attempt."""
        self.exchange = Exchange()
        return ActionContext(
            flow_id="flow",
            execution_id="run",
            step_id="step",
            scope=self.scope,
            flow_dir=self.folder,
            deadline=deadline,
            session=self.session,
            item=self.item,
            exchange=self.exchange,
            secrets=self.secrets,
        )

    def http(self, url: str, method: str = "GET", *, deadline: Deadline = NEVER, **config: Any) -> Any:
        """Run one step."""
        return http_request({"method": method, "url": url, **config}, self.context(deadline))

    def next_item(self) -> None:
        """Begin another item run of the same session."""
        self.item = Resources()
        self.secrets = []


@pytest.fixture
def scope() -> Scope:
    """Variables without any; tests define what they need."""
    return Scope(builtins=BuiltinValues({}), environ={})


@pytest.fixture
def steps(scope: Scope, tmp_path: Path) -> Iterator[Steps]:
    """Runs steps; closes the session's connections at the end."""
    made = Steps(scope, tmp_path)
    yield made
    made.session.close()


@dataclass
class Received:
    """A request as a server saw it; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def query(self) -> list[tuple[str, str]]:
        """The decoded query parameters, in order."""
        return parse_qsl(urlsplit(self.path).query, keep_blank_values=True)


class _Server(ThreadingHTTPServer):
    """Knows what it received and closes every connection at the end."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.received: list[Received] = []
        self.connections: list[socket.socket] = []
        self.gate = threading.Event()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with suppress(OSError):
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of some tests."""

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        """Return the URL of *path*."""
        return f"{scheme}://{host}:{self.server_port}{path}"

    def stop(self) -> None:
        """End the server and its connections."""
        self.gate.set()
        self.shutdown()
        self.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    """Answers by the first part of the path; see the methods ``get_*``."""

    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 30

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def handle_one_request(self) -> None:
        with suppress(OSError, ValueError):
            super().handle_one_request()
            return
        self.close_connection = True

    def answer_any(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append(Received(self.command, self.path, headers, self.body, self.client_address[1]))
        name, *self.arguments = urlsplit(self.path).path.strip("/").split("/")
        getattr(self, f"get_{name.replace('-', '_')}")()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_PURGE = answer_any

    def reply(self, body: bytes = b"", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def get_echo(self) -> None:
        seen = self.server.received[-1]
        told = {
            "method": seen.method,
            "query": seen.query,
            "headers": seen.headers,
            "body": seen.body.decode("latin-1"),
        }
        self.reply(json.dumps(told).encode(), Content_Type="application/json; charset=utf-8")

    def get_status(self) -> None:
        self.reply(b"", int(self.arguments[0]))

    def get_body(self) -> None:
        """``/body?type=...&hex=...``"""
        query = dict(self.server.received[-1].query)
        headers = {"Content_Type": query["type"]} if "type" in query else {}
        self.reply(bytes.fromhex(query["hex"]), **headers)

    def get_gzip(self) -> None:
        self.reply(gzip.compress(b'{"packed": true}'), Content_Type="application/json", Content_Encoding="gzip")

    def get_bad_gzip(self) -> None:
        self.reply(b"this is no gzip", Content_Type="text/plain", Content_Encoding="gzip")

    def get_redirect(self) -> None:
        """``/redirect/302?to=...``"""
        to = dict(self.server.received[-1].query)["to"]
        self.reply(b"moved", int(self.arguments[0]), Location=to)

    def get_loop(self) -> None:
        self.reply(b"", 302, Location="/loop")

    def get_set_cookie(self) -> None:
        """``/set-cookie?name=value&...``"""
        self.send_response(200)
        for name, value in self.server.received[-1].query:
            self.send_header("Set-Cookie", f"{name}={value}; Path=/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def get_drop_cookie(self) -> None:
        self.reply(b"", Set_Cookie=f"{self.arguments[0]}=; Path=/; Max-Age=0")

    def get_login(self) -> None:
        self.reply(b"", 302, Location="/echo", Set_Cookie="session=s1; Path=/; HttpOnly")

    def get_large(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(65 * 1024 * 1024))
        self.end_headers()
        self._pour()

    def get_endless(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._pour(b"100000\r\n" + bytes(0x100000) + b"\r\n")

    def _pour(self, block: bytes = bytes(0x100000)) -> None:
        for _ in range(80):
            self.wfile.write(block)

    def get_cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"only this")
        self.close_connection = True

    def get_vanish(self) -> None:
        self.close_connection = True

    def get_silent(self) -> None:
        self.server.gate.wait(20)

    def get_gated(self) -> None:
        self.reply(b"", 200 if self.server.gate.is_set() else 503)

    def get_stale(self) -> None:
        """Answer as if the connection stayed open, and close it at once: the end comes with the answer."""
        if hasattr(socket, "TCP_CORK"):
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        self.reply(b"{}", Content_Type="application/json")
        self.connection.shutdown(socket.SHUT_WR)
        self.close_connection = True

    def get_short_lived(self) -> None:
        self.reply(b"{}", Content_Type="application/json", Keep_Alive="timeout=0")

    def get_old(self) -> None:
        self.protocol_version = "HTTP/1.0"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"old": true}')
        self.close_connection = True

    def get_token(self) -> None:
        self.reply(
            json.dumps({"access_token": f"t{len(self.server.received)}", "expires_in": 60}).encode(),
            Content_Type="application/json",
        )


def _serving(server: _Server) -> Iterator[_Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.stop()
    thread.join()


@pytest.fixture
def server(steps: Steps) -> Iterator[_Server]:
    """An HTTP server; `steps` is closed after it."""
    yield from _serving(_Server(_Handler))


@pytest.fixture
def other_server(steps: Steps) -> Iterator[_Server]:
    """A second HTTP server, another origin."""
    yield from _serving(_Server(_Handler))


@dataclass
class Certificate:
    """Paths of a self-signed certificate and its key."""

    cert: Path
    key: Path


@pytest.fixture(scope="session")
def make_certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Certificate]:
    """Make self-signed certificates for a subject alternative name such as ``DNS:localhost``."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command")
    folder = tmp_path_factory.mktemp("certificates")

    def make(names: str) -> Certificate:
        made = Certificate(folder / f"{abs(hash(names))}.pem", folder / f"{abs(hash(names))}.key")
        if not made.cert.exists():
            request = ["-subj", "/CN=test", "-addext", f"subjectAltName={names}", "-days", "2"]
            files = ["-keyout", str(made.key), "-out", str(made.cert)]
            key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            subprocess.run([openssl, "req", "-x509", *key, *request, *files], check=True, capture_output=True)
        return made

    return make


@pytest.fixture
def certificate(make_certificate: Callable[[str], Certificate]) -> Certificate:
    """A certificate for localhost and 127.0.0.1."""
    return make_certificate("DNS:localhost,IP:127.0.0.1")


def _tls_server(
    certificate: Certificate, client_ca: Path | None = None, handler: type[BaseHTTPRequestHandler] = _Handler
) -> _Server:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    server = _Server(handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


@pytest.fixture
def tls_server(certificate: Certificate, steps: Steps) -> Iterator[_Server]:
    """The HTTP server behind TLS."""
    yield from _serving(_tls_server(certificate))


@pytest.fixture
def mutual_tls_server(certificate: Certificate, steps: Steps) -> Iterator[_Server]:
    """The HTTP server behind TLS that asks for the client certificate `certificate`."""
    yield from _serving(_tls_server(certificate, certificate.cert))


@pytest.fixture
def misnamed_tls_server(make_certificate: Callable[[str], Certificate], steps: Steps) -> Iterator[_Server]:
    """The HTTP server with a certificate for another host."""
    yield from _serving(_tls_server(make_certificate("DNS:other.example")))


class _Proxy(_Handler):
    """Forwards absolute URLs and tunnels CONNECT; asks for ``Basic dTpw`` (u:p) when the server says so."""

    def answer_any(self) -> None:
        if self.refused():
            return
        parts = urlsplit(self.path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.note()
        with socket.create_connection((str(parts.hostname), parts.port or 80)) as upstream:
            head = f"{self.command} {parts.path}{'?' + parts.query if parts.query else ''} HTTP/1.0\r\n\r\n"
            upstream.sendall(head.encode())
            answer = b"".join(iter(lambda: upstream.recv(65536), b""))
        self.wfile.write(answer)
        self.close_connection = True

    do_GET = do_POST = answer_any

    def do_CONNECT(self) -> None:
        if self.refused():
            return
        self.note()
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.pump(upstream)
        self.close_connection = True

    def pump(self, upstream: socket.socket) -> None:
        pairs = {self.connection: upstream, upstream: self.connection}
        while not self.server.gate.is_set():
            for source in select.select(list(pairs), [], [], 0.05)[0]:
                data = source.recv(65536)
                if not data:
                    return
                pairs[source].sendall(data)

    def note(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.received.append(Received(self.command, self.path, headers, b"", self.client_address[1]))

    def refused(self) -> bool:
        if not getattr(self.server, "wants_login", False):
            return False
        if self.headers.get("Proxy-Authorization") == "Basic dTpw":
            return False
        self.reply(b"", 407, Proxy_Authenticate="Basic")
        return True


@pytest.fixture
def proxy(steps: Steps) -> Iterator[_Server]:
    """A forwarding and tunnelling proxy; set *wants_login* to make it ask for u:p."""
    yield from _serving(_Server(_Proxy))


@pytest.fixture
def tls_proxy(steps: Steps, certificate: Certificate) -> Iterator[_Server]:
    """The proxy behind TLS."""
    yield from _serving(_tls_server(certificate, handler=_Proxy))


@dataclass
class Script:
    """A TCP server that runs one function for each connection, and *stopped*, which that function may wait for."""

    port: int
    stopped: threading.Event

    def url(self, path: str = "/", scheme: str = "http") -> str:
        """Return a URL of it."""
        return f"{scheme}://127.0.0.1:{self.port}{path}"


@pytest.fixture
def tcp_script() -> Iterator[Callable[[Callable[[socket.socket, Script], None]], Script]]:
    """Start TCP servers: ``tcp_script(lambda connection, script: connection.sendall(b"..."))``."""
    with ExitStack() as stack:

        def start(play: Callable[[socket.socket, Script], None]) -> Script:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            listener.settimeout(0.05)
            script = Script(listener.getsockname()[1], threading.Event())
            thread = threading.Thread(target=_accept, args=(listener, script, play), daemon=True)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(script.stopped.set)
            return script

        yield start


def _accept(listener: socket.socket, script: Script, play: Callable[[socket.socket, Script], None]) -> None:
    while not script.stopped.is_set():
        with suppress(TimeoutError):
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.settimeout(10)
                play(connection, script)


@pytest.fixture
def dripping(tcp_script: Callable[[Callable[[socket.socket, Script], None]], Script]) -> Callable[..., Script]:
    """Start a server that reads a request, sends *start*, then *piece* again and again, 20 times a second."""

    def serve(start: bytes = b"", piece: bytes = b"") -> Script:
        def play(connection: socket.socket, script: Script) -> None:
            connection.recv(65536)
            connection.sendall(start)
            while not script.stopped.wait(0.05):
                connection.sendall(piece)

        return tcp_script(play)

    return serve


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that nothing listens on, and that nobody else is given; a server of the test may take it."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])
