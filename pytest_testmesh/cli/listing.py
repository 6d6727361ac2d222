"""The table of ``testmesh plugins list``: columns on a terminal, fields between tabs in a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from pytest_testmesh.cli.failures import hint_lines
from pytest_testmesh.cli.text import cells, cut, pad, printable, shown_path

if TYPE_CHECKING:
    from pytest_testmesh.registry.registry import InstalledPlugin, Listing

_HEADER = ("ID", "VERSION", "TYPE", "STATE", "ACTIONS", "FOLDER")
_VERSION, _STATE, _ACTIONS, _FOLDER = map(_HEADER.index, ("VERSION", "STATE", "ACTIONS", "FOLDER"))
_ENDS_MATTER = (_ACTIONS, _FOLDER)
_COLOURS = {"enabled": "green", "disabled": "yellow"}
_GAP = 2
_MAY_SHRINK = ((_FOLDER, 16), (_ACTIONS, 16), (_VERSION, 8))
_MOST_VERSION = 20
_MOST_ACTIONS = 8
_IGNORED = "its manifest.json is another tool's: it has neither id nor entry_point"


def table_lines(listing: Listing, plugins_dir: Path, width: int) -> Iterator[str]:
    """Return the listing, and what is built in, for a terminal of *width* columns; ids are whole at any width."""
    if listing.plugins:
        yield f"Plugins in {shown_path(plugins_dir)}:"
        yield from _columns(listing.plugins, width)
    else:
        yield f"No plugins in {shown_path(plugins_dir)}."
    for error in listing.broken:
        first, *rest = error.message.splitlines()
        yield f"{click.style('broken:', fg='red')} {printable(first)}"
        yield from (f"  {printable(line)}" for line in rest)
        yield from hint_lines(error, "  ")
    for folder in listing.ignored:
        yield f"{click.style('ignored:', dim=True)} {shown_path(folder)}: {_IGNORED}"
    if any(_is_unknown(plugin) for plugin in listing.plugins):
        yield "?: not known before the plugin starts once: testmesh plugins discover"
    yield from wrap(_built_in(), width, subsequent_indent="  ", break_long_words=False)


def _built_in() -> str:
    from pytest_testmesh.integrations.catalog import core_actions, native_integrations

    names = [action.name for action in core_actions()]
    names += [f"{each.id}.*" for each in native_integrations() if each.actions]
    return f"Built in, without any plugin: {', '.join(names)}"


def field_lines(listing: Listing) -> Iterator[str]:
    """Return the listing for programs, one line each: id, version, type, state, actions, folder, reason.

    What there is not, or is not known, is ``-``; actions that are not known are ``?``.
    """
    for plugin in listing.plugins:
        actions = ",".join(_actions(plugin)) or "-"
        yield "\t".join((*_facts(plugin), actions, shown_path(plugin.place), "-"))
    for error in listing.broken:
        folder = "-" if error.folder is None else shown_path(error.folder)
        yield "\t".join((printable(error.plugin_id), "-", "-", "broken", "-", folder, printable(error.message)))
    for path in listing.ignored:
        yield "\t".join(("-", "-", "-", "ignored", "-", shown_path(path), _IGNORED))


def _facts(plugin: InstalledPlugin) -> tuple[str, str, str, str]:
    manifest = plugin.manifest
    return manifest.id, manifest.version, manifest.type, "enabled" if plugin.enabled else "disabled"


def _actions(plugin: InstalledPlugin) -> list[str]:
    return ["?"] if _is_unknown(plugin) else [printable(each.id) for each in plugin.actions or ()]


def _is_unknown(plugin: InstalledPlugin) -> bool:
    return plugin.actions is None and plugin.manifest.type == "action"


def _columns(plugins: Sequence[InstalledPlugin], width: int) -> Iterator[str]:
    rows = [row for plugin in plugins for row in _rows(plugin)]
    widths = [max(map(cells, column)) for column in zip(_HEADER, *rows, strict=True)]
    for column, least in _MAY_SHRINK:
        too_much = sum(widths) + _GAP * (len(widths) - 1) - width
        widths[column] = max(widths[column] - max(too_much, 0), min(widths[column], least))
    yield click.style(_line(_HEADER, widths), bold=True)
    yield from (_line(row, widths) for row in rows)


def _rows(plugin: InstalledPlugin) -> Iterator[tuple[str, ...]]:
    """One row for each action, so that their names stay whole; the first has all the rest."""
    plugin_id, version, type_, state = _facts(plugin)
    first, *others = _actions(plugin) or ["-"]
    yield plugin_id, cut(version, _MOST_VERSION), type_, state, first, printable(plugin.place.name)
    if len(others) >= _MOST_ACTIONS:
        others[_MOST_ACTIONS - 2 :] = [f"and {len(others) - _MOST_ACTIONS + 2} more"]
    yield from (("", "", "", "", action, "") for action in others)


def _line(texts: Sequence[str], widths: list[int]) -> str:
    fitted = [
        pad(cut(text, width, keep_end=column in _ENDS_MATTER), width)
        for column, (text, width) in enumerate(zip(texts, widths, strict=True))
    ]
    colour = _COLOURS.get(texts[_STATE])
    if colour is not None:
        fitted[_STATE] = click.style(fitted[_STATE], fg=colour)
    return (" " * _GAP).join(fitted).rstrip()
