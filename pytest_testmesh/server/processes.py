"""Owns the plugin processes that one server runs, at most one for each plugin."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from pytest_testmesh.errors import ExternalPluginError, PluginStartError
from pytest_testmesh.external.guard import Guard
from pytest_testmesh.external.lifecycle import ExternalPlugin, Limits
from pytest_testmesh.external.manifest import FILE_NAME
from pytest_testmesh.external.side_by_side import side_by_side
from pytest_testmesh.polling import Deadline

if TYPE_CHECKING:
    from pytest_testmesh.external.manifest import Manifest
    from pytest_testmesh.external.protocol import DeclaredAction

_SHOWN_LINES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """How it stands with one plugin's process; *actions* is what its ``/info`` listed, None before the first answer."""

    loaded: bool = False
    starting: bool = False
    error: ExternalPluginError | None = None
    actions: tuple[DeclaredAction, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """A plugin with the state of its files when it was started: other files are another plugin."""

    plugin: ExternalPlugin
    files: tuple[object, ...]
    started: threading.Event = field(default_factory=threading.Event)

    def state(self) -> ProcessState:
        plugin = self.plugin
        # In this order: its start may come to its end between any two looks.
        started, running = self.started.is_set(), plugin.running
        listed = None if plugin.actions is None else tuple(plugin.actions.values())
        if running:
            return ProcessState(loaded=True, actions=listed)
        if plugin.error is not None:
            return ProcessState(error=plugin.error, actions=listed)
        if not started:
            return ProcessState(starting=True)
        return ProcessState(error=_ended(plugin), actions=listed)


class PluginProcesses:
    """The processes of one server, by plugin id; calls for one id must not overlap, those for different ids may."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._guard = Guard()
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._closed = False

    def ids(self) -> frozenset[str]:
        """Return the plugins that run, start, or were found unable to."""
        with self._lock:
            return frozenset(self._kept)

    def state(self, plugin_id: str) -> ProcessState:
        """Return how it stands right now with a plugin that should run."""
        kept = self._kept.get(plugin_id)
        return ProcessState(starting=True) if kept is None else kept.state()

    def is_current(self, manifest: Manifest) -> bool:
        """Whether the plugin was started, well or not, from the files that are there now."""
        kept = self._kept.get(manifest.id)
        return kept is not None and kept.files == _files(manifest)

    def start(self, manifest: Manifest) -> None:
        """Start the plugin unless it runs from these very files; one that failed or ended is tried again.

        Raises:
            PluginStartError: It exited, did not listen, or did not become healthy in time; or the server is closing.
            PluginProtocolError: ``/info`` did not answer in the shape of the protocol.
        """
        before = self._kept.get(manifest.id)
        if before is not None and before.plugin.running and before.files == _files(manifest):
            return
        if before is not None:
            self._end(before)
        kept = self._keep(manifest)
        try:
            kept.plugin.ensure_started()
            kept.started.set()
        except ExternalPluginError:
            if kept.plugin.error is None:  # interrupted, which says nothing about the plugin
                self.stop(manifest.id)
            raise

    def interrupt(self, plugin_id: str) -> None:
        """Let a start that still runs fail now; this may overlap with `start`."""
        kept = self._kept.get(plugin_id)
        if kept is not None and kept.state().starting:
            kept.plugin.kill()

    def stop(self, plugin_id: str) -> None:
        """End the plugin's process and all that it started, and forget its error; without one, do nothing."""
        kept = self._kept.get(plugin_id)
        if kept is not None:
            self._end(kept)
            with self._lock:
                self._kept.pop(plugin_id, None)

    def close(self) -> None:
        """End everything side by side; nothing can be started any more. Safe to repeat."""
        with self._lock:
            self._closed = True
            kept = list(self._kept.values())
            self._kept.clear()
        try:
            side_by_side("stop", [partial(self._end, each) for each in kept])
        finally:
            self._guard.close()

    def _keep(self, manifest: Manifest) -> _Kept:
        with self._lock:
            if self._closed:
                raise PluginStartError(
                    f"plugin {manifest.id} is not started: the server is shutting down", plugin_id=manifest.id
                )
            plugin = ExternalPlugin(manifest, self._limits, _told_when_asked, self._guard)
            kept = self._kept[manifest.id] = _Kept(plugin, _files(manifest))
            return kept

    def _end(self, kept: _Kept) -> None:
        kept.plugin.stop(Deadline.after(self._limits.shutdown_s, "the grace after /shutdown"))


def _told_when_asked(manifest: Manifest, actions: Mapping[str, DeclaredAction]) -> None:
    """What ``/info`` lists is read from the plugin itself; the registry records it at installation."""


def _files(manifest: Manifest) -> tuple[object, ...]:
    """Return what changes when the plugin's files are replaced or edited."""
    found: list[object] = [manifest]
    for path in (manifest.folder, manifest.folder / FILE_NAME, manifest.entry_point):
        try:
            state = path.stat()
        except OSError:
            found.append(None)
            continue
        # The time of a folder changes whenever the plugin writes a file beside its own.
        found.append(state.st_ino if path == manifest.folder else (state.st_ino, state.st_size, state.st_mtime_ns))
    return tuple(found)


def _ended(plugin: ExternalPlugin) -> ExternalPluginError:
    plugin.collect_output()
    return ExternalPluginError(
        f"plugin {plugin.id} has ended by itself",
        plugin_id=plugin.id,
        hint="enable it, or scan the folder again, to start it anew",
        stderr=tuple(plugin.stderr.last_lines(_SHOWN_LINES, 0)),
    )
