"""Installs one plugin: checks, copies, prepares and tries it out of sight, then shows it at once or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_testmesh.errors import (
    ExternalPluginError,
    PluginExistsError,
    PluginManifestError,
    PluginRefusedError,
)
from pytest_testmesh.external.discovery import Discovery, discover
from pytest_testmesh.external.manifest import FILE_NAME, Manifest, read_manifest
from pytest_testmesh.external.state import locked, read_state
from pytest_testmesh.registry.copying import LEFT_OUT, CopyLimits, copy_plugin
from pytest_testmesh.registry.dependencies import move_environment, prepare_dependencies
from pytest_testmesh.registry.staging import Staging, staging

if TYPE_CHECKING:
    from pytest_testmesh.external.lifecycle import Limits
    from pytest_testmesh.external.protocol import DeclaredAction


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What one installation is asked to do; see `PluginRegistry.install`."""

    plugins_dir: Path
    source: Path
    reserved: Collection[str]
    upgrade: bool
    dependencies: bool
    owner: int | None
    limits: Limits | None
    copy_limits: CopyLimits
    progress: Callable[[str], None]

    def run(self) -> tuple[Manifest, Mapping[str, DeclaredAction] | None]:
        """Install; return the manifest in its place and what ``/info`` listed, None for a type that is not started.

        Raises:
            RegistryError: Refused, or the folder cannot be changed; nothing was.
            ExternalPluginError: The plugin's manifest, start or ``/info`` is at fault; nothing was changed.
        """
        manifest = self._candidate()
        with staging(self.plugins_dir) as work:
            copy = self._copy(manifest, work)
            try:
                actions = self._prepare(manifest, copy, work)
            except ExternalPluginError as exc:
                raise _about_source(exc, copy.folder, self.source) from exc
            self.progress(f"putting {manifest.id} in its place")
            return self._publish(copy, work), actions

    def _candidate(self) -> Manifest:
        """Read the source's manifest and refuse early what would be refused after the copy."""
        if not self.source.is_dir():
            what = "is not a folder" if os.path.lexists(self.source) else "does not exist"
            hint = f"name the folder that holds {FILE_NAME}; plugins are installed from folders of this machine only"
            raise PluginRefusedError(f"{self.source} {what}", hint=hint)
        if self.source == self.plugins_dir.resolve():
            raise PluginRefusedError(
                f"{self.source} is the plugins folder itself", hint="name the folder of one plugin"
            )
        if self.plugins_dir.resolve().is_relative_to(self.source) and not self.plugins_dir.exists():
            raise PluginRefusedError(
                f"the plugins folder {self.plugins_dir} would lie inside the plugin {self.source}",
                hint="install it from your project's folder, or name that project's plugins folder",
            )
        if not (self.source / FILE_NAME).resolve().is_relative_to(self.source):
            raise PluginRefusedError(f"{self.source / FILE_NAME} is a link out of the folder")
        manifest = read_manifest(self.source)
        self._check_id(manifest.id)
        self._check_not_in_place(manifest)
        self._replaceable(manifest.id, discover(self.plugins_dir))
        return manifest

    def _check_id(self, plugin_id: str) -> None:
        taken = {plugin_id.casefold(), plugin_id.partition(".")[0].casefold()} & set(self.reserved)
        if taken:
            raise PluginRefusedError(
                f"{self.source / FILE_NAME}: id {plugin_id} is reserved: {' and '.join(sorted(taken))} is built in",
                hint="give the plugin another id",
            )

    def _check_not_in_place(self, manifest: Manifest) -> None:
        if self.source.parent == self.plugins_dir.resolve() and not self.source.name.startswith("."):
            raise PluginExistsError(
                f"plugin {manifest.id} is installed already: {self.source} is in the plugins folder",
                hint="a rescan (discover) starts it once and records its actions",
            )

    def _replaceable(self, plugin_id: str, found: Discovery) -> Path | None:
        """Return the entry of the plugins folder that the plugin replaces, None where its id and folder are free."""
        target = self.plugins_dir / plugin_id
        plugins = {each.folder for each in found.broken if each.folder is not None and _named(each, plugin_id)}
        if plugin_id in found.places:
            plugins.add(found.places[plugin_id])
        if not plugins and os.path.lexists(target):
            raise PluginExistsError(f"{target} is there already, and is no plugin", hint="move it away first")
        if len(plugins) > 1 or (plugins and target not in plugins and os.path.lexists(target)):
            places = " and ".join(str(each) for each in sorted({*plugins, target}) if os.path.lexists(each))
            raise PluginExistsError(f"{places} are in the way of plugin {plugin_id}", hint="uninstall them first")
        if plugins and not self.upgrade:
            raise PluginExistsError(
                f"plugin {plugin_id} is installed already, in {next(iter(plugins))}",
                hint="an upgrade (--upgrade) replaces it and keeps whether it is enabled",
            )
        return next(iter(plugins), None)

    def _copy(self, manifest: Manifest, work: Staging) -> Manifest:
        self.progress(f"copying {self.source}")
        target = work.new / manifest.id
        copy_plugin(self.source, target, owner=self.owner, skipped=self.plugins_dir, limits=self.copy_limits)
        try:
            copy = read_manifest(target)
        except PluginManifestError as exc:
            told = _about_source(exc, target, self.source)
            raise PluginRefusedError(
                f"without {', '.join(sorted(LEFT_OUT))}, which are not copied: {told.message}", hint=told.hint
            ) from exc
        if copy.id != manifest.id:
            raise PluginRefusedError(f"{self.source / FILE_NAME} was changed while it was copied")
        return copy

    def _prepare(self, manifest: Manifest, copy: Manifest, work: Staging) -> Mapping[str, DeclaredAction] | None:
        if self.dependencies:
            prepare_dependencies(copy.folder, manifest.id, work.folder / "output.txt", self.progress)
        actions = self._try_out(copy)
        move_environment(copy.folder, self.plugins_dir.resolve() / manifest.id)
        return actions

    def _try_out(self, copy: Manifest) -> Mapping[str, DeclaredAction] | None:
        if copy.type != "action":
            return None
        from pytest_testmesh.external.trial import ask_once

        self.progress(f"starting {copy.id} once")
        return ask_once(copy, self.limits)

    def _publish(self, copy: Manifest, work: Staging) -> Manifest:
        with locked(self.plugins_dir) as state:
            replaced = self._replaceable(copy.id, discover(self.plugins_dir))
            read_state(self.plugins_dir)
            if replaced is None:
                # A plugin of this id may have been disabled, and then deleted by hand.
                state.set_enabled(copy.id, True)
            return read_manifest(work.publish(copy.folder, replaced))


def _named(error: PluginManifestError, plugin_id: str) -> bool:
    return plugin_id == error.plugin_id or (error.folder is not None and plugin_id == error.folder.name)


def _about_source(error: ExternalPluginError, copy: Path, source: Path) -> ExternalPluginError:
    """Return the error as it would be without the copy: nobody can look into that one any more."""

    def told(text: str) -> str:
        return text.replace(str(copy), str(source))

    return type(error)(
        told(error.message),
        plugin_id=error.plugin_id,
        hint=error.hint and told(error.hint),
        stderr=tuple(map(told, error.stderr)),
    )
