"""The server runs what is enabled, and nothing else: processes follow the API and the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_testmesh.errors import PluginStartError, RegistryError
from pytest_testmesh.external.lifecycle import Limits
from pytest_testmesh.external.manifest import read_manifest
from pytest_testmesh.registry.registry import InstalledPlugin, PluginRegistry
from pytest_testmesh.server import processes as server_processes
from pytest_testmesh.server.processes import PluginProcesses, ProcessState
from pytest_testmesh.server.service import PluginService

SERVE = """
import sys
from pathlib import Path
from pytest_testmesh.registry.registry import PluginRegistry
from pytest_testmesh.server import run
run(PluginRegistry(Path(sys.argv[1])), port=0, on_ready=lambda url: print(url, flush=True))
"""


def test_at_the_start_all_enabled_plugins_are_loaded_without_being_waited_for(
    start_server: Any, make_plugin: Any, plugins_dir: Path, registry: PluginRegistry
) -> None:
    for plugin_id in ("held", "idle"):
        make_plugin(plugin_id, into=plugins_dir)
    registry.set_enabled("idle", False)
    with start_server() as client:
        first = client.plugin("held")
        (plugins_dir / "held" / "go").touch()
        loaded = client.wait_for("held", "loaded", True)
        idle = client.plugin("idle")

    assert (False, True, None) == (first["loaded"], first["starting"], first["error"])
    assert (True, False, "held.run") == (loaded["loaded"], loaded["starting"], loaded["actions"][0]["id"])
    assert (False, False, False) == (idle["enabled"], idle["loaded"], idle["starting"])


def test_a_plugin_that_cannot_start_is_listed_with_its_error(
    start_server: Any, make_plugin: Any, plugins_dir: Path
) -> None:
    make_plugin("broken", into=plugins_dir)
    make_plugin("sound", into=plugins_dir)
    with start_server() as client:
        sound = client.wait_for("sound", "loaded", True)
        broken = client.wait_for("broken", "starting", False)

    assert (None, []) == (sound["error"], sound["stderr"])
    assert (True, False) == (broken["enabled"], broken["loaded"])
    assert (
        "plugin broken exited with code 1 before it was healthy: ValueError: this plugin is broken" == broken["error"]
    )
    assert "ValueError: this plugin is broken" == broken["stderr"][-1]


@pytest.mark.parametrize("end", [("POST", "/disable"), ("DELETE", "")], ids=["disable", "uninstall"])
@pytest.mark.parametrize("plugin_id", ["plain", "detaching", "deaf-detaching"])
def test_disable_and_uninstall_end_all_that_the_plugin_started(
    client: Any, make_plugin: Any, processes: Any, plugin_id: str, end: tuple[str, str]
) -> None:
    client.api("POST", "/install", {"source": str(make_plugin(plugin_id))})
    before = len(processes.of(plugin_id))

    method, path = end
    reply = client.api(method, f"/{plugin_id}{path}")

    assert (2 if "detaching" in plugin_id else 1) == before
    assert 200 == reply.status
    assert [] == processes.of(plugin_id)


def test_enable_starts_the_plugin_again(client: Any, make_plugin: Any, processes: Any) -> None:
    client.api("POST", "/install", {"source": str(make_plugin())})
    client.api("POST", "/my-plugin/disable")

    client.api("POST", "/my-plugin/enable")
    client.api("POST", "/my-plugin/enable")

    assert 1 == len(processes.of("my-plugin"))
    assert (True, True) == tuple(client.plugin("my-plugin")[key] for key in ("enabled", "loaded"))


def test_a_plugin_that_cannot_start_stays_disabled(
    client: Any, make_plugin: Any, plugins_dir: Path, registry: PluginRegistry
) -> None:
    make_plugin("broken", into=plugins_dir)
    registry.set_enabled("broken", False)

    reply = client.api("POST", "/broken/enable")

    assert 422 == reply.status
    assert "ValueError: this plugin is broken" == reply.json["stderr"][-1]
    assert not registry.get("broken").enabled
    assert client.plugin("broken")["error"] is None


def test_a_plugin_that_ended_by_itself_is_told_and_started_by_a_rescan(
    client: Any, make_plugin: Any, processes: Any
) -> None:
    client.api("POST", "/install", {"source": str(make_plugin())})
    for process in processes.of("my-plugin"):
        process.kill()

    ended = client.wait_for("my-plugin", "loaded", False)
    client.api("POST", "/discover")

    assert "plugin my-plugin has ended by itself" == ended["error"]
    assert (True, None) == tuple(client.plugin("my-plugin")[key] for key in ("loaded", "error"))


def test_a_rescan_starts_what_was_repaired(client: Any, make_plugin: Any, plugins_dir: Path) -> None:
    make_plugin("broken", into=plugins_dir)
    failed = client.api("POST", "/discover").json["plugins"][0]
    code = plugins_dir / "broken" / "server.py"
    code.write_text(code.read_text().replace("sys.exit", "print"))

    client.api("POST", "/discover")

    assert failed["error"] is not None
    assert (True, None) == tuple(client.plugin("broken")[key] for key in ("loaded", "error"))


def test_what_the_command_line_disables_or_removes_is_ended(
    client: Any, make_plugin: Any, registry: PluginRegistry, processes: Any
) -> None:
    for plugin_id in ("one", "two-detaching"):
        client.api("POST", "/install", {"source": str(make_plugin(plugin_id))})
    registry.set_enabled("one", False)
    registry.uninstall("two-detaching")

    listed = client.api("GET").json["plugins"]

    assert [("one", False, False)] == [(each["manifest"]["id"], each["enabled"], each["loaded"]) for each in listed]
    assert [] == processes.left_over("one") + processes.left_over("two-detaching")


def test_what_the_command_line_installs_or_enables_is_started(
    client: Any, make_plugin: Any, registry: PluginRegistry
) -> None:
    registry.install(make_plugin("one"))
    registry.install(make_plugin("two"))
    registry.set_enabled("two", False)
    one = client.wait_for("one", "loaded", True)
    two_before = client.plugin("two")
    registry.set_enabled("two", True)

    two = client.wait_for("two", "loaded", True)

    assert (True, False, True) == (one["loaded"], two_before["loaded"], two["loaded"])


def test_what_the_command_line_upgrades_is_started_anew(
    client: Any, make_plugin: Any, registry: PluginRegistry, tmp_path: Path, processes: Any
) -> None:
    client.api("POST", "/install", {"source": str(make_plugin())})
    old = processes.of("my-plugin")
    registry.install(make_plugin(into=tmp_path / "newer", version="2.0.0"), upgrade=True)

    client.plugin("my-plugin")
    client.api("POST", "/discover")

    new = processes.of("my-plugin")
    assert (1, 1) == (len(old), len(new))
    assert old != new


@contextmanager
def server_process(plugins_dir: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(plugins_dir)], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        try:
            assert server.stdout is not None
            yield server, int(server.stdout.readline().rpartition(":")[2])
        finally:
            server.kill()


@pytest.mark.parametrize(
    ("number", "plugin_ids"),
    [
        (signal.SIGINT, ["plain", "detaching"]),
        (signal.SIGTERM, ["plain", "detaching"]),
        (signal.SIGKILL, ["plain", "deaf-detaching"]),
    ],
    ids=["SIGINT", "SIGTERM", "SIGKILL"],
)
def test_no_process_outlives_the_server(
    make_plugin: Any,
    make_client: Any,
    plugins_dir: Path,
    processes: Any,
    number: signal.Signals,
    plugin_ids: list[str],
) -> None:
    for plugin_id in plugin_ids:
        make_plugin(plugin_id, into=plugins_dir)
    with server_process(plugins_dir) as (server, port):
        client = make_client(port)
        loaded = [client.wait_for(plugin_id, "loaded", True)["loaded"] for plugin_id in plugin_ids]
        os.kill(server.pid, number)
        server.wait(60)

    assert [True, True] == loaded
    assert [] == processes.left_over()


def test_a_server_that_is_told_to_end_does_not_wait_for_a_plugin_that_starts(
    make_plugin: Any, make_client: Any, plugins_dir: Path, processes: Any
) -> None:
    """Its start may take 30 s."""
    make_plugin("never", into=plugins_dir)
    with server_process(plugins_dir) as (server, port):
        starting = make_client(port).wait_for("never", "starting", True)
        server.terminate()
        server.wait(25)

    assert starting["starting"]
    assert [] == processes.left_over()


def test_a_server_that_is_told_to_end_does_not_wait_for_an_installation(
    make_plugin: Any, make_client: Any, plugins_dir: Path, processes: Any
) -> None:
    """It may take minutes, if packages are built."""
    source = {"source": str(make_plugin("never"))}
    with server_process(plugins_dir) as (server, port), ThreadPoolExecutor() as pool:
        installing = pool.submit(make_client(port).api, "POST", "/install", source)
        while not processes.of("never"):
            assert not installing.done()
        os.kill(server.pid, signal.SIGINT)
        server.wait(25)

    assert installing.exception() is not None or installing.result().status == 503
    assert [] == processes.left_over()
    assert not (plugins_dir / "never").exists()


@pytest.mark.parametrize("end", [("POST", "/disable"), ("DELETE", "")], ids=["disable", "uninstall"])
def test_a_start_that_takes_long_can_be_interrupted(
    client: Any, make_plugin: Any, plugins_dir: Path, processes: Any, end: tuple[str, str]
) -> None:
    make_plugin("never", into=plugins_dir)
    client.wait_for("never", "starting", True)

    method, path = end
    reply = client.api(method, f"/never{path}")

    assert (200, []) == (reply.status, processes.of("never"))


def test_the_end_does_not_ask_a_plugin_that_does_not_listen_yet(make_plugin: Any, processes: Any) -> None:
    """Asking would take as long as it may take to shut down."""
    running = PluginProcesses(Limits(start_s=600, shutdown_s=600))
    manifest = read_manifest(make_plugin("never"))
    with ThreadPoolExecutor() as pool:
        starting = pool.submit(running.start, manifest)
        while not processes.of("never"):
            assert not starting.done()
        pool.submit(running.close).result(timeout=60)

        assert isinstance(starting.exception(), PluginStartError)


def test_a_plugin_that_starts_is_not_said_to_have_ended_once_its_actions_are_known(
    make_plugin: Any, processes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its ``/info`` and the end of its start is a moment in which somebody may look."""
    states: list[ProcessState] = []
    manifest = read_manifest(make_plugin("one"))
    with closing(PluginProcesses(Limits(start_s=100, shutdown_s=1))) as running:
        monkeypatch.setattr(server_processes, "_told_when_asked", lambda *_: states.append(running.state("one")))
        running.start(manifest)
        states.append(running.state("one"))

    assert [(False, True, None), (True, False, None)] == [(each.loaded, each.starting, each.error) for each in states]


def test_nothing_is_started_or_installed_after_the_end(registry: PluginRegistry, make_plugin: Any) -> None:
    service = PluginService(registry)
    service.close()

    with pytest.raises(RegistryError, match="not installed: the server is shutting down"):
        service.install(str(make_plugin()))
    registry.install(make_plugin("other"))
    with pytest.raises(PluginStartError, match="plugin other is not started: the server is shutting down"):
        service.enable("other")


class FullDisk(PluginRegistry):
    """A registry that cannot write."""

    def set_enabled(self, plugin_id: str, enabled: bool) -> InstalledPlugin:
        raise RegistryError("the disk is full")


def test_a_plugin_that_cannot_be_enabled_does_not_run(
    make_plugin: Any, plugins_dir: Path, registry: PluginRegistry, processes: Any
) -> None:
    make_plugin("one", into=plugins_dir)
    registry.set_enabled("one", False)
    with closing(PluginService(FullDisk(plugins_dir))) as service:
        with pytest.raises(RegistryError, match="the disk is full"):
            service.enable("one")

        assert [] == processes.of("one")
