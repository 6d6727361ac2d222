"""Only this machine's programs and the server's own page can use it, and nothing leads out of the plugins folder."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from pytest_testmesh.errors import MissingDependencyError
from pytest_testmesh.registry.registry import PluginRegistry
from pytest_testmesh.server import run
from pytest_testmesh.server.gate import Gate
from pytest_testmesh.server.security import Access, Rules
from pytest_testmesh.server.settings import ServerError, ServerSettings

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
INSTALL = "/api/v1/plugins/install"


def digest(folder: Path) -> str:
    """A text that changes with any name, mode, link or content below *folder*."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        changed_ns = None if path.is_dir() else state.st_mtime_ns
        content = path.read_bytes() if path.is_file() else b""
        found.update(f"{path}\0{state.st_mode}\0{changed_ns}\0".encode() + content)
    return found.hexdigest()


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory, write_plugin: Any, serve: Any) -> Iterator[tuple[Any, Path]]:
    """A server for requests that are refused, and the folder around its plugins, where nothing may change."""
    around = tmp_path_factory.mktemp("target")
    write_plugin(around / "plugins" / "there", type="auth")
    write_plugin(around / "sources" / "good", type="auth")
    (around / "victim").mkdir()
    with serve(around / "plugins") as client:
        yield client, around


@pytest.fixture
def client(target: tuple[Any, Path]) -> Iterator[Any]:
    """The server of *target*; a test that changes something there fails."""
    running, around = target
    before = digest(around)
    yield running
    assert before == digest(around)


@pytest.mark.parametrize(
    "host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST:{port}", "localhost"]
)
def test_the_names_of_this_machine_are_served(client: Any, host: str) -> None:
    reply = client.request("GET", "/api/v1/plugins", headers={"Host": host.format(port=client.port)})

    assert 200 == reply.status


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "localhost.evil.example:{port}",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io:{port}",
        "localhost.:{port}",
        "evil@localhost:{port}",
        "localhost:{port}, evil.example",
        "localhost:{port}/",
        "192.168.0.7:{port}",
        "0.0.0.0:{port}",
        "[::]:{port}",
        "",
        ":{port}",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/v1/plugins", "/openapi.json", "/docs", "/static/testmesh.css"])
def test_no_other_host_is_served(client: Any, host: str, path: str) -> None:
    """A name that the attacker's DNS gives this machine's address must not make its page one of ours."""
    reply = client.request("GET", path, headers={"Host": host.format(port=client.port)})

    assert 403 == reply.status
    assert "is not served here" in reply.json["error"]


def test_a_request_without_host_is_refused(client: Any) -> None:
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(b"GET /api/v1/plugins HTTP/1.0\r\n\r\n")
        status = connection.makefile("rb").readline()

    assert b"HTTP/1.1 403 Forbidden\r\n" == status


def test_a_request_with_two_hosts_is_refused(client: Any) -> None:
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        status = connection.makefile("rb").readline()

    assert b"HTTP/1.1 400 Bad Request\r\n" == status


HOSTILE = {
    "other host": {"Host": "evil.example", **JSON},
    "other origin": {"Origin": "http://evil.example", **JSON},
    "other port of this host": {"Origin": "http://127.0.0.1:1", **JSON},
    "this host without its port": {"Origin": "http://127.0.0.1", **JSON},
    "other name of this host": {"Origin": "http://localhost:{port}", **JSON},
    "origin that begins like ours": {"Origin": "http://127.0.0.1:{port}.evil.example", **JSON},
    "null origin": {"Origin": "null", **JSON},
    "empty origin": {"Origin": "", **JSON},
    "file origin": {"Origin": "file://", **JSON},
    "cross-site": {"Sec-Fetch-Site": "cross-site", **JSON},
    "same-site": {"Sec-Fetch-Site": "same-site", **JSON},
    "form": FORM,
    "form of another site": {"Origin": "http://evil.example", **FORM},
    "form with file": {"Content-Type": "multipart/form-data; boundary=x"},
    "text": {"Content-Type": "text/plain"},
    "json in name only": {"Content-Type": "text/plain; application/json"},
    "almost json": {"Content-Type": "application/jsonp"},
    "no type": {},
}


