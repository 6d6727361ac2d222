"""What each command does to a real plugins folder, and what it prints in a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]

EXAMPLE = """\
    - id: order
      action: shop.order
      config:
        sku: example
"""


@pytest.fixture
def source(project: Path, write_plugin: Command) -> Path:
    return write_plugin(project / "sources" / "shop-plugin")


def test_install_says_what_flows_can_use_now(run: Command, source: Path) -> None:
    ended = run("plugins", "install", source)

    assert 0 == ended.code
    assert (
        "Installed shop 1.0.0 in plugins/shop.\n"
        "Flows can now use:\n"
        "  shop.order  Orders a thing\n"
        f"For example:\n{EXAMPLE}"
    ) == ended.out
    assert [f"copying {source}", "starting shop once", "putting shop in its place"] == ended.err.splitlines()


def test_the_step_that_install_shows_runs_in_a_flow(run: Command, project: Path, source: Path) -> None:
    shown = run("plugins", "install", source).out.partition("For example:\n")[2]
    (project / "order.yaml").write_text(f"flow:\n  name: Order\n  steps:\n{shown}")

    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "order.yaml"], capture_output=True, timeout=180)

    assert 0 == done.returncode, done.stdout.decode()


def test_a_session_knows_the_actions_of_an_installed_plugin_without_starting_it(
    run: Command, project: Path, source: Path
) -> None:
    run("plugins", "install", source)
    (project / "conftest.py").write_text(
        "def pytest_collection_finish(session):\n"
        "    from pytest_testmesh.session import external_plugins\n"
        "    print('known:', *external_plugins(session.config).names())\n"
    )

    done = subprocess.run([sys.executable, "-m", "pytest", "-s"], capture_output=True, text=True, timeout=180)

    assert "known: shop shop.order\n" in done.stdout


def test_install_prints_the_plugin_as_json(run: Command, project: Path, source: Path) -> None:
    document = run("plugins", "install", source, "--json").document

    manifest = document["manifest"]
    assert ("shop", "server.py", []) == (manifest["id"], manifest["entry_point"], manifest["permissions"])
    assert (str(project / "plugins" / "shop"), True) == (document["path"], document["enabled"])
    assert ["shop.order"] == [action["id"] for action in document["actions"]]
    assert "- id: order\n" == document["actions"][0]["example"].splitlines(keepends=True)[0]


def test_an_upgrade_replaces_the_plugin(call: Command, project: Path, write_plugin: Command, source: Path) -> None:
    call("plugins", "install", source)
    newer = write_plugin(project / "newer", version="2.0.0")

    assert 1 == call("plugins", "install", newer).code
    assert "Installed shop 2.0.0" in call("plugins", "install", newer, "--upgrade").out


def test_an_upgrade_of_a_disabled_plugin_leaves_it_disabled(call: Command, source: Path) -> None:
    call("plugins", "install", source)
    call("plugins", "disable", "shop")

    out = call("plugins", "install", source, "--upgrade").out

    assert "It is disabled as before, flows cannot use it: testmesh plugins enable shop" in out


def test_no_deps_leaves_requirements_alone(call: Command, project: Path, source: Path) -> None:
    (source / "requirements.txt").write_text("no-such-distribution-of-this-name==1\n")

    assert 0 == call("plugins", "install", source, "--no-deps").code
    assert not (project / "plugins" / "shop" / ".venv").exists()


@pytest.mark.parametrize("kind", ["auth", "exporter", "importer", "reporter"])
def test_plugins_of_other_types_are_kept_and_said_to_be_of_no_use_to_flows(
    call: Command, project: Path, write_plugin: Command, kind: str
) -> None:
    folder = write_plugin(project / "other", "other", type=kind, code="raise SystemExit(1)")

    assert f"Plugins of type {kind} are kept, but not called yet" in call("plugins", "install", folder).out
    assert f"other\t1.0.0\t{kind}\tenabled\t-\tplugins/other\t-\n" == call("plugins", "list").out
    assert "flows cannot use it as an action" in call("plugins", "info", "other").out


def test_list_in_a_pipe_is_lines_of_fields(call: Command, project: Path, write_plugin: Command, source: Path) -> None:
    call("plugins", "install", source)
    call("plugins", "disable", "shop")
    write_plugin(project / "plugins" / "new", "new")
    write_plugin(project / "plugins" / "bad", "bad", version="1")
    (project / "plugins" / "web").mkdir()
    (project / "plugins" / "web" / "manifest.json").write_text('{"name": "a browser extension"}')

    rows = [line.split("\t") for line in call("plugins", "list").out.splitlines()]

    assert [
        ["new", "1.0.0", "action", "enabled", "?", "plugins/new"],
        ["shop", "1.0.0", "action", "disabled", "shop.order", "plugins/shop"],
        ["bad", "-", "-", "broken", "-", "plugins/bad"],
        ["-", "-", "-", "ignored", "-", "plugins/web"],
    ] == [row[:-1] for row in rows]
    assert "manifest.json:1: version: '1' is not valid" in rows[2][-1]
    assert "its manifest.json is another tool's" in rows[3][-1]


def test_list_as_json_has_the_keys_of_the_api(
    call: Command, project: Path, write_plugin: Command, source: Path
) -> None:
    call("plugins", "install", source)
    write_plugin(project / "plugins" / "bad", "bad", version="1")

    document = call("plugins", "list", "--json").document

    assert (1, ["shop"]) == (document["total"], [each["manifest"]["id"] for each in document["plugins"]])
    assert {"manifest", "path", "enabled", "actions"} == document["plugins"][0].keys()
    assert ["bad"] == [each["id"] for each in document["broken"]]
    assert ([], str(project / "plugins")) == (document["ignored"], document["plugins_dir"])
    assert {"id": "kafka", "name": "Apache Kafka"}.items() <= document["native"][0].items()
    assert {"http_request", "log"} <= set(document["builtin_actions"])


@pytest.mark.parametrize("arguments", [["list"], ["discover"]])
def test_no_plugins_are_no_lines_and_make_no_folder(call: Command, project: Path, arguments: list[str]) -> None:
    assert (0, "") == (call("plugins", *arguments).code, call("plugins", *arguments).out)
    assert ["pytest.ini"] == [path.name for path in project.iterdir()]


def test_info_tells_everything(call: Command, project: Path, write_plugin: Command) -> None:
    properties = {"count": {"type": "integer", "default": 1}, "sku": {"type": "string", "description": "What to buy"}}
    action = {
        "id": "shop.order",
        "name": "Order",
        "description": "Orders a thing",
        "schema": {"type": "object", "properties": properties, "required": ["sku"]},
    }
    about = {"description": "Buys\nthings", "author": "qa@example.com", "homepage": "https://example.com"}
    more = {"permissions": ["network", "filesystem"], "config": {"timeout": 30, "sku": "mug"}}
    call("plugins", "install", write_plugin(project / "source", actions=[action], **about, **more))

    assert (
        "shop 1.0.0 (action, enabled)\n"
        "A shop\n"
        "Buys\n"
        "things\n"
        "\n"
        "  author       qa@example.com\n"
        "  homepage     https://example.com\n"
        "  permissions  network, filesystem\n"
        "  folder       plugins/shop\n"
        "  entry point  server.py\n"
        "  config       timeout: 30\n"
        '               sku: "mug"\n'
        "\n"
        "shop.order  Order\n"
        "  Orders a thing\n"
        "  config:\n"
        "    count  integer: default: 1\n"
        "    sku    string, required: What to buy\n"
        "  example step:\n"
        f"{EXAMPLE.replace('example', 'mug')}"
    ) == call("plugins", "info", "shop").out


def test_info_as_json_is_the_plugin(call: Command, source: Path) -> None:
    installed = call("plugins", "install", source, "--json").document

    assert installed == call("plugins", "info", "shop", "--json").document


@pytest.mark.parametrize(
    ("actions", "told"),
    [
        pytest.param(None, "Its actions are not known before it starts once: testmesh plugins discover", id="unknown"),
        pytest.param([], "- id: shop\n      action: shop\n", id="none"),
    ],
)
def test_info_says_what_to_do_without_actions(
    call: Command, project: Path, write_plugin: Command, actions: Any, told: str
) -> None:
    write_plugin(project / "plugins" / "shop", actions=actions)
    if actions is not None:
        call("plugins", "discover")

    assert told in call("plugins", "info", "shop").out


def test_disable_and_enable_change_what_flows_can_use(call: Command, source: Path) -> None:
    call("plugins", "install", source)

    assert "Disabled shop.\n" == call("plugins", "disable", "shop").out
    assert "It is disabled, flows cannot use it: testmesh plugins enable shop" in call("plugins", "info", "shop").out
    assert "Enabled shop.\n" == call("plugins", "enable", "shop").out
    assert "(action, enabled)" in call("plugins", "info", "shop").out


@pytest.mark.parametrize("word", ["enable", "disable"])
def test_the_json_of_a_change_has_the_message_of_the_api(call: Command, source: Path, word: str) -> None:
    call("plugins", "install", source)

    document = call("plugins", word, "shop", "--json").document

    assert (f"Plugin {word}d", word == "enable") == (document["message"], document["plugin"]["enabled"])


def test_uninstall_removes_the_folder(call: Command, project: Path, source: Path) -> None:
    call("plugins", "install", source)

    assert "Uninstalled shop.\n" == call("plugins", "uninstall", "shop", "--yes").out
    assert not (project / "plugins" / "shop").exists()
    assert source.exists()


def test_uninstall_without_a_terminal_needs_yes(call: Command, run: Command, project: Path, source: Path) -> None:
    call("plugins", "install", source)

    ended = run("plugins", "uninstall", "shop")

    assert 2 == ended.code
    assert "Error: uninstall removes the plugin's folder and cannot ask without a terminal: add --yes\n" in ended.err
    assert (project / "plugins" / "shop").is_dir()


def test_uninstall_as_json_has_the_message_of_the_api(call: Command, source: Path) -> None:
    call("plugins", "install", source)

    assert {"message": "Plugin uninstalled"} == call("plugins", "uninstall", "shop", "--yes", "--json").document


def test_discover_starts_what_is_not_known_and_tells_who_cannot_start(
    call: Command, project: Path, write_plugin: Command
) -> None:
    write_plugin(project / "plugins" / "shop")
    write_plugin(project / "plugins" / "dead", "dead", code="import sys; sys.exit('no database here')")

    ended = call("plugins", "discover")

    assert 1 == ended.code
    assert "shop\t1.0.0\taction\tenabled\tshop.order\tplugins/shop\t-\n" in ended.out
    assert "starting shop once\n" in ended.err
    assert "Error: plugin dead" in ended.err
    assert "its stderr ends with:\n  no database here\n" in ended.err


def test_discover_as_json_counts_what_it_found(call: Command, project: Path, write_plugin: Command) -> None:
    write_plugin(project / "plugins" / "shop")
    write_plugin(project / "plugins" / "dead", "dead", code="import sys; sys.exit('no database here')")

    document = call("plugins", "discover", "--json").document

    assert (2, 2) == (document["discovered"], document["total"])
    assert [("dead", ["no database here"])] == [(each["id"], each["stderr"]) for each in document["failed"]]


def test_new_writes_a_plugin_whose_flow_passes(run: Command, project: Path) -> None:
    ended = run("plugins", "new", "greeter")
    command = ended.out.splitlines()[-1].split()

    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, timeout=180)

    assert ["pytest", "plugins/greeter"] == command
    assert "  plugins/greeter/manifest.json\n" in ended.out
    assert 0 == done.returncode, done.stdout


def test_new_elsewhere_says_how_pytest_finds_it(call: Command, project: Path) -> None:
    document = call("plugins", "new", "greeter", "--lang", "bash", "--plugins-dir", "my plugins", "--json").document

    assert str(project / "my plugins" / "greeter") == document["path"]
    assert "pytest 'my plugins/greeter' --testmesh-plugins-dir 'my plugins'" == document["command"]
    assert all(map(Path.is_file, map(Path, document["files"])))


@pytest.mark.parametrize("how", ["option", "environment", "ini"])
def test_every_way_to_name_the_folder_works(
    call: Command, project: Path, source: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    option = []
    if how == "option":
        option = ["--plugins-dir", "mine"]
    elif how == "environment":
        monkeypatch.setenv("PLUGINS_DIR", "mine")
    else:
        (project / "pytest.ini").write_text("[pytest]\ntestmesh_plugins_dir = mine\n")

    assert "in mine/shop.\n" in call("plugins", "install", source, *option).out
    assert "shop.order\tmine/shop" in call("plugins", "list", *option).out


def test_json_is_json_whatever_a_manifest_holds(call: Command, project: Path, write_plugin: Command) -> None:
    folder = write_plugin(project / "plugins" / "shop", name="\x1b[31mGr\u00fc\u00dfe\ud800")
    manifest = json.loads((folder / "manifest.json").read_text())
    nested: Any = []
    for _ in range(700):
        nested = [nested]
    manifest["config"] = {"limit": float("nan"), "deep": nested}
    (folder / "manifest.json").write_text(json.dumps(manifest))

    ended = call("plugins", "info", "shop", "--json")

    assert ended.out.isascii()
    assert "nan" == ended.document["manifest"]["config"]["limit"]
    assert "\\x1b[31mGr\u00fc\u00dfe\\ud800\n" in call("plugins", "info", "shop").out
