"""Operations from the API, from processes that use the registry and from the command line, all at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from pytest_testmesh.registry.registry import PluginRegistry

Operation = tuple[str, str]

PROGRAM = """
import json, sys
from pathlib import Path
from pytest_testmesh.registry.registry import PluginRegistry
registry = PluginRegistry(Path(sys.argv[1]))
sources = Path(sys.argv[2])
do = {
    "install": lambda plugin_id: registry.install(sources / plugin_id),
    "enable": lambda plugin_id: registry.set_enabled(plugin_id, True),
    "disable": lambda plugin_id: registry.set_enabled(plugin_id, False),
    "uninstall": registry.uninstall,
}
for name, plugin_id in json.loads(sys.argv[3]):
    do[name](plugin_id)
"""
COMMAND = "from pytest_testmesh.cli import main; main()"
AFTERWARDS = {"install": True, "enable": True, "disable": False, "uninstall": None}


def operations(actor: str, count: int) -> list[Operation]:
    """Return what one actor does, to plugins of its own: each is installed, switched, removed and installed again."""

    def endless() -> Iterator[Operation]:
        while True:
            for name in ("install", "disable", "enable", "disable", "uninstall"):
                yield from ((name, f"{actor}-{letter}") for letter in "abc")

    return list(islice(endless(), count))


def outcome(done: list[Operation]) -> dict[str, bool]:
    """Return which plugins are there in the end, and whether each is enabled."""
    last = {plugin_id: AFTERWARDS[name] for name, plugin_id in done}
    return {plugin_id: enabled for plugin_id, enabled in last.items() if enabled is not None}


class Watcher:
    """Reads state and listing again and again while others write; keeps what is not as it should be."""

    def __init__(self, client: Any, plugins_dir: Path) -> None:
        self.wrong: list[str] = []
        self.looks = 0
        self._over = threading.Event()
        self._client = client
        self._state = plugins_dir / ".testmesh.json"
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.looks += 1
            reply = self._client.api("GET")
            if reply.status != 200 or reply.json["broken"]:
                self.wrong.append(reply.body.decode())
            try:
                json.loads(self._state.read_bytes())
            except FileNotFoundError:
                continue
            except ValueError as exc:
                self.wrong.append(f"torn: {exc}")


@pytest.fixture
def do_over_http(client: Any, tmp_path: Path) -> Callable[[list[Operation]], list[str]]:
    def do(todo: list[Operation]) -> list[str]:
        return [reply.body.decode() for each in todo if (reply := send(*each)).status not in (200, 201)]

    def send(name: str, plugin_id: str) -> Any:
        if name == "install":
            return client.api("POST", "/install", {"source": str(tmp_path / "sources" / plugin_id)})
        return (
            client.api("DELETE", f"/{plugin_id}") if name == "uninstall" else client.api("POST", f"/{plugin_id}/{name}")
        )

    return do


@pytest.fixture
def do_in_process(plugins_dir: Path, tmp_path: Path) -> Callable[[list[Operation]], list[str]]:
    def do(todo: list[Operation]) -> list[str]:
        return _failure("-c", PROGRAM, str(plugins_dir), str(tmp_path / "sources"), json.dumps(todo))

    return do


@pytest.fixture
def do_on_command_line(plugins_dir: Path, tmp_path: Path) -> Callable[[list[Operation]], list[str]]:
    def do(todo: list[Operation]) -> list[str]:
        return [line for each in todo for line in command(*each)]

    def command(name: str, plugin_id: str) -> list[str]:
        what = str(tmp_path / "sources" / plugin_id) if name == "install" else plugin_id
        options = ["--plugins-dir", str(plugins_dir), *(["--yes"] if name == "uninstall" else [])]
        return _failure("-c", COMMAND, "plugins", name, what, *options)

    return do


def _failure(*arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}
    )
    return [done.stderr] if done.returncode else []


def test_200_operations_at_once_lose_nothing(
    client: Any,
    make_plugin: Any,
    plugins_dir: Path,
    registry: PluginRegistry,
    processes: Any,
    do_over_http: Any,
    do_in_process: Any,
    do_on_command_line: Any,
) -> None:
    """Some of the plugins have processes; those run in the end that are enabled then."""
    work = [(do_over_http, operations("real", 20))]
    work += [(do_over_http, operations(f"api{number}", 35)) for number in range(3)]
    work += [(do_in_process, operations(f"program{number}", 30)) for number in range(2)]
    work += [(do_on_command_line, operations(f"command{number}", 8)) for number in range(2)]
    for plugin_id in {plugin_id for _, todo in work for _, plugin_id in todo}:
        make_plugin(plugin_id, type="action" if plugin_id.startswith("real") else "auth")

    with Watcher(client, plugins_dir) as watcher, ThreadPoolExecutor(len(work)) as pool:
        failures = list(pool.map(lambda each: each[0](each[1]), work))
    found = {each.manifest.id: each.enabled for each in registry.list().plugins}

    assert 201 == sum(len(todo) for _, todo in work)
    assert [[]] * len(work) == failures
    assert outcome([operation for _, todo in work for operation in todo]) == found
    assert watcher.looks > 10
    assert [] == watcher.wrong
    running = {plugin_id for plugin_id in found if processes.of(plugin_id)}
    assert {plugin_id for plugin_id, enabled in found.items() if enabled and plugin_id.startswith("real")} == running


def test_one_plugin_from_all_sides_is_there_or_not(
    client: Any, make_plugin: Any, registry: PluginRegistry, processes: Any
) -> None:
    """Every answer is one that the API describes, and in the end disk, listing and processes agree."""
    source = {"source": str(make_plugin())}

    def act(number: int) -> int:
        if number % 3 == 0:
            return int(client.api("POST", "/install", source).status)
        return int(client.api(*(("DELETE", "/my-plugin") if number % 3 == 1 else ("POST", "/my-plugin/enable"))).status)

    with ThreadPoolExecutor(6) as pool:
        statuses = set(pool.map(act, range(24)))
    client.api("POST", "/discover")

    there = [each.manifest.id for each in registry.list().plugins]
    assert statuses <= {200, 201, 404, 409, 422}
    assert there == [each["manifest"]["id"] for each in client.api("GET").json["plugins"] if each["loaded"]]
    assert len(there) == len(processes.of("my-plugin"))