@pytest.mark.parametrize("headers", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_page_that_the_user_visits_cannot_install(
    client: Any, target: tuple[Any, Path], headers: dict[str, str]
) -> None:
    body = json.dumps({"source": str(target[1] / "sources" / "good")})
    sent = {name: value.format(port=client.port) for name, value in headers.items()}

    reply = client.request("POST", INSTALL, body, sent)

    assert reply.status in (403, 415)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/there/enable"), ("POST", "/there/disable"), ("POST", "/discover"), ("DELETE", "/there")],
    ids=["enable", "disable", "discover", "uninstall"],
)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null", **FORM, "Content-Length": "0"},
        {**FORM, "Content-Length": "0"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
    ],
    ids=["origin", "form", "form without origin", "fetch", "host"],
)
def test_a_page_that_the_user_visits_cannot_change_anything_without_a_body(
    client: Any, method: str, path: str, headers: dict[str, str]
) -> None:
    reply = client.request(method, f"/api/v1/plugins{path}", headers=headers)

    assert reply.status in (403, 415)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:{port}", "https://127.0.0.1:{port}"])
def test_the_servers_own_page_may_change_things(client: Any, origin: str) -> None:
    """https is what a browser says when something in front of this server speaks TLS for it."""
    reply = client.api("POST", "/discover", Origin=origin.format(port=client.port), **{"Sec-Fetch-Site": "same-origin"})

    assert 200 == reply.status


def test_no_other_origin_may_read(client: Any) -> None:
    replies = [
        client.api("GET", Origin="http://evil.example"),
        client.api("OPTIONS", Origin="http://evil.example", **{"Access-Control-Request-Method": "POST"}),
    ]

    assert [200, 405] == [reply.status for reply in replies]
    assert [] == [name for reply in replies for name in reply.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "plugin_id",
    [
        "..",
        "../x",
        "../victim",
        "%2e%2e",
        "%2E%2E%2Fvictim",
        "..%2fvictim",
        "%2e%2e/victim",
        "..%5cvictim",
        "%252e%252e",
        ".",
        "%2e",
        "%00",
        "there%00",
        "there%2f..%2f..%2fvictim",
        "%2fetc",
        "//etc/passwd",
        "%ff",
        "%ED%A0%80",
        ".testmesh.json",
        "a" * 3000,
        "redis",
    ],
)
def test_no_id_leads_out_of_the_plugins_folder(client: Any, method: str, plugin_id: str) -> None:
    path = f"/api/v1/plugins/{plugin_id}{'/disable' if method == 'POST' else ''}"

    reply = client.request(method, path)

    assert reply.status in (404, 405)
    assert reply.json["error"]


def _linked_file(source: Path) -> None:
    (source / "secret").symlink_to("/etc/hostname")


def _linked_folder(source: Path) -> None:
    (source / "secret").symlink_to("/etc")


def _linked_entry_point(source: Path) -> None:
    (source / "server.py").unlink()
    (source / "server.py").symlink_to("/etc/hostname")


def _linked_manifest(source: Path) -> None:
    (source / "manifest.json").rename(source.parent / "elsewhere.json")
    (source / "manifest.json").symlink_to(source.parent / "elsewhere.json")


@pytest.mark.parametrize("change", [_linked_file, _linked_folder, _linked_entry_point, _linked_manifest])
def test_a_source_whose_links_lead_out_of_it_is_refused(client: Any, make_plugin: Any, change: Any) -> None:
    source = make_plugin(type="auth")
    change(source)

    reply = client.api("POST", "/install", {"source": str(source)})

    assert 422 == reply.status


