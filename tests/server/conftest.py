"""Real servers on free ports, with plugins folders of their own; no plugin process may be left after a test."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("fastapi", reason="the extra `server` is not installed")

from pytest_testmesh.external.lifecycle import Limits
from pytest_testmesh.integrations.catalog import reserved_ids
from pytest_testmesh.registry.registry import PluginRegistry
from pytest_testmesh.server.app import create_app
from pytest_testmesh.server.connection import HEAD_WAIT_S
from pytest_testmesh.server.listening import HttpServer, listen
from pytest_testmesh.server.service import PluginService
from pytest_testmesh.server.settings import ServerSettings

HERE = Path(__file__).parent
MARK = "TESTMESH_SERVER_TEST"
API = "/api/v1/plugins"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer; *json* is its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Speaks to one server; what it sends is what the test says, and nothing else."""

    def __init__(self, port: int) -> None:
        self.port = port

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        after: bytes | None = None,
    ) -> Reply:
        """Send one request on a connection of its own; *path*, and what comes *after* the headers, go out as given."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            data = body.encode() if isinstance(body, str) else body
            length = {} if data is None else {"Content-Length": str(len(data))}
            sent = {**length, **(headers or {})}
            connection.putrequest(method, path, skip_host="Host" in sent, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(data if after is None else after)
            response = connection.getresponse()
            return Reply(status=response.status, headers=response.headers, body=response.read())

    def api(self, method: str, path: str = "", value: Any = None, **headers: str) -> Reply:
        """Send JSON to a path below ``/api/v1/plugins``."""
        given = dict(headers)
        if value is not None:
            given["Content-Type"] = "application/json"
        return self.request(method, API + path, None if value is None else json.dumps(value), given)

    def plugin(self, plugin_id: str) -> Any:
        """Return what the API says of one plugin."""
        return self.api("GET", f"/{plugin_id}").json

    def wait_for(self, plugin_id: str, key: str, value: Any, within_s: float = 60.0) -> Any:
        """Return what the API says of a plugin as soon as *key* is *value*, or once the time is up."""
        until = time.monotonic() + within_s
        while (found := self.plugin(plugin_id)).get(key) != value and time.monotonic() < until:
            time.sleep(0.02)
        return found


def _registry(plugins_dir: Path) -> PluginRegistry:
    return PluginRegistry(
        plugins_dir,
        cache_path=plugins_dir.parent / "info.json",
        limits=Limits(start_s=100, shutdown_s=1),
        reserved=reserved_ids(),
    )


@contextmanager
def serving(plugins_dir: Path, *, head_wait_s: float = HEAD_WAIT_S, **settings: Any) -> Iterator[Client]:
    registry = _registry(plugins_dir)
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        service = PluginService(registry, limits=Limits(start_s=100, shutdown_s=1))
        app = create_app(service, settings=ServerSettings(port=port, **settings))
        server = HttpServer(app, service.close, head_wait_s=head_wait_s)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Client(port)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def plugins_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder


@pytest.fixture
def registry(plugins_dir: Path) -> PluginRegistry:
    """What the command line works on."""
    return _registry(plugins_dir)


def _write_plugin(folder: Path, **manifest: Any) -> Path:
    folder.mkdir(parents=True)
    fields = {
        "id": folder.name,
        "name": folder.name,
        "version": "1.0.0",
        "type": "action",
        "entry_point": "server.py",
        **manifest,
    }
    (folder / "manifest.json").write_text(json.dumps(fields), encoding="utf-8")
    shutil.copy(HERE / "served_plugin.py", folder / "server.py")
    return folder


@pytest.fixture(scope="session")
def write_plugin() -> Callable[..., Path]:
    """Write a plugin into a folder, whose name is its id unless the manifest says otherwise."""
    return _write_plugin


@pytest.fixture
def make_plugin(tmp_path: Path) -> Callable[..., Path]:
    """Write a plugin that can be installed, or into the folder *into*."""

    def make(plugin_id: str = "my-plugin", *, into: Path = tmp_path / "sources", **manifest: Any) -> Path:
        return _write_plugin(into / plugin_id, **manifest)

    return make


class Processes:
    """The processes that one test starts, known by a variable of their environment, which children inherit."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def of(self, plugin_id: str) -> list[psutil.Process]:
        """Return the living processes of one plugin."""
        return [each for each in self.all() if _environment(each).get("PLUGIN_ID") == plugin_id]

    def all(self) -> list[psutil.Process]:
        """Return all that live but this one."""
        return [each for each in psutil.process_iter() if each.pid != os.getpid() and self._is_ours(each)]

    def left_over(self, plugin_id: str | None = None, within_s: float = 30.0) -> list[psutil.Process]:
        """Return what still lives after *within_s*: of one plugin, or of all there is."""
        until = time.monotonic() + within_s
        while (found := self.of(plugin_id) if plugin_id else self.all()) and time.monotonic() < until:
            time.sleep(0.02)
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        return _environment(process).get(MARK) == self.mark


def _environment(process: psutil.Process) -> Mapping[str, str]:
    try:
        return {} if process.status() == psutil.STATUS_ZOMBIE else process.environ()
    except psutil.Error:
        return {}


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    """Mark every process that this test starts; afterwards none may be left, detached or not."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    found = Processes(mark)
    yield found
    assert [] == found.left_over()


@pytest.fixture
def client(plugins_dir: Path, processes: Processes) -> Iterator[Client]:
    """A server without token on an empty folder."""
    with serving(plugins_dir) as running:
        yield running


@pytest.fixture
def make_client() -> Callable[[int], Client]:
    """Return a client of any server, by its port."""
    return Client


@pytest.fixture(scope="session")
def serve() -> Callable[..., Any]:
    """Return a context of a server on a folder."""
    return serving


@pytest.fixture(scope="session")
def idle_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server without token for requests that change nothing."""
    folder = tmp_path_factory.mktemp("idle") / "plugins"
    folder.mkdir()
    with serving(folder) as running:
        yield running


@pytest.fixture
def start_server(plugins_dir: Path, processes: Processes) -> Callable[..., Any]:
    """Return a context of a server, for tests that prepare the folder first or need settings of their own."""

    def start(**settings: Any) -> Any:
        return serving(plugins_dir, **settings)

    return start
