"""The SDK of plugins in Python: the page's protocol over real sockets, and what an author is told."""

from __future__ import annotations

import ast
import contextlib
import functools
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_testmesh import plugin_sdk
from pytest_testmesh.errors import ActionError
from pytest_testmesh.external.pool import ExternalPlugins
from pytest_testmesh.plugin_sdk import Plugin, PluginError

SDK = Path(plugin_sdk.__file__)
PORT_TRIES = 3
MANIFEST = {
    "id": "shop",
    "name": "Shop",
    "version": "1.2.3",
    "description": "Sells mugs",
    "type": "action",
    "entry_point": "server.py",
    "config": {"currency": "EUR", "limit": 5},
}
SERVER = '''
import datetime, os, sys, threading, time
from plugin_sdk import Plugin, PluginError

plugin = Plugin()
meeting = threading.Barrier(2)
SCHEMA = {"type": "object", "properties": {"sku": {"type": "string"}}}


@plugin.action("shop.order", schema=SCHEMA, name="Order", description="Orders an article")
def order(config, context, log):
    log("ordering")
    log("few are left", level="warning")
    log.metric("left", 3)
    return {"config": config, "context": context}


@plugin.action("shop.look_around")
def look_around(config, context, log):
    """Look at everything.

    This takes a while.
    """
    return {}


@plugin.action("shop.meet")
def meet(config, context, log):
    return {"met": meeting.wait(timeout=60) in (0, 1)}


@plugin.action("shop.sleep")
def sleep(config, context, log):
    time.sleep(600)


@plugin.action("shop.crash")
def crash(config, context, log):
    os._exit(3)


@plugin.action("shop.run")
def run(config, context, log):
    """Return what the Python expression in the config gives."""
    log("about to run it")
    return eval(config["code"], {**globals(), "log": log})


def fail(*args, **details):
    raise PluginError(*args, **details)


def loop():
    endless = {}
    endless["self"] = endless
    return endless


def deep():
    value = {}
    for _ in range(100_000):
        value = {"in": value}
    return value


if __name__ == "__main__":
    plugin.run()
    print("cleaned up", flush=True)
'''


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One HTTP answer; *closes* says whether the connection ends after it."""

    status: int
    body: Any
    closes: bool


class Server:
    """A running plugin."""

    def __init__(self, folder: Path) -> None:
        for _ in range(PORT_TRIES):
            self._start(folder)
            if self._listens():
                return
            self.process.kill()
            _, said = self.process.communicate()
            if "already in use" not in said:
                break
        raise AssertionError(said)

    def _start(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        environment = {**os.environ, "PLUGIN_PORT": str(self.port), "PLUGIN_ID": "shop"}
        pipe = subprocess.PIPE
        command = [sys.executable, str(folder / "server.py")]
        self.process = subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)

    def _listens(self) -> bool:
        """Wait until it does itself; False when it has ended before that, as when its port was taken meanwhile."""
        process = psutil.Process(self.process.pid)
        until = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(psutil.Error):
                if any(each.status == psutil.CONN_LISTEN for each in process.net_connections()):
                    return True
            time.sleep(0.005)
        return False

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def send(self, *pieces: bytes, answers: int = 1) -> list[Answer]:
        """Send bytes over one connection and read that many answers."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            with connection.makefile("rb") as stream:
                return [read_answer(stream) for _ in range(answers)]

    def execute(self, action: str, **fields: Any) -> Answer:
        return self.send(request("POST", "/execute", {"action": action, **fields}))[0]

    def run(self, code: str) -> Any:
        return self.execute("shop.run", config={"code": code}).body

    def end(self) -> tuple[int, str, str]:
        """Wait for the end; return exit code, stdout and stderr."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


def request(method: str, path: str, content: Any = None, *headers: str) -> bytes:
    body = b"" if content is None else json.dumps(content).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def read_answer(stream: Any) -> Answer:
    status = int(stream.readline().split()[1])
    headers = http.client.parse_headers(stream)
    assert "application/json" == headers["Content-Type"]
    body = stream.read(int(headers["Content-Length"]))
    return Answer(status=status, body=json.loads(body), closes=headers.get("Connection") == "close")


def write_plugin(folder: Path, code: str = SERVER) -> Path:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    (folder / "server.py").write_text(textwrap.dedent(code), encoding="utf-8")
    shutil.copy(SDK, folder)
    return folder


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Server]]:
    """Start plugins that the test ends itself, or that are killed after it."""
    folder = write_plugin(tmp_path / "shop")
    servers: list[Server] = []

    def begin() -> Server:
        servers.append(Server(folder))
        return servers[-1]

    yield begin
    for server in servers:
        server.process.kill()
        server.process.communicate()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One plugin for all tests that leave it as it was; afterwards it must still be whole."""
    server = Server(write_plugin(tmp_path_factory.mktemp("sdk") / "shop"))
    try:
        yield server
        server.send(request("POST", "/shutdown"))
        assert 0 == server.end()[0]
    finally:
        server.process.kill()
        server.process.communicate()


