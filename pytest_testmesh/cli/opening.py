"""Opens the plugins folder that a command works on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pytest_testmesh.registry.registry import PluginRegistry

plugins_dir_option = click.option(
    "--plugins-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of the plugins.  [default: $PLUGINS_DIR, else where a pytest run here looks for them]",
)


def open_registry(plugins_dir: Path | None, *, create: bool = False) -> PluginRegistry:
    """Return the registry of the folder *plugins_dir*, by default the one that a pytest session here uses.

    *create* says that the command is about to make the folder if it does not exist.

    Raises:
        PytestConfigError: No folder is named, and pytest cannot tell its own.
    """
    from pytest_testmesh.cli.folders import Folders, PytestConfigError, session_folders
    from pytest_testmesh.integrations.catalog import reserved_ids
    from pytest_testmesh.registry.registry import PluginRegistry

    try:
        folders = session_folders(plugins_dir, create=create)
    except PytestConfigError as exc:
        if plugins_dir is None:
            raise
        click.echo(f"warning: {exc.message}; the plugins' actions cannot be remembered", err=True)
        folders = Folders(plugins_dir=plugins_dir.absolute(), info_cache=None)
    return PluginRegistry(folders.plugins_dir, cache_path=folders.info_cache, reserved=reserved_ids())
