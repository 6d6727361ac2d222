"""Lists, installs, removes, enables and disables the plugins of one folder; safe from many processes at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_testmesh.errors import (
    ExternalPluginError,
    PluginExistsError,
    PluginManifestError,
    PluginNotFoundError,
    RegistryError,
)
from pytest_testmesh.external.discovery import Discovery, discover
from pytest_testmesh.external.info_cache import InfoCache
from pytest_testmesh.external.manifest import Manifest
from pytest_testmesh.external.state import PluginState, locked, read_state
from pytest_testmesh.registry.copying import CopyLimits
from pytest_testmesh.registry.staging import staging, sweep
from pytest_testmesh.values import near_matches, shorten

if TYPE_CHECKING:
    from pytest_testmesh.external.lifecycle import Limits
    from pytest_testmesh.external.protocol import DeclaredAction


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPlugin:
    """One plugin of the folder.

    *actions* is what its last ``/info`` listed, None while that is not known and for types that are not started.
    *place* is its entry in the plugins folder, which may be a link to the manifest's ``folder``.
    """

    manifest: Manifest
    enabled: bool
    place: Path
    actions: tuple[DeclaredAction, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What the plugins folder holds, each part by folder name.

    *broken* tell their ``folder``. *failed* are errors of plugins, listed all the same, that were started for
    their ``/info``; *ignored* are folders whose ``manifest.json`` belongs to another tool.
    """

    plugins: tuple[InstalledPlugin, ...]
    broken: tuple[PluginManifestError, ...] = ()
    ignored: tuple[Path, ...] = ()
    failed: tuple[ExternalPluginError, ...] = ()


def _silent(line: str) -> None:
    return None