def test_health_is_as_on_the_page(shop: Server) -> None:
    (answer,) = shop.send(request("GET", "/health"))

    assert 200 == answer.status
    assert {"status", "version", "uptime_seconds"} == answer.body.keys()
    assert ("healthy", "1.2.3", int) == (*list(answer.body.values())[:2], type(answer.body["uptime_seconds"]))


def test_info_tells_what_manifest_and_decorators_say(shop: Server) -> None:
    info = shop.send(request("GET", "/info"))[0].body

    about = {"id": "shop", "name": "Shop", "version": "1.2.3", "description": "Sells mugs"}
    assert about == {key: value for key, value in info.items() if key != "actions"}
    order, look_around = info["actions"][:2]
    schema = {"type": "object", "properties": {"sku": {"type": "string"}}}
    assert {"id": "shop.order", "name": "Order", "description": "Orders an article", "schema": schema} == order
    assert {"id": "shop.look_around", "name": "Look around", "description": "Look at everything."} == look_around


def test_an_action_returns_its_output_with_logs_and_metrics(shop: Server) -> None:
    answer = shop.execute("shop.order").body

    assert {"success", "output", "logs", "metrics"} == answer.keys()
    assert [("info", "ordering"), ("warning", "few are left")] == [
        (entry["level"], entry["message"]) for entry in answer["logs"]
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer["logs"][0]["timestamp"])
    assert 3 == answer["metrics"]["left"]
    assert answer["metrics"]["duration_ms"] >= 0


def test_the_manifests_config_lies_under_the_steps(shop: Server) -> None:
    answer = shop.execute("shop.order", config={"limit": 1, "sku": "mug"})

    assert {"currency": "EUR", "limit": 1, "sku": "mug"} == answer.body["output"]["config"]


def test_the_context_is_what_was_sent(shop: Server) -> None:
    context = {
        "execution_id": "exec-123",
        "flow_id": "flow-456",
        "step_id": "step-789",
        "variables": {"base_url": "https://example.com"},
        "step_outputs": {"navigate": {"url": "https://example.com/products"}},
    }

    assert context == shop.execute("shop.order", context=context).body["output"]["context"]


@pytest.mark.parametrize("fields", [{}, {"config": None, "context": None}], ids=["left out", "null"])
def test_a_request_by_hand_needs_only_the_action(shop: Server, fields: dict[str, None]) -> None:
    output = shop.execute("shop.order", **fields).body["output"]

    empty = {"execution_id": "", "flow_id": "", "step_id": "", "variables": {}, "step_outputs": {}}
    assert {"config": MANIFEST["config"], "context": empty} == output