@pytest.mark.parametrize("plugin_id", ["kafka", "redis", "Redis", "http_request", "log", "database_query", "native"])
def test_the_id_of_something_built_in_is_refused(client: Any, make_plugin: Any, plugin_id: str) -> None:
    source = make_plugin(plugin_id, type="auth")

    reply = client.api("POST", "/install", {"source": str(source)})

    assert 422 == reply.status


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_source_of_another_user_is_refused(client: Any, make_plugin: Any) -> None:
    source = make_plugin(type="auth")
    os.chown(source / "server.py", 12345, -1)

    reply = client.api("POST", "/install", {"source": str(source)})

    assert 422 == reply.status


def test_a_body_that_says_it_is_large_is_refused_unread(client: Any) -> None:
    reply = client.request("POST", INSTALL, None, {"Content-Length": "1048577", **JSON})

    assert 413 == reply.status
    assert "1024 KiB" in reply.json["error"]


@pytest.mark.parametrize("path", [INSTALL, "/api/v1/plugins/there/enable", "/nothing"])
def test_a_body_that_turns_out_to_be_large_is_refused(client: Any, path: str) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"

    reply = client.request(
        "POST", path, None, {"Transfer-Encoding": "chunked", **JSON}, after=chunk * 17 + b"0\r\n\r\n"
    )

    assert (413 if path != "/nothing" else 415, bool(reply.json["error"])) == (reply.status, True)


@pytest.fixture
def ask_gate() -> Callable[..., httpx.Response]:
    """Send a POST through the gate to any application."""

    def ask(app: Any, content: Any = None, **options: Any) -> httpx.Response:
        async def post() -> httpx.Response:
            gate = Gate(app, Rules(ServerSettings(), Access(ServerSettings())), **options)
            async with httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://localhost") as web:
                return await web.post(INSTALL, content=content, headers=JSON)

        return anyio.run(post)

    return ask


def test_a_body_that_does_not_arrive_is_not_waited_for(ask_gate: Any) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await anyio.sleep_forever()

    reply = ask_gate(None, stuck(), body_wait_s=0.05)

    assert (408, {"error": "the body did not arrive within 0.05s"}) == (reply.status_code, reply.json())


REQUEST = b"GET /api/v1/plugins HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", REQUEST[:-2]], ids=["nothing", "no end"])
def test_a_head_that_does_not_arrive_is_not_waited_for(start_server: Any, sent: bytes) -> None:
    with (
        start_server(head_wait_s=0.5) as client,
        socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection,
    ):
        connection.sendall(sent)

        connection.makefile("rb").read()  # returns when the server closes the connection


@pytest.mark.parametrize("before", [b"", REQUEST], ids=["the first", "the next one"])
def test_a_head_that_drips_in_is_not_waited_for(start_server: Any, before: bytes) -> None:
    with (
        start_server(head_wait_s=0.5) as client,
        socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection,
        pytest.raises(ConnectionError),
    ):
        drip(connection, before)


def drip(connection: socket.socket, before: bytes, within_s: float = 60) -> None:
    """Send the request *before*, take its answer, and begin a head that never ends."""
    if before:
        connection.sendall(before)
        connection.recv(65536)
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        connection.sendall(b"G")
        time.sleep(0.05)


