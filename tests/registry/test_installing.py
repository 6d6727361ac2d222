"""Installing: all of a plugin is there and works, or nothing has changed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pytest_testmesh.errors import (
    MeshError,
    PluginExistsError,
    PluginManifestError,
    PluginProtocolError,
    PluginRefusedError,
    PluginStartError,
    RegistryError,
)
from pytest_testmesh.external.info_cache import InfoCache
from pytest_testmesh.external.state import LOCK_NAME, STATE_NAME
from pytest_testmesh.registry.copying import CopyLimits
from pytest_testmesh.registry.registry import PluginRegistry
from pytest_testmesh.registry.staging import PREFIX


def entries(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.name not in {LOCK_NAME, STATE_NAME})


def test_an_installed_plugin_works_and_its_actions_are_known(
    registry, make_source, plugins_dir, cache_path, run_actions
):
    plugin = registry.install(make_source("demo"))

    assert ["demo"] == entries(plugins_dir)
    assert ("demo", True, plugins_dir / "demo") == (plugin.manifest.id, plugin.enabled, plugin.manifest.folder)
    assert ["demo.run"] == [action.id for action in plugin.actions]
    assert ["demo.run"] == run_actions(plugin.manifest.folder)
    assert plugin == registry.get("demo")
    assert ["demo.run"] == list(InfoCache(cache_path).actions(plugin.manifest))


def test_the_source_stays_as_it_was_and_is_not_needed_any_more(registry, make_source, snapshot, run_actions):
    source = make_source("demo")
    before = snapshot(source)

    plugin = registry.install(source)

    assert before == snapshot(source)
    source.rename(source.with_name("moved"))
    assert ["demo.run"] == run_actions(plugin.manifest.folder)


def test_the_folder_gets_the_name_of_the_id(registry, make_source, tmp_path, plugins_dir):
    registry.install(make_source("demo", folder=tmp_path / "checkout of demo"))

    assert ["demo"] == entries(plugins_dir)


def test_the_source_may_be_given_as_a_link_and_relative(registry, make_source, tmp_path, monkeypatch):
    make_source("demo")
    (tmp_path / "linked").symlink_to(Path("sources", "demo"))
    monkeypatch.chdir(tmp_path)

    assert "demo" == registry.install(Path("linked")).manifest.id


@pytest.mark.parametrize("kind", ["auth", "exporter", "importer", "reporter"])
def test_other_types_are_installed_without_a_start(registry, make_source, kind):
    plugin = registry.install(make_source("demo", code="raise SystemExit('never run')", type=kind))

    assert (kind, None) == (registry.get("demo").manifest.type, plugin.actions)


def test_each_stage_is_told(registry, make_source):
    lines: list[str] = []
    source = make_source("demo")

    registry.install(source, progress=lines.append)

    assert [f"copying {source}", "starting demo once", "putting demo in its place"] == lines


def test_a_new_plugin_is_enabled_even_if_one_of_its_id_was_disabled_and_deleted_by_hand(
    registry, make_source, plugins_dir
):
    registry.install(make_source("demo"))
    registry.set_enabled("demo", False)
    (plugins_dir / "demo").rename(plugins_dir.parent / "gone")

    assert registry.install(make_source("demo", folder=plugins_dir.parent / "again")).enabled


BAD_SOURCES = {
    "nothing": (lambda place: None, PluginRefusedError, "source does not exist"),
    "file": (lambda place: place.touch(), PluginRefusedError, "source is not a folder"),
    "no manifest": (lambda place: place.mkdir(), PluginManifestError, "manifest.json: cannot be read: No such file"),
    "pipe for a manifest": (
        lambda place: (place.mkdir(), os.mkfifo(place / "manifest.json")),
        PluginManifestError,
        "manifest.json: is not a file",
    ),
    "manifest elsewhere": (
        lambda place: (place.mkdir(), (place / "manifest.json").symlink_to("/etc/hosts")),
        PluginRefusedError,
        "manifest.json is a link out of the folder",
    ),
}


@pytest.mark.parametrize(("make", "error", "message"), BAD_SOURCES.values(), ids=BAD_SOURCES)
def test_what_is_no_plugin_is_refused(registry, tmp_path, plugins_dir, make, error, message):
    make(tmp_path / "source")

    with pytest.raises(error, match=message):
        registry.install(tmp_path / "source")

    assert not plugins_dir.exists()


SLEEP = "import time; time.sleep(600)"
BAD_PLUGINS = {
    "id dot dot": ({"id": ".."}, "", PluginManifestError, "id: '..' is not valid"),
    "id a path": ({"id": "../demo"}, "", PluginManifestError, "id: '../demo' is not valid"),
    "id of a built-in": ({"id": "kafka"}, "", PluginRefusedError, "id kafka is reserved: kafka is built in"),
    "id below a built-in": ({"id": "kafka.x"}, "", PluginRefusedError, "id kafka.x is reserved: kafka is built in"),
    "id like a built-in": ({"id": "Kafka"}, "", PluginRefusedError, "id Kafka is reserved: kafka is built in"),
    "no entry point": ({"entry_point": "x.py"}, "", PluginManifestError, "entry_point: 'x.py' does not exist"),
    "entry point outside": ({"entry_point": "/bin/sh"}, "", PluginManifestError, "leads out of the plugin's folder"),
    "unknown type": ({"type": "x"}, "", PluginManifestError, "type: 'x' is not one of"),
    "exits at once": ({}, "raise SystemExit('no database')", PluginStartError, "exited with code 1 .*: no database"),
    "exits with 0": ({}, "pass", PluginStartError, "plugin demo exited with code 0 before it was healthy"),
    "never healthy": ({}, SLEEP, PluginStartError, "did not listen on 127.0.0.1:[0-9]+ within the start limit of"),
}


@pytest.mark.parametrize("others", [False, True], ids=["no plugins folder", "beside another plugin"])
@pytest.mark.parametrize(("fields", "code", "error", "message"), BAD_PLUGINS.values(), ids=BAD_PLUGINS)
def test_a_failed_installation_changes_nothing(
    make_registry, make_source, snapshot, plugins_dir, cache_path, others, fields, code, error, message
):
    registry = make_registry(**({"start_s": 0.7} if code == SLEEP else {}))
    if others:
        make_source("other", folder=plugins_dir / "other")
    before = snapshot(plugins_dir.parent)
    source = make_source("demo", code=code, **fields)

    with pytest.raises(error, match=message):
        registry.install(source)

    after = snapshot(plugins_dir.parent)
    assert before == {path: each for path, each in after.items() if not path.startswith("sources")}


def test_an_answer_that_is_not_in_the_protocols_shape_is_refused(registry, make_source, plugins_dir):
    source = make_source("demo")
    code = (source / "server.py").read_text().replace('"actions": [action]', '"actions": 5')
    (source / "server.py").write_text(code)

    with pytest.raises(PluginProtocolError, match="plugin demo: GET /info: actions is a number, not a list"):
        registry.install(source)

    assert not plugins_dir.exists()


def test_messages_name_the_source_and_never_the_copy(registry, make_source):
    source = make_source("demo", entry_point="run")
    (source / "run").touch()

    with pytest.raises(PluginStartError) as caught:
        registry.install(source)

    assert f"plugin demo cannot be started: entry point {source}/run is not executable" == caught.value.message
    assert f"run: chmod +x {source}/run" == caught.value.hint


def test_a_link_out_of_the_source_is_refused(registry, make_source, plugins_dir):
    source = make_source("demo")
    (source / "secrets").symlink_to("/etc")

    with pytest.raises(PluginRefusedError, match="secrets is a link out of the folder, to /etc"):
        registry.install(source)

    assert not plugins_dir.exists()


def test_an_entry_point_that_is_not_copied_is_told(registry, make_source):
    source = make_source("demo", entry_point="node_modules/server.js")
    (source / "node_modules").mkdir()
    (source / "node_modules" / "server.js").touch()

    with pytest.raises(PluginRefusedError, match=r"without \.git, \.venv, .* which are not copied: .* does not exist"):
        registry.install(source)


def test_limits_and_owner_hold_for_installations(make_registry, make_source, plugins_dir):
    registry = make_registry(copy_limits=CopyLimits(entries=1))
    source = make_source("demo")

    with pytest.raises(PluginRefusedError, match="holds more than 1 files and folders"):
        registry.install(source)
    with pytest.raises(PluginRefusedError, match="belongs to the user with id"):
        registry.install(source, owner=os.getuid() + 1)

    assert not plugins_dir.exists()


def test_a_second_installation_of_an_id_is_refused(registry, make_source, snapshot, plugins_dir):
    registry.install(make_source("demo"))
    before = snapshot(plugins_dir)

    with pytest.raises(PluginExistsError, match=f"plugin demo is installed already, in {plugins_dir}/demo"):
        registry.install(make_source("demo", folder=plugins_dir.parent / "two", version="2.0.0"))

    assert before == snapshot(plugins_dir)


def test_a_folder_of_that_name_that_is_no_plugin_is_left_alone(registry, make_source, plugins_dir):
    (plugins_dir / "demo").mkdir(parents=True)

    for upgrade in (False, True):
        with pytest.raises(PluginExistsError, match="demo is there already, and is no plugin"):
            registry.install(make_source("demo", folder=plugins_dir.parent / str(upgrade)), upgrade=upgrade)

    assert [] == os.listdir(plugins_dir / "demo")


def test_an_id_that_two_folders_have_is_not_upgraded(registry, make_source, plugins_dir, snapshot):
    for name in ("a", "b"):
        make_source("demo", folder=plugins_dir / name)
    before = snapshot(plugins_dir)

    with pytest.raises(PluginExistsError, match=r"plugins/a and .*plugins/b are in the way of plugin demo"):
        registry.install(make_source("demo"), upgrade=True)

    assert before == {path: each for path, each in snapshot(plugins_dir).items() if path != LOCK_NAME}


def test_an_upgrade_replaces_the_plugin_and_keeps_that_it_is_disabled(registry, make_source, plugins_dir):
    registry.install(make_source("demo"))
    registry.set_enabled("demo", False)
    (plugins_dir / "demo" / "old").touch()

    plugin = registry.install(make_source("demo", folder=plugins_dir.parent / "two", version="2.0.0"), upgrade=True)

    assert ("2.0.0", False) == (plugin.manifest.version, plugin.enabled)
    assert plugin == registry.get("demo")
    assert ["demo"] == entries(plugins_dir)
    assert not (plugins_dir / "demo" / "old").exists()


def test_an_upgrade_of_what_is_not_installed_installs_it(registry, make_source):
    assert registry.install(make_source("demo"), upgrade=True).enabled


def test_an_upgrade_replaces_a_folder_of_another_name_a_broken_plugin_and_a_link_only(
    registry, make_source, plugins_dir, tmp_path
):
    make_source("renamed", folder=plugins_dir / "renamed-1.0")
    make_source("broken", folder=plugins_dir / "broken", version="1")
    linked = make_source("linked", folder=tmp_path / "elsewhere")
    (plugins_dir / "linked").symlink_to(linked)

    for plugin_id in ("renamed", "broken", "linked"):
        registry.install(make_source(plugin_id, version="2.0.0"), upgrade=True)

    assert ["broken", "linked", "renamed"] == entries(plugins_dir)
    assert {"2.0.0"} == {plugin.manifest.version for plugin in registry.list().plugins}
    assert '"1.0.0"' in (linked / "manifest.json").read_text()


def test_an_upgrade_that_fails_keeps_the_old_plugin(registry, make_source, plugins_dir, snapshot, run_actions):
    registry.install(make_source("demo"))
    before = snapshot(plugins_dir)

    with pytest.raises(PluginStartError):
        registry.install(make_source("demo", folder=plugins_dir.parent / "two", code="exit(3)"), upgrade=True)

    assert before == snapshot(plugins_dir)
    assert ["demo.run"] == run_actions(plugins_dir / "demo")


def test_an_upgrade_that_cannot_be_put_in_place_puts_the_old_one_back(
    registry, make_source, plugins_dir, snapshot, monkeypatch
):
    registry.install(make_source("demo"))
    before = snapshot(plugins_dir)
    rename = os.rename

    def full(source, target):
        if PREFIX in str(source) and Path(target) == plugins_dir / "demo" and Path(source).parent.name == "new":
            raise OSError(28, "No space left on device", str(target))
        rename(source, target)

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(RegistryError, match=r"cannot install .*: No space left on device: .*plugins/demo"):
        registry.install(make_source("demo", folder=plugins_dir.parent / "two"), upgrade=True)

    assert before == snapshot(plugins_dir)


@pytest.mark.parametrize("plugin_id", ["new", "demo"])
def test_a_damaged_state_file_stops_an_installation_before_anything_changes(
    registry, make_source, plugins_dir, snapshot, plugin_id
):
    make_source("demo", folder=plugins_dir / "demo")
    (plugins_dir / STATE_NAME).write_text("{")
    before = snapshot(plugins_dir)

    with pytest.raises(RegistryError, match="is not JSON"):
        registry.install(make_source(plugin_id, version="2.0.0"), upgrade=True)

    assert before == {path: each for path, each in snapshot(plugins_dir).items() if path != LOCK_NAME}


def test_a_folder_in_the_plugins_folder_is_installed_already(registry, make_source, plugins_dir, snapshot):
    source = make_source("demo", folder=plugins_dir / "demo")
    before = snapshot(plugins_dir)

    for upgrade in (False, True):
        with pytest.raises(
            PluginExistsError, match=r"plugin demo is installed already: .*demo is in the plugins folder"
        ):
            registry.install(source, upgrade=upgrade)

    assert before == snapshot(plugins_dir)


def test_a_folder_deeper_in_the_plugins_folder_can_be_installed(registry, make_source, plugins_dir):
    make_source("outer", folder=plugins_dir / "outer")

    registry.install(make_source("inner", folder=plugins_dir / "outer" / "examples" / "inner"))

    assert ["inner", "outer"] == entries(plugins_dir)


def test_a_source_around_the_plugins_folder_is_copied_without_it(registry, make_source, plugins_dir):
    make_source("other", folder=plugins_dir / "other")
    around = plugins_dir.parent
    for each in make_source("demo").iterdir():
        each.rename(around / each.name)

    registry.install(around)

    assert ["demo", "other"] == entries(plugins_dir)
    assert not (plugins_dir / "demo" / "plugins").exists()


def test_the_plugins_folder_itself_is_no_plugin(registry, make_source, plugins_dir):
    make_source("demo", folder=plugins_dir)

    with pytest.raises(PluginRefusedError, match="is the plugins folder itself"):
        registry.install(plugins_dir)


def test_a_plugins_folder_that_is_a_file_is_told(registry, make_source, plugins_dir):
    plugins_dir.touch()

    with pytest.raises(MeshError, match=r"Not a directory|File exists"):
        registry.install(make_source("demo"))


INSTALL = """
import sys
from pathlib import Path
from pytest_testmesh.registry.registry import PluginRegistry
PluginRegistry(Path(sys.argv[1])).install(Path(sys.argv[2]), progress=lambda line: print(line, flush=True))
"""


def has_started_a_plugin(pid: int) -> bool:
    """Whether the plugin runs by now; before that, it still holds whatever its parent has open."""
    with contextlib.suppress(psutil.Error):
        return any("PLUGIN_ID" in child.environ() for child in psutil.Process(pid).children())
    return False


@pytest.fixture
def install_apart(plugins_dir, processes):
    """Install in a process of its own; return when the plugin was started, which then never becomes healthy."""
    started = []

    def start(source: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", INSTALL, plugins_dir, source]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        while "starting" not in process.stdout.readline():
            assert process.poll() is None
        while not has_started_a_plugin(process.pid):
            assert process.poll() is None
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_ctrl_c_leaves_nothing_behind(install_apart, make_source, plugins_dir):
    process = install_apart(make_source("demo", code=SLEEP))

    process.send_signal(signal.SIGINT)
    process.wait()

    assert not plugins_dir.exists()


@pytest.mark.parametrize("stage", ["copying", "starting", "putting"])
def test_an_interruption_at_any_stage_changes_nothing(registry, make_source, plugins_dir, snapshot, stage):
    def interrupt(line: str) -> None:
        if line.startswith(stage):
            raise KeyboardInterrupt

    registry.install(make_source("demo"))
    before = snapshot(plugins_dir)

    with pytest.raises(KeyboardInterrupt):
        registry.install(make_source("demo", folder=plugins_dir.parent / "two"), upgrade=True, progress=interrupt)

    assert before == snapshot(plugins_dir)


def test_what_a_killed_installation_left_is_no_plugin_and_goes_with_the_next_one(
    install_apart, make_source, plugins_dir, registry, processes
):
    process = install_apart(make_source("demo", code=SLEEP))

    process.kill()
    process.wait()

    assert ((), ()) == (registry.list().plugins, registry.list().broken)
    assert [True] == [name.startswith(PREFIX) for name in entries(plugins_dir)]
    registry.install(make_source("other"))
    assert ["other"] == entries(plugins_dir)


def test_a_running_installation_is_left_alone_by_others(install_apart, make_source, plugins_dir, registry):
    go = plugins_dir.parent / "go"
    source = make_source("slow")
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    (source / "server.py").write_text(wait + (source / "server.py").read_text())
    process = install_apart(source)

    registry.install(make_source("other"))
    registry.discover()
    registry.uninstall("other")
    go.touch()
    _, errors = process.communicate()

    assert (0, "") == (process.returncode, errors)
    assert ["slow"] == entries(plugins_dir)


def test_an_upgrade_that_was_killed_between_two_renames_is_undone(registry, make_source, plugins_dir, snapshot):
    make_source("demo", folder=plugins_dir / "demo")
    before = snapshot(plugins_dir)
    killed = plugins_dir / f"{PREFIX}killed"
    make_source("demo", folder=killed / "new" / "demo", version="2.0.0")
    (killed / "old").mkdir()
    (plugins_dir / "demo").rename(killed / "old" / "demo")

    assert ["1.0.0"] == [plugin.manifest.version for plugin in registry.discover().plugins]
    assert before == {path: each for path, each in snapshot(plugins_dir).items() if path.startswith("demo")}
    assert ["demo"] == entries(plugins_dir)


def test_an_upgrade_that_was_killed_after_the_renames_stays_done(registry, make_source, plugins_dir):
    make_source("demo", folder=plugins_dir / "demo", version="2.0.0")
    killed = plugins_dir / f"{PREFIX}killed"
    (killed / "new").mkdir(parents=True)
    make_source("demo", folder=killed / "old" / "demo-1.0")

    assert ["2.0.0"] == [plugin.manifest.version for plugin in registry.discover().plugins]
    assert ["demo"] == entries(plugins_dir)


def test_of_two_installations_of_one_id_at_once_one_wins(install_apart, make_source, plugins_dir, run_actions):
    go = plugins_dir.parent / "go"
    sources = [make_source("demo", folder=plugins_dir.parent / name) for name in ("one", "two")]
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    for source in sources:
        (source / "server.py").write_text(wait + (source / "server.py").read_text())
    running = [install_apart(source) for source in sources]

    go.touch()
    errors = [process.communicate()[1] for process in running]

    assert [0, 1] == sorted(process.returncode for process in running)
    assert 1 == sum("PluginExistsError: plugin demo is installed already" in each for each in errors)
    assert ["demo"] == entries(plugins_dir)
    assert ["demo.run"] == run_actions(plugins_dir / "demo")


def test_a_plugin_is_not_installed_into_its_own_source(make_source, snapshot):
    source = make_source("mine")
    before = snapshot(source)

    with pytest.raises(PluginRefusedError, match=r"plugins would lie inside the plugin "):
        PluginRegistry(source / "plugins").install(source)

    assert before == snapshot(source)