@pytest.mark.parametrize(
    ("code", "error"),
    [
        pytest.param('fail("SOLD_OUT", "no mugs", sku="mug")', ("SOLD_OUT", "no mugs", {"sku": "mug"}), id="own"),
        pytest.param('fail("X", "m", code=1, message=2)', ("X", "m", {"code": 1, "message": 2}), id="any detail"),
        pytest.param(
            'fail("X", "m", on=datetime.date(2024, 1, 2), nan=float("nan"))',
            ("X", "m", {"on": "datetime.date(2024, 1, 2)", "nan": "nan"}),
            id="details that are not JSON",
        ),
        pytest.param("fail(404, None)", ("404", "None", {}), id="not texts"),
        pytest.param("1 / 0", ("ZeroDivisionError", "division by zero", {}), id="bug"),
        pytest.param("sys.exit(2)", ("SystemExit", "2", {}), id="exit"),
        pytest.param("None", ("BAD_RESULT", "shop.run returned NoneType, not a dict", {}), id="nothing"),
        pytest.param("[1]", ("BAD_RESULT", "shop.run returned list, not a dict", {}), id="list"),
    ],
)
def test_a_failing_action_tells_code_message_and_details(shop: Server, code: str, error: tuple[Any, ...]) -> None:
    answer = shop.run(code)

    assert (False, {}) == (answer["success"], answer["output"])
    assert error == tuple(answer["error"].values())
    assert ["about to run it"] == [entry["message"] for entry in answer["logs"]]


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ('{"rows": [{}, {"born": datetime.date.today()}]}', "output.rows.1.born: Object of type date is not JSON"),
        ('{"rows": ({1}, 2)}', "output.rows.0: Object of type set is not JSON"),
        ('{"price": float("inf")}', "output.price: Out of range float values are not JSON"),
        ('{"by_place": {(1, 2): 3}}', "output.by_place: keys must be str, int, float, bool or None"),
        ("loop()", "output.self.self"),
        ("deep()", "output.in.in"),
        ('log.metric("rate", float("nan")) or {}', "metrics.rate: Out of range float values are not JSON"),
    ],
    ids=["date", "set", "infinity", "key", "circle", "depth", "metric"],
)
def test_a_result_that_is_not_json_names_the_place(shop: Server, code: str, problem: str) -> None:
    error = shop.run(code)["error"]

    assert ("BAD_RESULT", f"the result is not JSON: {problem}") == (
        error["code"],
        error["message"][: len("the result is not JSON: ") + len(problem)],
    )


def test_an_unknown_action_is_refused_as_on_the_page(shop: Server) -> None:
    answer = shop.execute("shop.ordr")

    assert (400, False, {}) == (answer.status, answer.body["success"], answer.body["output"])
    assert {"code": "UNKNOWN_ACTION", "message": "plugin shop has no action shop.ordr", "details": {}} == (
        answer.body["error"]
    )


ORDER = request("POST", "/execute", {"action": "shop.order"})
BIG = "x" * 65536


