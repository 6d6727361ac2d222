"""The text of ``testmesh plugins info`` and of what ``install`` says at its end: one plugin and its actions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pytest_testmesh.cli.text import printable, shown_path
from pytest_testmesh.registry.example_step import example_step
from pytest_testmesh.registry.schema_table import schema_table

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_testmesh.external.manifest import Manifest
    from pytest_testmesh.external.protocol import DeclaredAction
    from pytest_testmesh.registry.registry import InstalledPlugin
    from pytest_testmesh.registry.schema_table import SchemaRow

_STEP_INDENT = 4
"""Where steps stand in a flow file, below ``flow:`` and ``steps:``."""


def plugin_lines(plugin: InstalledPlugin) -> Iterator[str]:
    """Return everything about a plugin: manifest, actions with their schemas, example steps."""
    manifest = plugin.manifest
    state = click.style("enabled", fg="green") if plugin.enabled else click.style("disabled", fg="yellow")
    yield f"{click.style(f'{manifest.id} {printable(manifest.version)}', bold=True)} ({manifest.type}, {state})"
    yield printable(manifest.name)
    yield from map(printable, manifest.description.splitlines())
    yield ""
    yield from _facts(manifest, plugin.place)
    for action in plugin.actions or ():
        yield ""
        yield from _action_lines(action, manifest)
    if not plugin.actions:
        yield ""
        yield from _without_actions(plugin)
    if not plugin.enabled:
        yield ""
        yield f"It is disabled, flows cannot use it: testmesh plugins enable {manifest.id}"


def _without_actions(plugin: InstalledPlugin) -> Iterator[str]:
    manifest = plugin.manifest
    if manifest.type != "action":
        yield _not_yet_called(manifest)
    elif plugin.actions is None:
        yield "Its actions are not known before it starts once: testmesh plugins discover"
    else:
        yield "It lists no actions; steps can use its id. An example step:"
        yield from _example(manifest.id, None, manifest)


def offer_lines(plugin: InstalledPlugin) -> Iterator[str]:
    """Return which actions flows can use now, with an example step of the first."""
    manifest = plugin.manifest
    if manifest.type != "action":
        yield _not_yet_called(manifest)
        return
    if not plugin.enabled:
        yield f"It is disabled as before, flows cannot use it: testmesh plugins enable {manifest.id}"
        return
    actions = plugin.actions or ()
    yield "Flows can now use:"
    for action in actions:
        yield f"  {click.style(printable(action.id), bold=True)}  {printable(_summary(action))}".rstrip()
    if not actions:
        yield f"  {click.style(manifest.id, bold=True)}  {printable(manifest.name)}"
    yield "For example:"
    first = actions[0] if actions else None
    yield from _example(first.id if first else manifest.id, first, manifest)


def _not_yet_called(manifest: Manifest) -> str:
    return f"Plugins of type {manifest.type} are kept, but not called yet: flows cannot use it as an action."


def _facts(manifest: Manifest, place: Path) -> Iterator[str]:
    facts = {
        "author": manifest.author,
        "homepage": manifest.homepage,
        "permissions": ", ".join(manifest.permissions),
        "folder": shown_path(place),
        "link to": shown_path(manifest.folder) if place.is_symlink() else "",
        "entry point": manifest.entry_point.relative_to(manifest.folder).as_posix(),
    }
    yield from (f"  {name:<12} {printable(text)}" for name, text in facts.items() if text.strip())
    for number, (key, value) in enumerate(manifest.config.items()):
        yield f"  {'' if number else 'config':<12} {printable(key)}: {printable(_json(value))}"


def _action_lines(action: DeclaredAction, manifest: Manifest) -> Iterator[str]:
    yield f"{click.style(printable(action.id), bold=True)}  {printable(action.name)}".rstrip()
    yield from (f"  {printable(line)}" for line in action.description.splitlines())
    table = schema_table(action.schema)
    if table.rows:
        width = max(len(row.key) for row in table.rows)
        yield "  config:"
        yield from (f"    {printable(row.key):<{width}}  {printable(_meaning(row))}" for row in table.rows)
    if table.more:
        yield "    ... and more keys: --json shows the whole schema"
    yield "  example step:"
    yield from _example(action.id, action, manifest)


def _meaning(row: SchemaRow) -> str:
    required = ", required" if row.required else ""
    return f"{row.type}{required}{': ' if row.description else ''}{row.description}"


def _example(action_id: str, action: DeclaredAction | None, manifest: Manifest) -> Iterator[str]:
    text = example_step(action_id, action.schema if action else None, defaults=manifest.config)
    yield from (f"{'':{_STEP_INDENT}}{printable(line)}" for line in text.splitlines())


def _summary(action: DeclaredAction) -> str:
    first, *_ = action.description.splitlines() or [action.name]
    return first


def _json(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
