"""The commands ``testmesh plugins ...``: thin, the registry does the work."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from pytest_testmesh.cli.failures import MeshGroup, error_lines
from pytest_testmesh.cli.opening import open_registry, plugins_dir_option
from pytest_testmesh.cli.text import printable, shown_path
from pytest_testmesh.registry import LANGUAGES

if TYPE_CHECKING:
    from pytest_testmesh.registry.registry import InstalledPlugin, Listing, PluginRegistry

id_argument = click.argument("plugin_id", metavar="ID")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON; its keys are those of the REST API.")


@click.group(cls=MeshGroup)
def plugins() -> None:
    """List, install, create, enable and remove external plugins."""


@plugins.command("list")
@plugins_dir_option
@json_option
def list_(plugins_dir: Path | None, as_json: bool) -> None:
    """Show what the plugins folder holds; starts nothing.

    A table on a terminal. In a pipe, lines of fields between tabs: id, version, type, state, actions, folder, and
    the reason for what is broken or ignored.
    """
    registry = open_registry(plugins_dir)
    _show_listing(registry.list(), registry, as_json)


@plugins.command()
@id_argument
@plugins_dir_option
@json_option
def info(plugin_id: str, plugins_dir: Path | None, as_json: bool) -> None:
    """Show all about a plugin; starts nothing.

    Its actions come with an example step each, to be pasted into a flow.
    """
    plugin = open_registry(plugins_dir).get(plugin_id)
    if as_json:
        _show_json(_document(plugin))
        return
    from pytest_testmesh.cli.details import plugin_lines

    _show(plugin_lines(plugin))


@plugins.command()
@click.argument("source", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--upgrade", is_flag=True, help="Replace an installed plugin of the same id.")
@click.option("--no-deps", is_flag=True, help="Leave requirements.txt and package.json alone.")
@plugins_dir_option
@json_option
def install(source: Path, upgrade: bool, no_deps: bool, plugins_dir: Path | None, as_json: bool) -> None:
    """Copy the plugin in the folder DIR to the plugins folder.

    Its dependencies are installed beside it, and it is started once to learn its actions. If anything fails, nothing
    of it stays.
    """
    registry = open_registry(plugins_dir, create=True)
    plugin = registry.install(source, upgrade=upgrade, dependencies=not no_deps, progress=_show_progress)
    if as_json:
        _show_json(_document(plugin))
        return
    from pytest_testmesh.cli.details import offer_lines

    manifest = plugin.manifest
    click.echo(f"Installed {manifest.id} {printable(manifest.version)} in {shown_path(plugin.place)}.")
    _show(offer_lines(plugin))


@plugins.command()
@id_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@plugins_dir_option
@json_option
def uninstall(plugin_id: str, yes: bool, plugins_dir: Path | None, as_json: bool) -> None:
    """Remove a plugin and its folder.

    Asks before, since the folder may be the only copy of its code; without a terminal to ask on, --yes is needed.
    """
    if not yes and not _is_terminal(sys.stdin):
        raise click.UsageError("uninstall removes the plugin's folder and cannot ask without a terminal: add --yes")
    registry = open_registry(plugins_dir)
    if not yes:
        click.confirm(_question(registry, plugin_id), abort=True, err=True)
    registry.uninstall(plugin_id)
    if as_json:
        _show_json({"message": "Plugin uninstalled"})
    else:
        click.echo(f"Uninstalled {printable(plugin_id)}.")


@plugins.command()
@id_argument
@plugins_dir_option
@json_option
def enable(plugin_id: str, plugins_dir: Path | None, as_json: bool) -> None:
    """Let flows use a plugin again."""
    plugin = open_registry(plugins_dir).set_enabled(plugin_id, True)
    _show_state(plugin, "enabled", as_json)


@plugins.command()
@id_argument
@plugins_dir_option
@json_option
def disable(plugin_id: str, plugins_dir: Path | None, as_json: bool) -> None:
    """Keep flows from using a plugin; it stays installed."""
    plugin = open_registry(plugins_dir).set_enabled(plugin_id, False)
    _show_state(plugin, "disabled", as_json)


@plugins.command()
@plugins_dir_option
@json_option
def discover(plugins_dir: Path | None, as_json: bool) -> None:
    """Look through the plugins folder again.

    Enabled plugins whose actions are not known are started once to learn them; exit code 1 says that one could not
    be started.
    """
    registry = open_registry(plugins_dir)
    listing = registry.discover(_show_progress)
    _show_listing(listing, registry, as_json, {"discovered": len(listing.plugins)})
    for error in listing.failed:
        for line in error_lines(error):
            click.echo(line, err=True)
    if listing.failed:
        sys.exit(1)


@plugins.command()
@click.argument("plugin_id", metavar="NAME")
@click.option("--lang", type=click.Choice(LANGUAGES), default=LANGUAGES[0], show_default=True, help="Its language.")
@plugins_dir_option
@json_option
def new(plugin_id: str, lang: str, plugins_dir: Path | None, as_json: bool) -> None:
    """Write a working plugin to begin with.

    NAME becomes its id. It comes with a flow that tests it.
    """
    from pytest_testmesh.registry.scaffold import create_plugin

    folder = create_plugin(open_registry(plugins_dir, create=True).plugins_dir, plugin_id, lang)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    command = ["pytest", str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)]
    if plugins_dir is not None:
        command += ["--testmesh-plugins-dir", str(plugins_dir)]
    if as_json:
        _show_json({"path": str(folder), "files": [str(path) for path in files], "command": shlex.join(command)})
        return
    click.echo(f"Created plugin {plugin_id}:")
    _show(f"  {shown_path(path)}" for path in files)
    click.echo(f"Run the flow that tests it:\n  {printable(shlex.join(command))}")


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()  # None: it was closed before the command began


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _show_progress(line: str) -> None:
    click.echo(printable(line), err=True)


def _show_json(document: Mapping[str, Any]) -> None:
    from pytest_testmesh.cli.documents import to_json

    click.echo(to_json(document))


def _show_listing(
    listing: Listing, registry: PluginRegistry, as_json: bool, further: Mapping[str, Any] | None = None
) -> None:
    if as_json:
        from pytest_testmesh.cli.documents import listing_document

        _show_json({**(further or {}), **listing_document(listing, registry.plugins_dir)})
        return
    from pytest_testmesh.cli.listing import field_lines, table_lines

    if _is_terminal(sys.stdout):
        _show(table_lines(listing, registry.plugins_dir, shutil.get_terminal_size().columns))
    else:
        _show(field_lines(listing))
        if not (listing.plugins or listing.broken or listing.ignored):
            click.echo(f"No plugins in {shown_path(registry.plugins_dir)}.", err=True)


def _show_state(plugin: InstalledPlugin, state: str, as_json: bool) -> None:
    if as_json:
        _show_json({"message": f"Plugin {state}", "plugin": _document(plugin)})
    else:
        click.echo(f"{state.capitalize()} {plugin.manifest.id}.")


def _document(plugin: InstalledPlugin) -> Mapping[str, Any]:
    from pytest_testmesh.cli.documents import plugin_document

    return plugin_document(plugin)


def _question(registry: PluginRegistry, plugin_id: str) -> str:
    from pytest_testmesh.errors import PluginManifestError

    try:
        place = registry.get(plugin_id).place
    except PluginManifestError as exc:  # uninstalling is one way out of it
        return f"{printable(exc.message)}\nRemove plugin {printable(plugin_id)} with its folder?"
    if place.is_symlink():
        return f"Remove plugin {plugin_id}, the link {shown_path(place)}, and leave alone what it leads to?"
    return f"Remove plugin {plugin_id} and the folder {shown_path(place)} with all its files?"