@pytest.mark.parametrize(
    ("raw", "status", "message"),
    [
        pytest.param(request("POST", "/execute"), 400, "not JSON", id="no body"),
        pytest.param(b"POST /execute HTTP/1.1\r\nContent-Length: 1\r\n\r\n{", 400, "not JSON", id="half JSON"),
        pytest.param(b"POST /execute HTTP/1.1\r\nContent-Length: 2\r\n\r\n\xff\xfe", 400, "not JSON", id="not UTF-8"),
        pytest.param(request("POST", "/execute", []), 400, "the body is not {", id="no object"),
        pytest.param(request("POST", "/execute", {"config": {}}), 400, "the body is not {", id="no action"),
        pytest.param(request("POST", "/execute", {"action": 1}), 400, "the body is not {", id="action no text"),
        pytest.param(
            request("POST", "/execute", {"action": "x", "config": [1]}), 400, "the body is not {", id="config"
        ),
        pytest.param(b"POST /execute HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "'-1'", id="negative length"),
        pytest.param(
            b"POST /execute HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            400,
            "'2, 2'",
            id="two lengths",
        ),
        pytest.param(b"POST /execute HTTP/1.1\r\nContent-Length: 67108865\r\n\r\n", 413, "67108864", id="too large"),
        pytest.param(b"POST /x HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 413, "67", id="huge number"),
        pytest.param(
            b"POST /execute HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            411,
            "Content-Length",
            id="chunked",
        ),
        pytest.param(request("GET", "/info", None, "Origin: http://a.example"), 403, "web page", id="from a web page"),
        pytest.param(request("GET", "/info", None, f"X: {BIG}"), 431, "65536 bytes", id="long header"),
        pytest.param(request("GET", "/info", None, *["X: y"] * 20000), 431, "65536 bytes", id="many headers"),
        pytest.param(request("GET", "/info", None, "no colon"), 400, "'no colon'", id="no header"),
        pytest.param(request("GET", "/info", None, "Name : x"), 400, "'Name : x'", id="space in a header's name"),
        pytest.param(request("GET", "/info", None, " folded"), 400, "' folded'", id="folded header"),
        pytest.param(b"GET /info\r\n\r\n", 400, "'GET /info'", id="HTTP/0.9"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "'PRI * HTTP/2.0'", id="HTTP/2"),
        pytest.param(b"\x16\x03\x01\x02\x00\r\n\r\n", 400, "HTTP/1.1", id="TLS"),
    ],
)
def test_a_bad_request_is_refused_and_the_next_one_served(shop: Server, raw: bytes, status: int, message: str) -> None:
    (answer,) = shop.send(raw)

    assert (status, True, "BAD_REQUEST") == (answer.status, answer.closes, answer.body["error"]["code"])
    assert message in answer.body["error"]["message"]
    assert shop.send(ORDER)[0].body["success"]


@pytest.mark.parametrize("asked", ["GET /", "GET /execute", "PUT /info", "POST /health", "GET /shutdown"])
def test_what_the_page_does_not_have_is_not_found(shop: Server, asked: str) -> None:
    answers = shop.send(request(*asked.split()), request("GET", "/health"), answers=2)

    assert [(404, {"error": "not found"}), (200, "healthy")] == [
        (answers[0].status, answers[0].body),
        (answers[1].status, answers[1].body["status"]),
    ]


def test_a_body_that_is_too_large_is_refused_to_a_client_that_sends_it_all(shop: Server) -> None:
    (answer,) = shop.send(b"POST /execute HTTP/1.1\r\nContent-Length: 70000000\r\n\r\n", b" " * 70_000_000)

    assert 413 == answer.status


def test_a_connection_carries_many_requests(shop: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shop.port, timeout=60)
    sockets = set()
    for number in range(20):
        connection.request("POST", "/execute", json.dumps({"action": "shop.order", "config": {"number": number}}))
        with connection.getresponse() as answer:
            assert number == json.loads(answer.read())["output"]["config"]["number"]
        sockets.add(connection.sock)

    assert 1 == len(sockets - {None})
    connection.close()


def test_requests_sent_without_waiting_are_answered_in_order(shop: Server) -> None:
    answers = shop.send(request("GET", "/nothing") + ORDER + request("GET", "/health"), answers=3)

    assert [404, 200, 200] == [answer.status for answer in answers]
    assert ["error", "success", "status"] == [next(iter(answer.body)) for answer in answers]


def test_a_request_may_come_byte_by_byte(shop: Server) -> None:
    assert shop.send(*(bytes([byte]) for byte in ORDER))[0].body["success"]


def test_an_answer_is_sent_in_one_piece(shop: Server) -> None:
    with shop.connect() as connection:
        connection.sendall(ORDER)
        head, _, body = connection.recv(65536).partition(b"\r\n\r\n")

    assert b"HTTP/1.1 200 OK" == head.split(b"\r\n")[0]
    assert json.loads(body)["success"]


@pytest.mark.parametrize("sent", [b"GET", b"GET /info HTTP/1.1\r\nHo", ORDER[:-5], b"\r\n\r\n", b""])
def test_a_request_that_breaks_off_only_ends_its_connection(shop: Server, sent: bytes) -> None:
    with shop.connect() as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert b"" == connection.recv(100)

    assert shop.send(ORDER)[0].body["success"]


@pytest.mark.parametrize(
    ("raw", "closes"),
    [
        (b"GET /info HTTP/1.1\r\n\r\n", False),
        (b"GET /info HTTP/1.1\r\nconnection: Close\r\n\r\n", True),
        (b"GET /info HTTP/1.0\r\n\r\n", True),
        (b"GET /info HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", False),
        (b"GET /info HTTP/1.1\n\n", False),
        (b"HEAD /info HTTP/1.1\r\n\r\n", True),
    ],
    ids=["1.1", "1.1 close", "1.0", "1.0 keep-alive", "bare line feeds", "HEAD"],
)
def test_the_client_says_whether_the_connection_stays(shop: Server, raw: bytes, closes: bool) -> None:
    with shop.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(raw)
        assert closes == read_answer(stream).closes
        if closes:
            assert b"" == stream.read()
        else:
            connection.sendall(ORDER)
            assert 200 == read_answer(stream).status


def test_a_client_that_asks_first_may_send_its_body(shop: Server) -> None:
    head, _, body = request("POST", "/execute", {"action": "shop.order"}, "Expect: 100-continue").partition(b"\r\n\r\n")
    with shop.connect() as connection, connection.makefile("rb") as stream:
        connection.sendall(head + b"\r\n\r\n")
        assert [b"HTTP/1.1 100 Continue\r\n", b"\r\n"] == [stream.readline(), stream.readline()]
        connection.sendall(body)
        assert read_answer(stream).body["success"]


def test_actions_run_at_once(shop: Server) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: shop.execute("shop.meet").body, range(2)))

    assert [{"met": True}] * 2 == [answer["output"] for answer in answers]


