"""What ``manifest.json`` may hold, and what is said about one that may not."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_testmesh.errors import PluginManifestError
from pytest_testmesh.external.discovery import discover
from pytest_testmesh.external.manifest import SCHEMA_PATH, PluginType, is_plugin_id, read_manifest

GOOD = {"id": "my-plugin", "name": "My Plugin", "version": "1.0.0", "type": "action", "entry_point": "server.py"}


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "plugins" / "my-plugin"
    place.mkdir(parents=True)
    (place / "server.py").touch()
    return place


def write(folder: Path, content: object) -> Path:
    data = content if isinstance(content, bytes) else json.dumps(content, indent=2).encode()
    (folder / "manifest.json").write_bytes(data)
    return folder


def without(key: str) -> dict[str, object]:
    return {name: value for name, value in GOOD.items() if name != key}


def test_the_manifest_of_the_page_is_read_whole(folder):
    write(
        folder,
        {
            "id": "my-scraper",
            "name": "Web Scraper",
            "version": "1.0.0",
            "description": "Scrape and extract data from web pages",
            "author": "Your Name",
            "homepage": "https://github.com/yourname/testmesh-scraper",
            "type": "action",
            "entry_point": "server.py",
            "permissions": ["network", "filesystem"],
            "config": {"timeout": 30},
        },
    )

    manifest = read_manifest(folder)

    assert ("my-scraper", "Web Scraper", "1.0.0", "action") == (
        manifest.id,
        manifest.name,
        manifest.version,
        manifest.type,
    )
    assert (folder / "server.py", folder) == (manifest.entry_point, manifest.folder)
    assert "Scrape and extract data from web pages" == manifest.description
    assert ("Your Name", "https://github.com/yourname/testmesh-scraper") == (manifest.author, manifest.homepage)
    assert ("network", "filesystem") == manifest.permissions
    assert {"timeout": 30} == manifest.config


ACCEPTED = {
    "only what is required": GOOD,
    "other keys": {**GOOD, "icon": "plug.svg", "$schema": "x"},
    "null for optional": {**GOOD, "description": None, "config": None, "permissions": None},
    "pre-release": {**GOOD, "version": "1.0.0-rc.1+build.5"},
    "dots and underscores in the id": {**GOOD, "id": "My_plugin.v2-x"},
    "entry point with ./": {**GOOD, "entry_point": "./server.py"},
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    **{kind: {**GOOD, "type": kind} for kind in ("action", "auth", "exporter", "importer", "reporter")},
}


@pytest.mark.parametrize("content", ACCEPTED.values(), ids=ACCEPTED)
def test_a_good_manifest_is_accepted(folder, content):
    assert folder / "server.py" == read_manifest(write(folder, content)).entry_point


REFUSED = {
    "no id": (without("id"), ": lacks the key id"),
    "no name": (without("name"), ": lacks the key name"),
    "no version": (without("version"), ": lacks the key version"),
    "no type": (without("type"), ": lacks the key type"),
    "no entry point": (without("entry_point"), ": lacks the key entry_point"),
    "id number": ({**GOOD, "id": 5}, ":2: id must be string, not 5"),
    "id empty": ({**GOOD, "id": ""}, ":2: id: '' is not valid"),
    "id dot dot": ({**GOOD, "id": ".."}, ":2: id: '..' is not valid"),
    "id with dots in a row": ({**GOOD, "id": "a..b"}, ":2: id: 'a..b' is not valid"),
    "id path": ({**GOOD, "id": "../outside"}, ":2: id: '../outside' is not valid"),
    "id backslash": ({**GOOD, "id": "a\\b"}, ":2: id: 'a\\\\b' is not valid"),
    "id with a space": ({**GOOD, "id": "my plugin"}, ":2: id: 'my plugin' is not valid"),
    "id with a line end": ({**GOOD, "id": "my-plugin\n"}, ":2: id: 'my-plugin\\n' is not valid"),
    "id begins with a dot": ({**GOOD, "id": ".my"}, ":2: id: '.my' is not valid"),
    "id ends with a dot": ({**GOOD, "id": "my."}, ":2: id: 'my.' is not valid"),
    "id not ASCII": ({**GOOD, "id": "größe"}, ":2: id: 'größe' is not valid"),
    "id too long": ({**GOOD, "id": "x" * 129}, f":2: id: '{'x' * 56}... is longer than 128 characters"),
    "name null": ({**GOOD, "name": None}, ":3: name must be string, not null"),
    "name of spaces": ({**GOOD, "name": "  "}, ":3: name: '  ' is not valid"),
    "version short": ({**GOOD, "version": "1.0"}, ":4: version: '1.0' is not valid"),
    "version v": ({**GOOD, "version": "v1.0.0"}, ":4: version: 'v1.0.0' is not valid"),
    "version with a line end": ({**GOOD, "version": "1.0.0\n"}, ":4: version: '1.0.0\\n' is not valid"),
    "version of other digits": ({**GOOD, "version": "1.0.٣"}, ":4: version: '1.0.٣' is not valid"),
    "version number": ({**GOOD, "version": 1.0}, ":4: version must be string, not 1.0"),
    "type unknown": ({**GOOD, "type": "actions"}, ":5: type: 'actions' is not one of ['action', 'auth', 'exporter', "),
    "entry point empty": ({**GOOD, "entry_point": ""}, ":6: entry_point must not be empty"),
    "entry point missing": ({**GOOD, "entry_point": "run.py"}, ":6: entry_point: 'run.py' does not exist"),
    "entry point folder": ({**GOOD, "entry_point": "."}, ":6: entry_point: '.' does not exist"),
    "entry point above": (
        {**GOOD, "entry_point": "../other/server.py"},
        ":6: entry_point: '../other/server.py' leads out of the plugin's folder",
    ),
    "entry point absolute": (
        {**GOOD, "entry_point": "/bin/sh"},
        ":6: entry_point: '/bin/sh' leads out of the plugin's folder",
    ),
    "entry point with NUL": ({**GOOD, "entry_point": "a\0b"}, ":6: entry_point: 'a\\x00b' cannot be used"),
    "entry point too long": ({**GOOD, "entry_point": "x" * 5000}, ":6: entry_point: "),
    "description number": ({**GOOD, "description": 5}, ":7: description must be string or null, not 5"),
    "config list": ({**GOOD, "config": [1]}, ":7: config must be object or null, not [1]"),
    "permissions text": ({**GOOD, "permissions": "x"}, ":7: permissions must be array or null, not 'x'"),
    "permissions numbers": ({**GOOD, "permissions": ["network", 1]}, ":7: permissions[1] must be string, not 1"),
    "not JSON": (b'{\n  "id": "x",\n  oops\n}', ":3:3: is not JSON: Expecting property name"),
    "empty file": (b"", ":1:1: is not JSON: Expecting value"),
    "not UTF-8": (b'{\n  "id": "\xff"}', ":2: is not UTF-8: byte 0xff"),
    "too deep": (b"[" * 100_000, ": is not usable JSON"),
    "too large": (b" " * 2_000_000, ": is larger than 1024 KiB"),
    "key twice": (
        b'{"id": "a",\n"entry_point": "server.py",\n"id": "b"}',
        ":3: id is given twice",
    ),
    "another tool's": ({"manifest_version": 3}, ": is no plugin manifest: it has neither id nor entry_point"),
    "a list": ([], ": is no plugin manifest: it has neither id nor entry_point"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_a_bad_manifest_is_refused_with_file_line_and_value(folder, content, message):
    write(folder, content)

    with pytest.raises(PluginManifestError) as caught:
        read_manifest(folder)

    assert caught.value.message.startswith(f"{folder / 'manifest.json'}{message}")


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (without("version"), 'version: a semantic version such as "1.0.0"'),
        ({**GOOD, "id": "a b"}, "id: the action's name in flows: letters, digits, . _ and -, beginning with a letter"),
        ({**GOOD, "type": "actions"}, "did you mean action?"),
        ({**GOOD, "entry_point": "../x"}, "name a file inside "),
    ],
    ids=["missing", "pattern", "type", "entry point"],
)
def test_the_hint_says_what_is_right(folder, content, hint):
    with pytest.raises(PluginManifestError) as caught:
        read_manifest(write(folder, content))

    assert (caught.value.hint or "").startswith(hint)


def test_the_schema_is_valid_and_explains_every_key():
    schema = json.loads(SCHEMA_PATH.read_bytes())

    jsonschema.Draft202012Validator.check_schema(schema)
    assert jsonschema.Draft202012Validator is jsonschema.validators.validator_for(schema)
    assert all(each["title"] and each["description"] for each in schema["properties"].values())
    assert get_args(PluginType) == tuple(schema["properties"]["type"]["enum"])


def test_a_usual_manifest_is_read_without_jsonschema(folder):
    write(folder, {**GOOD, "description": "d", "author": "a", "permissions": ["network"], "config": {"timeout": 30}})
    code = (
        "import sys; from pathlib import Path; from pytest_testmesh.external.manifest import read_manifest;"
        "read_manifest(Path(sys.argv[1])); print('jsonschema' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)

    assert "False\n" == done.stdout


@pytest.mark.parametrize(
    ("expected", "value"),
    [(True, "my-plugin"), (True, "a.b"), (False, ".."), (False, "a/b"), (False, ""), (False, None), (False, "x\n")],
)
def test_an_id_is_told_from_other_texts(expected, value):
    assert expected is is_plugin_id(value)


def test_a_manifest_that_is_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "manifest.json")

    with pytest.raises(PluginManifestError, match=r"manifest\.json: is not a file"):
        read_manifest(folder)


def test_a_missing_manifest_is_an_error_of_its_own(folder):
    with pytest.raises(PluginManifestError, match=r"manifest\.json: cannot be read: No such file"):
        read_manifest(folder)


def test_the_line_is_that_of_the_key_at_the_top_not_of_a_nested_one(folder):
    top = b'"id": "x", "name": "x", "type": "action", "entry_point": "server.py"'
    write(folder, b'{\n"config": {"version": 1},\n' + top + b',\n"version": "1"}')

    with pytest.raises(PluginManifestError, match=":4: version: '1' is not valid"):
        read_manifest(folder)


def test_an_entry_point_may_be_a_link_inside_but_not_out_of_the_folder(folder, tmp_path):
    (folder / "inside.py").symlink_to("server.py")
    (tmp_path / "evil.py").touch()
    (folder / "outside.py").symlink_to(tmp_path / "evil.py")

    assert folder / "server.py" == read_manifest(write(folder, {**GOOD, "entry_point": "inside.py"})).entry_point
    with pytest.raises(PluginManifestError, match="leads out of the plugin's folder"):
        read_manifest(write(folder, {**GOOD, "entry_point": "outside.py"}))


def test_a_plugin_folder_may_itself_be_a_link(folder, tmp_path):
    write(folder, GOOD)
    linked = tmp_path / "linked"
    linked.symlink_to(folder)

    assert folder == read_manifest(linked).folder


def test_discovery_tells_good_broken_and_foreign_manifests_apart(folder):
    plugins_dir = folder.parent
    write(folder, GOOD)
    for name, content in {
        "broken": {**GOOD, "id": "other", "version": "1"},
        "unreadable": b"{",
        "extension": {"manifest_version": 3},
        ".hidden": GOOD,
    }.items():
        (plugins_dir / name).mkdir()
        write(plugins_dir / name, content)
    (plugins_dir / "without").mkdir()
    (plugins_dir / "file.txt").touch()

    found = discover(plugins_dir)

    assert ["my-plugin"] == [manifest.id for manifest in found.manifests]
    assert ["other", "unreadable"] == [error.plugin_id for error in found.broken]
    assert [plugins_dir / "broken", plugins_dir / "unreadable"] == [error.folder for error in found.broken]
    assert (plugins_dir / "extension",) == found.ignored


def test_discovery_says_where_a_linked_plugin_is_linked_from(folder, tmp_path):
    write(folder, GOOD)
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)

    found = discover(folder.parent)

    assert elsewhere == found.manifests[0].folder
    assert {"my-plugin": folder} == dict(found.places)


def test_two_plugins_of_one_id_are_both_broken(folder):
    write(folder, GOOD)
    twin = folder.parent / "twin"
    twin.mkdir()
    (twin / "server.py").touch()
    write(twin, GOOD)

    found = discover(folder.parent)

    assert () == found.manifests
    assert ["my-plugin", "my-plugin"] == [error.plugin_id for error in found.broken]
    assert [folder, twin] == [error.folder for error in found.broken]
    assert f"is also the id of {twin / 'manifest.json'}" in found.broken[0].message


def test_a_plugins_folder_that_is_not_there_holds_nothing(tmp_path):
    found = discover(tmp_path / "none")

    assert ((), (), ()) == (found.manifests, found.broken, found.ignored)


def test_a_plugins_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "plugins").touch()

    with pytest.raises(PluginManifestError, match="plugins cannot be read: Not a directory"):
        discover(tmp_path / "plugins")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "config", "x"]), each),
    max_leaves=12,
)


@settings(deadline=None)
@given(content=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_content_raises_anything_but_a_manifest_error(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any", numbered=True)
    (folder / "manifest.json").write_bytes(content)

    with contextlib.suppress(PluginManifestError):
        read_manifest(folder)

    os.unlink(folder / "manifest.json")
    folder.rmdir()
