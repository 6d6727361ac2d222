"""What API and page do: the registry's operations, and the processes of the plugins that are enabled."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_testmesh.errors import (
    ExternalPluginError,
    MeshError,
    PluginManifestError,
    PluginNotFoundError,
    PluginRefusedError,
)
from pytest_testmesh.external.lifecycle import Limits
from pytest_testmesh.external.side_by_side import in_threads, side_by_side
from pytest_testmesh.server.processes import PluginProcesses
from pytest_testmesh.server.turns import Installations, Turns
from pytest_testmesh.values import shorten

if TYPE_CHECKING:
    from pytest_testmesh.external.manifest import Manifest
    from pytest_testmesh.registry.registry import InstalledPlugin, Listing, PluginRegistry

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|file:", re.IGNORECASE)
_SOURCE_HINT = "plugins are installed from a folder of this machine: give its absolute path"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedPlugin:
    """An installed plugin and its process: *loaded* while it runs, *starting* until it does, *error* if it cannot."""

    installed: InstalledPlugin
    loaded: bool = False
    starting: bool = False
    error: ExternalPluginError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedListing:
    """What the plugins folder holds, each part by folder name."""

    plugins: tuple[ServedPlugin, ...]
    broken: tuple[PluginManifestError, ...] = ()
    ignored: tuple[Path, ...] = ()


class PluginService:
    """The plugins of one folder, installed and running; all methods may be called from any thread.

    The disk decides: what the command line changes meanwhile is seen by the next call. Operations on one plugin
    come one after the other.
    """

    def __init__(self, registry: PluginRegistry, *, limits: Limits | None = None) -> None:
        self._registry = registry
        self._processes = PluginProcesses(limits or Limits())
        self._turns = Turns()
        self._installations = Installations()
        self._lock = threading.Lock()
        self._catching_up: set[str] = set()

    @property
    def plugins_dir(self) -> Path:
        """The folder of the plugins."""
        return self._registry.plugins_dir

    def start(self) -> None:
        """Scan the folder and start what is enabled, side by side, without waiting for it."""
        in_threads("serve", [self._first_scan])

    def close(self) -> None:
        """End all processes; nothing is started any more, and nobody waits for an installation."""
        self._installations.close()
        self._processes.close()

    def list(self) -> ServedListing:
        """Return what is installed now; processes are brought in line in the background."""
        listing = self._registry.list()
        self._catch_up(self._out_of_line(listing))
        return self._served_listing(listing)

    def get(self, plugin_id: str) -> ServedPlugin:
        """Return one plugin; its process is brought in line in the background.

        Raises:
            PluginNotFoundError: None has that id.
            PluginManifestError: Its manifest is broken.
        """
        plugin = self._registry.get(plugin_id)
        if not self._is_in_line(plugin):
            self._catch_up({plugin_id})
        return self._served(plugin)

    def install(self, source: str, *, upgrade: bool = False, dependencies: bool = True) -> ServedPlugin:
        """Install the plugin in the folder *source*, an absolute path, and start it.

        Raises:
            PluginRefusedError: *source* is no such folder, belongs to another user, or cannot be used.
            PluginExistsError: The id is taken.
            ExternalPluginError: Its manifest is wrong, or it cannot start.
        """
        folder = _source_folder(source)
        install = partial(self._registry.install, upgrade=upgrade, dependencies=dependencies, owner=os.geteuid())
        installed = self._installations.run(partial(install, folder))
        self._bring_in_line(installed.manifest.id, again=True)
        # Not read again: somebody may have removed it meanwhile.
        return self._served(installed)

    def enable(self, plugin_id: str) -> ServedPlugin:
        """Start the plugin, and enable it if that went well; otherwise it stays as it was.

        Raises:
            PluginNotFoundError: None has that id.
            ExternalPluginError: It cannot start.
        """
        with self._turns.alone(plugin_id):
            plugin = self._registry.get(plugin_id)
            try:
                if _has_process(plugin.manifest):
                    self._processes.start(plugin.manifest)
                return self._served(self._registry.set_enabled(plugin_id, True))
            except MeshError:
                if not plugin.enabled:
                    self._processes.stop(plugin_id)
                raise

    def disable(self, plugin_id: str) -> ServedPlugin:
        """Disable the plugin, and end its process with all that it started.

        Raises:
            PluginNotFoundError: None has that id.
        """
        with self._turns.alone(plugin_id, hurry=self._processes.interrupt):
            plugin = self._registry.set_enabled(plugin_id, False)
            self._processes.stop(plugin_id)
            return self._served(plugin)

    def uninstall(self, plugin_id: str) -> None:
        """End the plugin's process with all that it started, and remove its folder.

        Raises:
            PluginNotFoundError: None has that id.
        """
        with self._turns.alone(plugin_id, hurry=self._processes.interrupt):
            # First, so that it cannot write into a folder that is being removed.
            self._processes.stop(plugin_id)
            self._registry.uninstall(plugin_id)

    def discover(self) -> ServedListing:
        """Scan the folder again; start what is new or failed before, end what is gone, and wait for both."""
        ids = {plugin.manifest.id for plugin in self._registry.list().plugins} | self._processes.ids()
        side_by_side("serve", [partial(self._bring_in_line, each, again=True) for each in sorted(ids)])
        return self._served_listing(self._registry.list())

    def _first_scan(self) -> None:
        # What is wrong with the folder is told to everyone who asks for it.
        with contextlib.suppress(MeshError):
            self.list()

    def _out_of_line(self, listing: Listing) -> set[str]:
        """Return the plugins that should run and do not, and those that run and should not."""
        wrong = {each.manifest.id for each in listing.plugins if not self._is_in_line(each)}
        return wrong | (self._processes.ids() - {each.manifest.id for each in listing.plugins})

    def _is_in_line(self, plugin: InstalledPlugin) -> bool:
        if _should_run(plugin):
            return self._processes.is_current(plugin.manifest)
        return plugin.manifest.id not in self._processes.ids()

    def _catch_up(self, plugin_ids: set[str]) -> None:
        with self._lock:
            new = plugin_ids - self._catching_up
            self._catching_up |= new
        in_threads("serve", [partial(self._caught_up, plugin_id) for plugin_id in new])

    def _caught_up(self, plugin_id: str) -> None:
        try:
            self._bring_in_line(plugin_id)
        finally:
            with self._lock:
                self._catching_up.discard(plugin_id)

    def _bring_in_line(self, plugin_id: str, *, again: bool = False) -> None:
        """Start or end the plugin's process as the disk says; *again* also where a start failed before."""
        # An error of a start is kept, and shown with the plugin.
        with contextlib.suppress(MeshError), self._turns.alone(plugin_id):
            manifest = self._to_run(plugin_id)
            if manifest is None:
                self._processes.stop(plugin_id)
            elif again or not self._processes.is_current(manifest):
                self._processes.start(manifest)

    def _to_run(self, plugin_id: str) -> Manifest | None:
        try:
            plugin = self._registry.get(plugin_id)
        except (PluginNotFoundError, PluginManifestError):
            return None
        return plugin.manifest if _should_run(plugin) else None

    def _served_listing(self, listing: Listing) -> ServedListing:
        plugins = tuple(self._served(plugin) for plugin in listing.plugins)
        return ServedListing(plugins=plugins, broken=listing.broken, ignored=listing.ignored)

    def _served(self, plugin: InstalledPlugin) -> ServedPlugin:
        if not _should_run(plugin):
            return ServedPlugin(installed=plugin)
        state = self._processes.state(plugin.manifest.id)
        actions = plugin.actions if state.actions is None else state.actions
        return ServedPlugin(
            installed=replace(plugin, actions=actions),
            loaded=state.loaded,
            starting=state.starting,
            error=state.error,
        )


def _has_process(manifest: Manifest) -> bool:
    return manifest.type == "action"


def _should_run(plugin: InstalledPlugin) -> bool:
    return plugin.enabled and _has_process(plugin.manifest)


def _source_folder(source: str) -> Path:
    shown = shorten(repr(source), 200)
    if _URL.match(source):
        raise PluginRefusedError(f"source {shown} is a URL", hint=_SOURCE_HINT)
    if not os.path.isabs(source):
        raise PluginRefusedError(f"source {shown} is not an absolute path", hint=_SOURCE_HINT)
    if not os.path.isdir(source):
        raise PluginRefusedError(f"source {shown} is not a folder", hint=_SOURCE_HINT)
    return Path(source)
