"""Folders of plugins to install, a registry of its own for each test, and the check that no process is left."""

from __future__ import annotations

import json
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_testmesh.external.lifecycle import Limits
from pytest_testmesh.external.manifest import read_manifest
from pytest_testmesh.external.trial import ask_once
from pytest_testmesh.registry.copying import CopyLimits
from pytest_testmesh.registry.registry import PluginRegistry

TOKEN = "TESTMESH_TEST_TOKEN"
SERVER = """\
import http.server, json, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        action = {"id": os.environ["PLUGIN_ID"] + ".run", "description": "runs"}
        body = json.dumps({"status": "healthy", "id": os.environ["PLUGIN_ID"], "actions": [action]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        os._exit(0)

    def log_message(self, *args):
        pass

http.server.HTTPServer(("127.0.0.1", int(os.environ["PLUGIN_PORT"])), Handler).serve_forever()
"""


def manifest_of(plugin_id: str, **fields: Any) -> str:
    required = {"id": plugin_id, "name": plugin_id, "version": "1.0.0", "type": "action", "entry_point": "server.py"}
    return json.dumps({**required, **fields})


@pytest.fixture
def plugins_dir(tmp_path: Path) -> Path:
    """Where plugins are installed; not there yet."""
    return tmp_path / "plugins"


@pytest.fixture
def cache_path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "plugins.json"


@pytest.fixture
def make_source(tmp_path: Path) -> Callable[..., Path]:
    """Write the folder of a plugin that works; *code* is its server.py, other keywords go to the manifest."""

    def make(plugin_id: str, *, code: str = SERVER, folder: Path | None = None, **fields: Any) -> Path:
        place = folder or tmp_path / "sources" / plugin_id
        place.mkdir(parents=True)
        (place / "manifest.json").write_text(manifest_of(plugin_id, **fields))
        (place / "server.py").write_text(code)
        return place

    return make


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[psutil.Process]]]:
    """Mark every process that this test starts; afterwards none may be left, detached or not."""
    token = uuid.uuid4().hex
    monkeypatch.setenv(TOKEN, token)

    def living() -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _carries(process, token)]

    yield living
    until = time.monotonic() + 30
    while (left := living()) and time.monotonic() < until:
        time.sleep(0.02)
    assert [] == left


def _carries(process: psutil.Process, token: str) -> bool:
    try:
        alive = process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
        return alive and process.environ().get(TOKEN) == token
    except psutil.Error:
        return False


@pytest.fixture
def make_registry(
    plugins_dir: Path, cache_path: Path, processes: Callable[[], list[psutil.Process]]
) -> Callable[..., PluginRegistry]:
    def make(*, copy_limits: CopyLimits | None = None, **limits: float) -> PluginRegistry:
        return PluginRegistry(
            plugins_dir,
            cache_path=cache_path,
            limits=Limits(**{"start_s": 120, **limits}),  # type: ignore[arg-type]
            reserved={"kafka", "http_request"},
            copy_limits=copy_limits,
        )

    return make


@pytest.fixture
def registry(make_registry: Callable[..., PluginRegistry]) -> PluginRegistry:
    return make_registry()


@pytest.fixture
def run_actions(processes: Callable[[], list[psutil.Process]]) -> Callable[[Path], list[str]]:
    """Start the plugin in a folder and return the ids of its actions."""
    return lambda folder: [*ask_once(read_manifest(folder))]


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, tuple[str, bytes]]]:
    """Return the modes and contents of everything below a folder; links are not followed."""

    def describe(path: Path) -> tuple[str, bytes]:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return "link", os.fsencode(os.readlink(path))
        return stat.filemode(mode), path.read_bytes() if stat.S_ISREG(mode) else b""

    def take(folder: Path) -> dict[str, tuple[str, bytes]]:
        paths = [Path(parent, name) for parent, folders, files in os.walk(folder) for name in (*folders, *files)]
        return {str(path.relative_to(folder)): describe(path) for path in paths}

    return take
