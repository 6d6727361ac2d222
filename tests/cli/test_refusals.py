"""How commands refuse: one line that says what is wrong, what to do, and the exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]

WITHOUT_HEALTH = "import sys, time; print('connecting', file=sys.stderr); sys.exit('no database here')"


def entries(project: Path) -> list[str]:
    """What is in the plugins folder, the registry's own files left out."""
    found = (project / "plugins").glob("*")
    return sorted(path.name for path in found if path.name not in {".testmesh.json", ".testmesh.lock"})


@pytest.fixture
def installed(project: Path, write_plugin: Command) -> Path:
    return write_plugin(project / "plugins" / "shop")


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        pytest.param(["info", "shp"], "no plugin 'shp' in ", "did you mean shop?", id="info of a near id"),
        pytest.param(["enable", "xyz"], "no plugin 'xyz' in ", "shop", id="enable"),
        pytest.param(["disable", ".."], "no plugin '..' in ", "shop", id="disable outside"),
        pytest.param(["uninstall", "--yes", "../project"], "no plugin '../project' in ", "shop", id="uninstall"),
        pytest.param(["install", "nosuch"], "nosuch does not exist", "manifest.json", id="no folder"),
        pytest.param(["install", "pytest.ini"], "pytest.ini is not a folder", "manifest.json", id="a file"),
        pytest.param(["install", "."], "manifest.json: cannot be read", "a plugin needs this file", id="no plugin"),
        pytest.param(["install", "plugins/shop"], "plugin shop is installed already", "discover", id="in place"),
        pytest.param(["new", "shop"], "plugin shop is there already", "choose another id", id="new of a taken id"),
        pytest.param(["new", "kafka"], "id kafka is reserved", "choose another id", id="new of a built-in"),
        pytest.param(["new", "../x"], "a plugin cannot be called so: id: '../x'", "letters", id="new outside"),
    ],
)
def test_a_refusal_is_told_and_changes_nothing(
    call: Command, project: Path, installed: Path, arguments: list[str], error: str, hint: str
) -> None:
    ended = call("plugins", *arguments)
    first, second = ended.err.splitlines()

    assert (1, "") == (ended.code, ended.out)
    assert first.startswith("Error: ")
    assert error in first
    assert second.startswith("hint: ")
    assert hint in second
    assert ["shop"] == entries(project)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        pytest.param({"plugin_id": "kafka"}, "id kafka is reserved", id="id of a built-in"),
        pytest.param({"plugin_id": "http_request"}, "id http_request is reserved", id="id of an action"),
        pytest.param({"type": "weapon"}, "type: 'weapon' is not", id="type"),
        pytest.param({"entry_point": "../server.py"}, "leads out of the plugin's folder", id="entry point outside"),
        pytest.param({"version": "one"}, "version: 'one' is not valid", id="version"),
    ],
)
def test_a_bad_manifest_is_not_installed(
    call: Command, project: Path, write_plugin: Command, fields: dict[str, Any], error: str
) -> None:
    ended = call("plugins", "install", write_plugin(project / "source", **fields))

    assert 1 == ended.code
    assert ended.err.splitlines()[0].startswith("Error: ")
    assert error in ended.err
    assert [] == entries(project)


def test_a_plugin_that_does_not_start_is_told_with_its_last_lines(
    call: Command, project: Path, write_plugin: Command
) -> None:
    ended = call("plugins", "install", write_plugin(project / "source", code=WITHOUT_HEALTH))

    assert 1 == ended.code
    assert "Error: plugin shop" in ended.err
    assert ended.err.endswith("its stderr ends with:\n  connecting\n  no database here\n")
    assert [] == entries(project)


def test_what_a_plugin_writes_cannot_move_the_cursor(call: Command, project: Path, write_plugin: Command) -> None:
    code = "import sys; sys.stderr.write('\\x1b[2Jgone\\rover'); sys.exit(1)"

    ended = call("plugins", "install", write_plugin(project / "source", code=code))

    assert "\x1b" not in ended.err
    assert "\\x1b[2Jgone" in ended.err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param(["plugins", "info"], "Missing argument 'ID'", id="no id"),
        pytest.param(["plugins", "instal", "x"], "No such command 'instal'", id="no such command"),
        pytest.param(["plugins", "list", "--plugins-dir", "pytest.ini"], "is a file", id="folder that is a file"),
        pytest.param(["plugins", "new", "--lang", "cobol", "x"], "'cobol' is not one of", id="no such language"),
        pytest.param(["plugins", "list", "--jsn"], "No such option", id="no such option"),
        pytest.param(["serve", "--port", "70000"], "70000 is not in the range", id="no such port"),
    ],
)
def test_wrong_usage_ends_with_2(call: Command, arguments: list[str], error: str) -> None:
    ended = call(*arguments)

    assert (2, "") == (ended.code, ended.out)
    assert error in ended.err


def test_a_broken_configuration_of_pytest_is_told_with_the_way_out(call: Command, project: Path) -> None:
    (project / "pytest.ini").write_text("[pytest")

    ended = call("plugins", "list")

    assert 1 == ended.code
    assert f"Error: pytest cannot be configured in {project}: " in ended.err
    assert "--plugins-dir DIR" in ended.err


def test_with_a_folder_named_a_broken_configuration_is_a_warning(call: Command, project: Path, installed: Path) -> None:
    (project / "pytest.ini").write_text("[pytest")

    ended = call("plugins", "list", "--plugins-dir", "plugins")

    assert (0, "shop\t1.0.0\taction\tenabled\t?\tplugins/shop\t-\n") == (ended.code, ended.out)
    assert ended.err.startswith("warning: pytest cannot be configured")


def test_a_broken_plugin_can_be_uninstalled(call: Command, project: Path, installed: Path) -> None:
    (installed / "manifest.json").write_text('{"id": "shop"')

    assert 1 == call("plugins", "info", "shop").code
    assert 0 == call("plugins", "uninstall", "shop", "--yes").code
    assert [] == entries(project)


def test_a_damaged_state_file_is_told(call: Command, project: Path, installed: Path) -> None:
    (project / "plugins" / ".testmesh.json").write_text("{")

    ended = call("plugins", "list")

    assert 1 == ended.code
    assert ".testmesh.json" in ended.err.splitlines()[0]
    assert "hint: " in ended.err


def test_a_bug_keeps_its_traceback(call: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_testmesh.cli.app import testmesh

    monkeypatch.setattr("pytest_testmesh.cli.plugins.open_registry", lambda plugins_dir: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        testmesh.main(["plugins", "list"], prog_name="testmesh")