def test_parallel_calls_get_their_own_answers_logs_and_metrics(shop: Server) -> None:
    def call(number: int) -> tuple[int, int, float]:
        code = f"log.metric('m', {number}) or {{'n': {number}}}"
        answer = shop.run(code)
        return answer["output"]["n"], len(answer["logs"]), answer["metrics"]["m"]

    with ThreadPoolExecutor(16) as pool:
        assert [(number, 1, number) for number in range(200)] == list(pool.map(call, range(200)))


def test_the_traceback_of_a_bug_is_on_stderr_without_frames_of_the_sdk(start: Callable[[], Server]) -> None:
    server = start()
    server.run("1 / 0")
    server.send(request("POST", "/shutdown"))

    code, _, stderr = server.end()
    assert 0 == code
    assert stderr.startswith("Traceback (most recent call last):\n")
    assert stderr.endswith("ZeroDivisionError: division by zero\n")
    assert ["server.py", "<string>"] == [Path(name).name for name in re.findall(r'File "(.*?)"', stderr)]


def test_shutdown_answers_then_ends_while_connections_are_open_and_actions_run(start: Callable[[], Server]) -> None:
    server = start()
    with server.connect(), server.connect() as busy:
        busy.sendall(request("POST", "/execute", {"action": "shop.sleep"}))
        (answer,) = server.send(request("POST", "/shutdown"))

        assert (200, {"message": "shutting down"}) == (answer.status, answer.body)
        assert (0, "cleaned up\n", "") == server.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_ends_the_plugin_cleanly_also_while_connections_come_in(
    start: Callable[[], Server], number: signal.Signals
) -> None:
    server = start()
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(server.connect())
        server.process.send_signal(number)

        assert (0, "cleaned up\n", "") == server.end()


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "shop")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = {**os.environ, "PLUGIN_PORT": str(taken.getsockname()[1])}
        command = [sys.executable, str(folder / "server.py")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert 1 == done.returncode
    assert "Address already in use" in done.stderr


def test_started_by_hand_it_says_how_to_try_it(tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "shop")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PLUGIN_")}
    command = [sys.executable, "server.py"]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=-1, stderr=-1, text=True) as process:
        said = process.stdout.readline() + process.stdout.readline()
        process.terminate()
        _, stderr = process.communicate()
    if "already in use" in stderr:
        pytest.skip("another program listens on port 8080")

    assert (
        "shop listens; Ctrl-C ends it. Try:\n"
        """  curl 127.0.0.1:8080/execute -d '{"action": "shop.order", "config": {}}'\n"""
    ) == said


