"""What a person sees on a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_testmesh.cli.text import cells

Command = Callable[..., Any]

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def plain_lines(ended: Any) -> list[str]:
    """What stands on the terminal above the built-in actions, without colours."""
    listing, built_in, _ = COLOUR.sub("", ended.out).partition("Built in, ")
    assert built_in
    return listing.splitlines()


@pytest.fixture
def shop(project: Path, call: Command, write_plugin: Command) -> Path:
    actions = [{"id": f"shop.{name}"} for name in ("order", "cancel")]
    call("plugins", "install", write_plugin(project / "source", actions=actions))
    return project / "plugins" / "shop"


def test_list_is_a_table(on_terminal: Command, shop: Path) -> None:
    assert [
        "Plugins in plugins:",
        "ID    VERSION  TYPE    STATE    ACTIONS      FOLDER",
        "shop  1.0.0    action  enabled  shop.order   shop",
        "                                shop.cancel",
    ] == plain_lines(on_terminal("plugins", "list"))


def test_built_in_actions_stand_below_the_plugins(on_terminal: Command, shop: Path) -> None:
    shown = on_terminal("plugins", "list").out

    assert re.search(r"^Built in, without any plugin: .*\bhttp_request, .*\blog\b", shown, re.MULTILINE | re.DOTALL)


def test_state_and_header_are_coloured(on_terminal: Command, call: Command, shop: Path) -> None:
    call("plugins", "disable", "shop")
    shown = on_terminal("plugins", "list").out

    assert "\x1b[33mdisabled\x1b[0m" in shown
    assert "\x1b[1mID" in shown


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_turned_off(on_terminal: Command, shop: Path, name: str, value: str) -> None:
    assert "\x1b" not in on_terminal("plugins", "list", **{name: value}).out
    assert "\x1b" not in on_terminal("plugins", "info", "nosuch", **{name: value}).out


def test_errors_are_red_on_a_terminal(on_terminal: Command, shop: Path) -> None:
    assert "\x1b[31m\x1b[1mError:\x1b[0m no plugin 'nosuch'" in on_terminal("plugins", "info", "nosuch").out


def test_a_pipe_has_no_colours(call: Command, shop: Path) -> None:
    assert "\x1b" not in call("plugins", "list").out + call("plugins", "info", "shop").out


def test_json_is_json_on_a_terminal_too(on_terminal: Command, shop: Path) -> None:
    assert 1 == on_terminal("plugins", "list", "--json").document["total"]


@pytest.mark.parametrize("columns", [70, 100, 250])
def test_wide_content_stays_within_the_terminal(
    on_terminal: Command, project: Path, call: Command, write_plugin: Command, columns: int
) -> None:
    actions = [{"id": f"wide.{'日本' * 40}{number}"} for number in range(30)]
    write_plugin(project / "plugins" / ("x" * 200), "wide", actions=actions, version="1.0.0-" + "a" * 90)
    call("plugins", "discover")

    ended = on_terminal("plugins", "list", columns=columns)
    lines = plain_lines(ended)

    assert columns >= max(map(cells, COLOUR.sub("", ended.out).splitlines()))
    assert re.fullmatch(r"wide  1.0.0-a+\.\.\.  action  enabled  .*0  +\.\.\.x+", lines[2])
    assert "and 23 more" == lines[-1].strip()


def test_what_is_broken_ignored_or_not_known_is_told_below_the_table(
    on_terminal: Command, project: Path, write_plugin: Command
) -> None:
    write_plugin(project / "plugins" / "new", "new")
    write_plugin(project / "plugins" / "bad", "bad", entry_point="../x")
    (project / "plugins" / "web").mkdir()
    (project / "plugins" / "web" / "manifest.json").write_text("{}")

    _, _, new, broken, hint, ignored, legend = plain_lines(on_terminal("plugins", "list"))

    assert ["new", "1.0.0", "action", "enabled", "?", "new"] == new.split()
    assert broken.startswith("broken: ")
    assert "leads out of the plugin's folder" in broken
    assert hint.startswith("  hint: name a file inside")
    assert "ignored: plugins/web: its manifest.json is another tool's: it has neither id nor entry_point" == ignored
    assert "?: not known before the plugin starts once: testmesh plugins discover" == legend


def test_an_empty_folder_is_told(on_terminal: Command, project: Path) -> None:
    assert ["No plugins in plugins."] == plain_lines(on_terminal("plugins", "list"))


@pytest.mark.parametrize(
    ("keys", "code", "is_left"), [("y\n", 0, False), ("n\n", 1, True), ("\n", 1, True), ("\x03", 1, True)]
)
def test_uninstall_asks(on_terminal: Command, shop: Path, keys: str, code: int, is_left: bool) -> None:
    ended = on_terminal("plugins", "uninstall", "shop", keys=keys)

    assert "Remove plugin shop and the folder plugins/shop with all its files? [y/N]: " in ended.out
    assert (code, is_left) == (ended.code, shop.is_dir())
    assert ("Aborted!" in ended.out) == is_left


def test_uninstall_of_a_link_says_that_its_target_stays(
    on_terminal: Command, project: Path, write_plugin: Command
) -> None:
    target = write_plugin(project / "elsewhere")
    (project / "plugins").mkdir()
    (project / "plugins" / "shop").symlink_to(target)

    ended = on_terminal("plugins", "uninstall", "shop", keys="y\n")

    assert "the link plugins/shop, and leave alone what it leads to? [y/N]: " in ended.out
    assert not (project / "plugins" / "shop").is_symlink()
    assert (target / "manifest.json").is_file()


def test_uninstall_of_a_broken_plugin_shows_what_is_wrong(
    on_terminal: Command, project: Path, write_plugin: Command
) -> None:
    folder = write_plugin(project / "plugins" / "shop", version="1")

    ended = on_terminal("plugins", "uninstall", "shop", keys="y\n")

    assert "version: '1' is not valid" in ended.out
    assert "Remove plugin shop with its folder? [y/N]: " in ended.out
    assert not folder.exists()


def test_uninstall_with_yes_does_not_ask(on_terminal: Command, shop: Path) -> None:
    assert "Uninstalled shop.\n" == on_terminal("plugins", "uninstall", "shop", "--yes").out