def test_what_goes_wrong_inside_is_logged_and_not_told(ask_gate: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("the password is s3cret")

    reply = ask_gate(broken)

    assert (500, "internal error", "nosniff") == (
        reply.status_code,
        reply.json()["error"],
        reply.headers["X-Content-Type-Options"],
    )
    assert "s3cret" not in reply.text
    assert "RuntimeError: the password is s3cret" in caplog.text


def test_answers_carry_the_headers_that_keep_them_to_themselves(client: Any) -> None:
    for path in ("/", "/docs", "/api/v1/plugins", "/nothing", "/static/testmesh.css"):
        headers = client.request("GET", path).headers

        assert headers["Content-Security-Policy"].startswith("default-src 'none';")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert ("nosniff", "same-origin") == (headers["X-Content-Type-Options"], headers["Referrer-Policy"])


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic c2VjcmV0", "s3cret", "Bearer s3cret2"]
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/plugins"), ("POST", INSTALL), ("GET", "/openapi.json")])
def test_with_a_token_the_api_needs_it(start_server: Any, authorization: str | None, method: str, path: str) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    with start_server(token="s3cret") as client:
        reply = client.request(method, path, headers=headers)

    assert (401, "Bearer") == (reply.status, reply.headers["WWW-Authenticate"])
    assert "s3cret" not in reply.body.decode()


def test_the_token_opens_the_api(start_server: Any) -> None:
    with start_server(token="s3cret") as client:
        statuses = [
            client.request("GET", path, headers={"Authorization": "Bearer s3cret"}).status
            for path in ("/api/v1/plugins", "/openapi.json", "/docs", "/")
        ]

    assert [200, 200, 200, 200] == statuses


@pytest.mark.parametrize("path", ["/", "/docs", "/plugins/x/uninstall"])
def test_with_a_token_pages_lead_to_the_login(start_server: Any, path: str) -> None:
    with start_server(token="s3cret") as client:
        reply = client.request("GET", path)

    assert (303, "/login") == (reply.status, reply.headers["Location"])


def test_a_login_opens_the_pages_but_not_the_api(start_server: Any) -> None:
    with start_server(token="s3cret") as client:
        wrong = client.request("POST", "/login", "token=wrong", FORM)
        right = client.request("POST", "/login", "token=s3cret", FORM)
        cookie = {"Cookie": right.headers["Set-Cookie"].partition(";")[0]}
        page = client.request("GET", "/", headers=cookie)
        api = client.request("GET", "/api/v1/plugins", headers=cookie)

    assert (403, None) == (wrong.status, wrong.headers["Set-Cookie"])
    assert {"httponly", "samesite=strict", "path=/"} <= set(right.headers["Set-Cookie"].lower().split("; "))
    assert "s3cret" not in right.headers["Set-Cookie"]
    assert (200, 401) == (page.status, api.status)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.0.7", "build-host"])
def test_other_machines_are_only_let_in_with_a_token(host: str) -> None:
    with pytest.raises(ServerError, match="needs a token"):
        ServerSettings(host=host).check()

    ServerSettings(host=host, token="s3cret").check()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_this_machine_needs_no_token(host: str) -> None:
    ServerSettings(host=host).check()


@pytest.mark.parametrize("token", ["", " ", " s3cret", "s3cret\n", "sécret", "a\0b"])
def test_a_token_that_no_header_can_hold_is_refused(token: str) -> None:
    with pytest.raises(ServerError, match="token"):
        ServerSettings(token=token).check()


def test_a_server_on_all_addresses_is_known_by_addresses_and_by_the_names_it_was_given(start_server: Any) -> None:
    token = {"Authorization": "Bearer s3cret"}
    hosts = ("192.168.0.7:5016", "[fe80::1]:80", "ci.example", "localhost", "evil.example", "192.168.0.7.evil.example")
    with start_server(token="s3cret", host="0.0.0.0", allow_hosts=("CI.example",)) as client:
        statuses = [client.request("GET", "/api/v1/plugins", headers={"Host": host, **token}).status for host in hosts]

    assert [200, 200, 200, 200, 403, 403] == statuses


def test_a_port_that_is_taken_is_told(registry: PluginRegistry, client: Any) -> None:
    with pytest.raises(ServerError, match=f"cannot listen on 127.0.0.1 port {client.port}: Address already in use"):
        run(registry, port=client.port)


def test_without_the_extra_the_pip_line_is_told(registry: PluginRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fastapi", None)

    with pytest.raises(MissingDependencyError) as caught:
        run(registry, port=0)

    assert "testmesh serve needs fastapi" == caught.value.message
    assert "pip install 'pytest-testmesh[server]'" == caught.value.hint