def test_a_plugin_without_manifest_says_where_one_was_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUGIN_ID", raising=False)

    with pytest.raises(ValueError, match=rf"there is no {re.escape(str(Path(__file__).with_name('manifest.json')))}"):
        Plugin()


def test_fields_may_be_given_and_the_id_by_who_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUGIN_ID", raising=False)
    assert "mine" == Plugin(id="mine", version="1.0.0").id

    monkeypatch.setenv("PLUGIN_ID", "theirs")
    assert "theirs" == Plugin(id="mine").id


class Callee:
    def __call__(self, config: object, context: object, log: object) -> dict[str, object]:
        return {}


@pytest.mark.parametrize(
    "function",
    [
        lambda config, context, log: {},
        lambda *args: {},
        lambda config, context, log, extra=None: {},
        functools.partial(lambda extra, config, context, log: {}, 1),
        Callee(),
    ],
    ids=["three", "any", "default", "partial", "object"],
)
def test_a_function_that_takes_three_arguments_can_be_an_action(function: Callable[..., dict[str, Any]]) -> None:
    assert function is Plugin(id="shop").action("shop.x")(function)


@pytest.mark.parametrize(
    "function",
    [dict, lambda config: {}, lambda a, b, c, d: {}, lambda config, context, log, *, key: {}],
    ids=["a class", "one", "four", "keyword"],
)
def test_a_function_with_other_parameters_is_refused_at_once(function: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(TypeError, match=r"action shop\.x: the function must take \(config, context, log\): "):
        Plugin(id="shop").action("shop.x")(function)


def test_an_action_can_be_registered_once() -> None:
    plugin = Plugin(id="shop")
    plugin.action("shop.x")(lambda config, context, log: {})

    with pytest.raises(ValueError, match=r"action shop\.x is registered twice"):
        plugin.action("shop.x")


def test_a_schema_must_be_json() -> None:
    with pytest.raises(TypeError, match=r"the schema of action shop\.x is not JSON: required: Object of type set"):
        Plugin(id="shop").action("shop.x", schema={"required": {"name"}})


def test_a_plugin_error_is_an_exception_like_others() -> None:
    error = PluginError("SOLD_OUT", "no mugs", sku="mug")

    assert ("no mugs", "SOLD_OUT", {"sku": "mug"}) == (str(error), error.code, error.details)


def test_the_pool_runs_an_sdk_plugin_through_its_whole_life(tmp_path: Path) -> None:
    write_plugin(tmp_path / "shop")
    pool = ExternalPlugins(tmp_path)
    try:
        assert "EUR" == pool.call("shop.order", step_id="s1")["config"]["currency"]
        with pytest.raises(ActionError, match=r"^SOLD_OUT: no mugs$") as failed:
            pool.call("shop.run", {"code": 'fail("SOLD_OUT", "no mugs", sku="mug")'})
        assert ("SOLD_OUT", {"sku": "mug"}) == (failed.value.code, failed.value.details)
        with pytest.raises(Exception, match="exited with code 3"):
            pool.call("shop.crash")
        assert {} == pool.call("shop.look_around")
    finally:
        pool.stop()


def test_the_sdk_imports_nothing_but_the_standard_library() -> None:
    tree = ast.parse(SDK.read_text(encoding="utf-8"), feature_version=(3, 8))

    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert set() == {name.partition(".")[0] for name in imported} - sys.stdlib_module_names


def test_loading_the_sdk_loads_little() -> None:
    """Each of the modules named here takes longer than all that is loaded; 60 is what they come to, with room."""
    code = "import sys; before = set(sys.modules); import plugin_sdk; print(*(set(sys.modules) - before))"
    run = [sys.executable, "-S", "-c", code]
    loaded = set(subprocess.run(run, cwd=SDK.parent, capture_output=True, text=True, check=True).stdout.split())

    slow = {"argparse", "asyncio", "dataclasses", "email", "http", "inspect", "logging", "pathlib", "ssl"}
    slow |= {"socketserver", "subprocess", "tempfile", "traceback", "typing", "urllib"}
    assert set() == loaded & slow
    assert 60 >= len(loaded)
