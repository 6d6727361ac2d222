"""Listing, finding, enabling, removing and rescanning what the plugins folder holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pytest_testmesh.errors import (
    PluginExistsError,
    PluginManifestError,
    PluginNotFoundError,
    PluginStartError,
    RegistryError,
)
from pytest_testmesh.external.state import LOCK_NAME, STATE_NAME, read_state
from pytest_testmesh.registry.staging import PREFIX


@pytest.fixture
def add(make_source, plugins_dir):
    """Put a plugin into the plugins folder by hand."""

    def place(plugin_id, name=None, **fields):
        return make_source(plugin_id, folder=plugins_dir / (name or plugin_id), **fields)

    return place


def test_no_plugins_folder_is_an_empty_one(registry, plugins_dir):
    listing = registry.list()

    assert ((), (), (), ()) == (listing.plugins, listing.broken, listing.ignored, listing.failed)
    assert not plugins_dir.exists()


def test_the_listing_tells_good_broken_and_foreign_folders_apart(registry, add, plugins_dir):
    for name in ("b", "a"):
        add(name)
    add("broken", "folder", version="1")
    (plugins_dir / "foreign").mkdir()
    (plugins_dir / "foreign" / "manifest.json").write_text('{"manifest_version": 3}')

    listing = registry.list()

    assert [("a", plugins_dir / "a"), ("b", plugins_dir / "b")] == [(p.manifest.id, p.place) for p in listing.plugins]
    assert [("broken", plugins_dir / "folder")] == [(error.plugin_id, error.folder) for error in listing.broken]
    assert (plugins_dir / "foreign",) == listing.ignored


def test_listing_and_getting_start_nothing_and_write_nothing(registry, add, snapshot, tmp_path):
    add("demo", code="open('started', 'w')")
    before = snapshot(tmp_path)

    assert registry.list().plugins == (registry.get("demo"),)
    assert before == snapshot(tmp_path)


OUTSIDE = ["..", ".", "", "../sources/demo", "/etc", "demo/../demo", "demo/", "./demo", "%2e%2e", "de\0mo", ".testmesh"]


@pytest.mark.parametrize("plugin_id", [*OUTSIDE, "foreign", "plain"])
def test_only_what_was_found_by_its_own_name_can_be_named(registry, add, plugins_dir, snapshot, tmp_path, plugin_id):
    add("demo")
    for name in ("foreign", "plain", ".testmesh"):
        (plugins_dir / name).mkdir()
    (plugins_dir / "foreign" / "manifest.json").write_text("{}")
    before = snapshot(tmp_path)

    for operation in (registry.get, registry.uninstall, lambda each: registry.set_enabled(each, False)):
        with pytest.raises(PluginNotFoundError):
            operation(plugin_id)

    assert before == snapshot(tmp_path)


@pytest.mark.parametrize(
    ("hint", "sought", "installed"),
    [
        ("did you mean demo?", "dmeo", ["demo", "other"]),
        ("installed: demo, other", "zzz", ["other", "demo"]),
        ("no plugin is installed", "demo", []),
    ],
)
def test_the_hint_names_near_matches_or_all(registry, add, plugins_dir, hint, sought, installed):
    for name in installed:
        add(name)

    with pytest.raises(PluginNotFoundError) as caught:
        registry.get(sought)

    assert (f"no plugin '{sought}' in {plugins_dir}", hint) == (caught.value.message, caught.value.hint)


@pytest.mark.parametrize("name", ["demo", "folder"], ids=["by id", "by folder"])
def test_a_broken_plugin_is_found_and_its_error_told(registry, add, name):
    add("demo", "folder", version="1")

    for operation in (registry.get, lambda each: registry.set_enabled(each, False)):
        with pytest.raises(PluginManifestError, match="version: '1' is not valid"):
            operation(name)


def test_disabling_and_enabling_is_kept_for_others_to_see(registry, make_registry, add, plugins_dir):
    add("demo")

    assert not registry.set_enabled("demo", False).enabled
    assert not make_registry().get("demo").enabled
    assert {"demo"} == read_state(plugins_dir).disabled
    assert registry.set_enabled("demo", True).enabled
    assert make_registry().get("demo").enabled


def test_a_damaged_state_is_told_and_stops_every_change(registry, add, plugins_dir, snapshot):
    add("demo")
    (plugins_dir / STATE_NAME).write_text("{")
    before = snapshot(plugins_dir)

    for operation in (registry.list, lambda: registry.uninstall("demo"), lambda: registry.set_enabled("demo", True)):
        with pytest.raises(RegistryError, match="is not JSON"):
            operation()

    assert before == {path: each for path, each in snapshot(plugins_dir).items() if path != LOCK_NAME}


def test_an_uninstalled_plugin_is_gone_with_all_that_was_recorded(registry, make_source, plugins_dir, cache_path):
    registry.install(make_source("demo"))
    registry.set_enabled("demo", False)

    registry.uninstall("demo")

    assert {STATE_NAME, LOCK_NAME} == set(os.listdir(plugins_dir))
    assert frozenset() == read_state(plugins_dir).disabled
    assert {} == json.loads(cache_path.read_text())["plugins"]
    with pytest.raises(PluginNotFoundError):
        registry.uninstall("demo")


def test_what_is_recorded_of_others_stays(registry, make_source, plugins_dir):
    for name in ("demo", "other"):
        registry.install(make_source(name))
    registry.set_enabled("other", False)

    registry.uninstall("demo")

    other = registry.get("other")
    assert (False, ["other.run"]) == (other.enabled, [action.id for action in other.actions])


@pytest.mark.parametrize("name", ["demo", "folder"], ids=["by id", "by folder"])
@pytest.mark.parametrize("content", ['{"id": "demo"}', "{", "[" * 100_000], ids=["incomplete", "no JSON", "too deep"])
def test_a_broken_plugin_can_be_uninstalled(registry, add, plugins_dir, name, content):
    if name not in content:
        name = "folder"
    add("demo", "folder")
    (plugins_dir / "folder" / "manifest.json").write_text(content)

    registry.uninstall(name)

    assert [LOCK_NAME] == os.listdir(plugins_dir)


def test_of_two_plugins_of_one_id_one_is_uninstalled_by_its_folder(registry, add):
    for name in ("one", "two"):
        add("demo", name)

    with pytest.raises(PluginExistsError) as caught:
        registry.uninstall("demo")
    assert ("2 plugins have the id demo", "name the folder of one: one or two") == (
        caught.value.message,
        caught.value.hint,
    )
    registry.uninstall("one")

    assert "two" == registry.get("demo").place.name


@pytest.mark.parametrize("broken", [False, True])
def test_a_link_is_removed_and_what_it_leads_to_is_not_touched(
    registry, make_source, plugins_dir, tmp_path, snapshot, broken
):
    target = make_source("demo", version="1" if broken else "1.0.0")
    plugins_dir.mkdir()
    (plugins_dir / "demo").symlink_to(target)
    before = snapshot(target)

    registry.uninstall("demo")

    assert [LOCK_NAME] == os.listdir(plugins_dir)
    assert before == snapshot(target)


def test_links_inside_a_plugin_are_removed_not_followed(registry, add, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (add("demo") / "link").symlink_to(tmp_path / "precious")

    registry.uninstall("demo")

    assert ["file"] == os.listdir(tmp_path / "precious")


def test_a_plugin_with_folders_that_cannot_be_written_to_is_removed(registry, add, plugins_dir):
    locked_up = add("demo") / "lib"
    locked_up.mkdir()
    (locked_up / "file").touch()
    locked_up.chmod(0o555)

    registry.uninstall("demo")

    assert [LOCK_NAME] == os.listdir(plugins_dir)


def test_a_rescan_starts_each_new_plugin_once(registry, add):
    add("demo")
    lines: list[str] = []

    listing = registry.discover(lines.append)
    again = registry.discover(lines.append)

    assert ["starting demo once"] == lines
    assert ["demo.run"] == [action.id for action in listing.plugins[0].actions]
    assert listing == again == registry.list()


def test_a_rescan_goes_past_plugins_that_fail(registry, add):
    add("bad", code="raise SystemExit('no database')")
    add("broken", version="1")
    add("good")

    listing = registry.discover()

    assert ["bad", "good"] == [plugin.manifest.id for plugin in listing.plugins]
    assert [None, 1] == [plugin.actions and len(plugin.actions) for plugin in listing.plugins]
    assert [("bad", PluginStartError)] == [(error.plugin_id, type(error)) for error in listing.failed]
    assert ["broken"] == [error.plugin_id for error in listing.broken]


def test_a_rescan_starts_no_disabled_plugin_and_no_other_type(registry, add):
    add("demo", code="open('started', 'w')")
    registry.set_enabled("demo", False)
    add("report", type="reporter", code="open('started', 'w')")

    assert [None, None] == [plugin.actions for plugin in registry.discover().plugins]
    assert not any((plugin.place / "started").exists() for plugin in registry.list().plugins)


def test_a_rescan_without_a_plugins_folder_makes_none(registry, plugins_dir):
    assert () == registry.discover().plugins
    assert not plugins_dir.exists()


def test_what_killed_operations_left_is_cleaned_up_but_not_what_others_own(registry, add, plugins_dir):
    add("demo")
    (plugins_dir / f"{PREFIX}1" / "old" / "gone").mkdir(parents=True)
    (plugins_dir / f"{PREFIX}2").mkdir()
    (plugins_dir / ".git").mkdir()

    registry.discover()

    assert {"demo", ".git"} == set(os.listdir(plugins_dir)) - {LOCK_NAME}


MANY = """
import sys
from pathlib import Path
from pytest_testmesh.errors import PluginExistsError, PluginNotFoundError
from pytest_testmesh.registry.registry import PluginRegistry
registry = PluginRegistry(Path(sys.argv[1]), cache_path=Path(sys.argv[2]))
own, shared = Path(sys.argv[3]), Path(sys.argv[4])
for number in range(6):
    registry.install(own)
    registry.set_enabled(own.name, False)
    try:
        registry.install(shared, upgrade=number % 2 == 0)
        registry.uninstall(shared.name)
    except (PluginExistsError, PluginNotFoundError):
        pass
    assert not registry.get(own.name).enabled
    assert not registry.list().broken
    if number < 5:
        registry.uninstall(own.name)
"""


def test_many_processes_change_one_folder_and_lose_nothing(registry, make_source, plugins_dir, cache_path):
    names = ["a", "b", "c", "d"]
    shared = make_source("shared", type="reporter")
    sources = [make_source(name, type="reporter") for name in names]
    running = [
        subprocess.Popen([sys.executable, "-c", MANY, plugins_dir, cache_path, source, shared]) for source in sources
    ]

    while any(process.poll() is None for process in running):
        assert () == registry.list().broken

    assert [0] * 4 == [process.wait() for process in running]
    assert set(names) == read_state(plugins_dir).disabled - {"shared"}
    assert {*names, STATE_NAME, LOCK_NAME} == set(os.listdir(plugins_dir)) - {"shared"}