class PluginRegistry:
    """The plugins of one folder; making it reads and starts nothing.

    *reserved* are ids that no plugin may take, in lower case. *cache_path* is the file of the `InfoCache` that
    pytest reads; without one, what a plugin offers is only known right after its installation.

    All methods may be called from any thread and process. They raise a `RegistryError` for whatever they refuse,
    or cannot do to the folder, and an `ExternalPluginError` for what is wrong with a plugin.
    """

    def __init__(
        self,
        plugins_dir: Path,
        *,
        cache_path: Path | None = None,
        limits: Limits | None = None,
        reserved: Collection[str] = (),
        copy_limits: CopyLimits | None = None,
    ) -> None:
        self.plugins_dir = plugins_dir
        self._cache_path = cache_path
        self._limits = limits
        self._reserved = frozenset(reserved)
        self._copy_limits = copy_limits or CopyLimits()

    def list(self) -> Listing:
        """Read what is installed; starts nothing."""
        found = discover(self.plugins_dir)
        state, cache = read_state(self.plugins_dir), InfoCache(self._cache_path)
        return Listing(
            plugins=tuple(_installed(each, found, state, cache) for each in found.manifests),
            broken=found.broken,
            ignored=found.ignored,
        )

    def get(self, plugin_id: str) -> InstalledPlugin:
        """Return one plugin.

        Raises:
            PluginNotFoundError: No folder has that id; the hint names near matches.
            PluginManifestError: It is there, but its manifest is broken.
        """
        found = discover(self.plugins_dir)
        manifest = self._manifest(plugin_id, found)
        return _installed(manifest, found, read_state(self.plugins_dir), InfoCache(self._cache_path))

    def install(
        self,
        source: Path,
        *,
        upgrade: bool = False,
        dependencies: bool = True,
        owner: int | None = None,
        progress: Callable[[str], None] = _silent,
    ) -> InstalledPlugin:
        """Copy the plugin in the folder *source*, prepare its dependencies, start it once, record its ``/info``.

        *owner* is the user id that must own every file of *source*; *progress* is told each stage in one line.
        An *upgrade* replaces the plugin of that id, if there is one, and keeps whether it is enabled. Until the
        last moment nothing changes: whatever fails, the plugins folder stays as it was.

        Raises:
            PluginExistsError: The id, or the folder of that name, is taken.
            PluginRefusedError: *source* may not be copied, its id is reserved, or its dependencies cannot be had.
            PluginManifestError: Its manifest is missing or broken.
            PluginStartError: It did not start, or not in time.
            PluginProtocolError: Its ``/info`` is not in the shape of the protocol.
        """
        from pytest_testmesh.registry.installing import Installation

        with self._changing(f"install {source}"):
            sweep(self.plugins_dir)
            manifest, actions = Installation(
                plugins_dir=self.plugins_dir,
                source=source.resolve(),
                reserved=self._reserved,
                upgrade=upgrade,
                dependencies=dependencies,
                owner=owner,
                limits=self._limits,
                copy_limits=self._copy_limits,
                progress=progress,
            ).run()
        if actions is not None:
            InfoCache(self._cache_path).store(manifest, actions)
        return InstalledPlugin(
            manifest=manifest,
            enabled=read_state(self.plugins_dir).is_enabled(manifest.id),
            place=self.plugins_dir / manifest.id,
            actions=None if actions is None else tuple(actions.values()),
        )

    def uninstall(self, plugin_id: str) -> None:
        """Remove the plugin's folder and what is recorded of it; a link is removed, never what it leads to.

        A plugin whose manifest is broken is known by the name of its folder.

        Raises:
            PluginNotFoundError: No folder has that id.
            PluginExistsError: Several have it; the hint names them.
        """
        self._entry(plugin_id)
        with self._changing(f"uninstall {plugin_id}"):
            sweep(self.plugins_dir)
            # The lock is free again before a large folder is deleted.
            with staging(self.plugins_dir) as work:
                with locked(self.plugins_dir) as state:
                    entry, known_as = self._entry(plugin_id)
                    folder = entry.resolve()
                    read_state(self.plugins_dir)
                    work.take_away(entry)
                    state.set_enabled(known_as, True)
        InfoCache(self._cache_path).forget(folder)

    def set_enabled(self, plugin_id: str, enabled: bool) -> InstalledPlugin:
        """Write whether flows may use the plugin.

        Raises:
            PluginNotFoundError: No folder has that id.
            PluginManifestError: It is there, but its manifest is broken.
        """
        self.get(plugin_id)
        with self._changing(f"{'enable' if enabled else 'disable'} {plugin_id}"), locked(self.plugins_dir) as state:
            plugin = self.get(plugin_id)
            state.set_enabled(plugin_id, enabled)
            return replace(plugin, enabled=enabled)

    def discover(self, progress: Callable[[str], None] = _silent) -> Listing:
        """Scan the folder anew; each enabled action plugin whose ``/info`` is not known is started once for it.

        A plugin that cannot be started is told in ``failed``, and stops no other.
        """
        from pytest_testmesh.external.trial import ask_once

        with self._changing("rescan"):
            sweep(self.plugins_dir)
        listing, cache = self.list(), InfoCache(self._cache_path)
        plugins, failed = [], []
        for plugin in listing.plugins:
            if plugin.enabled and plugin.actions is None and plugin.manifest.type == "action":
                progress(f"starting {plugin.manifest.id} once")
                try:
                    actions = ask_once(plugin.manifest, self._limits)
                    cache.store(plugin.manifest, actions)
                    plugin = replace(plugin, actions=tuple(actions.values()))
                except ExternalPluginError as exc:
                    failed.append(exc)
            plugins.append(plugin)
        return replace(listing, plugins=tuple(plugins), failed=tuple(failed))

    def _manifest(self, plugin_id: str, found: Discovery) -> Manifest:
        for manifest in found.manifests:
            if manifest.id == plugin_id:
                return manifest
        for error in found.broken:
            if plugin_id in _names(error):
                raise error
        raise self._not_found(plugin_id, found)

    def _entry(self, plugin_id: str) -> tuple[Path, str]:
        """Return the entry of the plugins folder and the plugin's id; only what was found there is ever returned."""
        found = discover(self.plugins_dir)
        if plugin_id in found.places:
            return found.places[plugin_id], plugin_id
        broken = [(each.folder, each.plugin_id) for each in found.broken if each.folder is not None]
        by_folder = [each for each in broken if each[0].name == plugin_id]
        by_id = [each for each in broken if each[1] == plugin_id]
        candidates = by_folder or by_id
        if not candidates:
            raise self._not_found(plugin_id, found)
        if len(candidates) > 1:
            names = " or ".join(entry.name for entry, _ in candidates)
            raise PluginExistsError(
                f"{len(candidates)} plugins have the id {plugin_id}", hint=f"name the folder of one: {names}"
            )
        return candidates[0]

    def _not_found(self, plugin_id: str, found: Discovery) -> PluginNotFoundError:
        known = sorted({*found.places, *(name for error in found.broken for name in _names(error))})
        near = near_matches(plugin_id, known)
        hint = f"installed: {', '.join(known)}" if known else "no plugin is installed"
        hint = f"did you mean {' or '.join(near)}?" if near else hint
        return PluginNotFoundError(f"no plugin {shorten(repr(plugin_id))} in {self.plugins_dir}", hint=hint)

    @contextlib.contextmanager
    def _changing(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            where = f": {exc.filename}" if exc.filename else ""
            raise RegistryError(f"cannot {doing}: {exc.strerror or exc}{where}") from exc


def _installed(manifest: Manifest, found: Discovery, state: PluginState, cache: InfoCache) -> InstalledPlugin:
    actions = cache.actions(manifest)
    return InstalledPlugin(
        manifest=manifest,
        enabled=state.is_enabled(manifest.id),
        place=found.places[manifest.id],
        actions=None if actions is None else tuple(actions.values()),
    )


def _names(error: PluginManifestError) -> set[str]:
    """What a plugin with a broken manifest is known by."""
    return {error.plugin_id} if error.folder is None else {error.plugin_id, error.folder.name}
