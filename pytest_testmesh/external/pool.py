"""Owns the external plugins of one session: which one serves an action, and when each starts and stops."""

from __future__ import annotations

import atexit
import os
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pytest_testmesh.actions import Action, ActionContext
from pytest_testmesh.errors import ExternalPluginError, FlowSchemaError, UnknownActionError
from pytest_testmesh.external.discovery import Discovery, discover
from pytest_testmesh.external.guard import Guard
from pytest_testmesh.external.info_cache import InfoCache
from pytest_testmesh.external.lifecycle import ExternalPlugin, Limits
from pytest_testmesh.external.manifest import Manifest
from pytest_testmesh.external.side_by_side import in_threads, side_by_side
from pytest_testmesh.external.state import PluginState, read_state
from pytest_testmesh.external.step import plugin_action, suggest
from pytest_testmesh.model import EMPTY
from pytest_testmesh.polling import NEVER, Deadline
from pytest_testmesh.units import format_duration

if TYPE_CHECKING:
    from pytest_testmesh.scope import Scope


class ExternalPlugins:
    """The plugins in one folder, as a source of actions; making it reads and starts nothing.

    A plugin starts when an action of it is looked up or run, or before that through `start_soon`. A
    plugin that cannot start is told to whoever needs it, and only to them; nobody else waits for one that is slow.
    """

    def __init__(self, plugins_dir: Path, *, cache_path: Path | None = None, limits: Limits | None = None) -> None:
        self._plugins_dir = plugins_dir
        self._limits = limits or Limits()
        self._cache = InfoCache(cache_path)
        self._guard = Guard()
        self._lock = threading.Lock()
        self._discovery: Discovery | None = None
        self._plugins: dict[str, ExternalPlugin] = {}
        self._refusals: dict[str, ExternalPluginError] = {}
        self._starts: dict[str, threading.Thread] = {}
        self._owner = os.getpid()

    @property
    def discovery(self) -> Discovery:
        """What the plugins folder holds, read once."""
        with self._lock:
            if self._discovery is None:
                found = discover(self._plugins_dir)
                self._sort(found, read_state(self._plugins_dir))
                self._discovery = found
                atexit.register(self._kill)
            return self._discovery

    def find(self, name: str) -> Action | None:
        """Return the action *name*, starting plugins where nothing else tells whose it is.

        A plugin that is starting, and may be the one, is waited for.

        In this order: the plugin of that id; the plugin whose ``/info`` listed it, now or in an earlier
        session; the plugin whose id is the longest prefix at a dot; all others. Without a dot only the id counts.

        Raises:
            ExternalPluginError: The plugin whose id it is, or begins with, cannot be used.
            FlowSchemaError: Two plugins list it.
        """
        self._await_starts(name)
        plugin = self._server(name)
        if plugin is None:
            return None
        return plugin_action(plugin, name, self._listed(plugin).get(name, ""))

    def names(self) -> Iterator[str]:
        """Plugin ids, and the actions that are known without starting a plugin."""
        for plugin in self._usable().values():
            yield plugin.id
            yield from self._listed(plugin)

    def doubts(self, name: str) -> Iterator[str]:
        """Say which plugins could not be asked for the action *name*, and why."""
        if "." not in name:
            return
        self._usable()
        for refusal in self._refusals.values():
            yield refusal.message
        for plugin in self._plugins.values():
            if plugin.error is not None:
                yield plugin.error.message

    def start_soon(self, names: Iterable[str]) -> None:
        """Start, side by side, the plugins that these actions need; pass only names that nobody else offers.

        Those who look the actions up wait for the start, and are told what went wrong.
        """
        waiting = [plugin for plugin in self._needed(names) if not plugin.was_started]
        threads = in_threads("start", [partial(_try_start, plugin) for plugin in waiting])
        self._starts |= {plugin.id: thread for plugin, thread in zip(waiting, threads, strict=True)}

    def call(
        self,
        name: str,
        config: Mapping[str, Any] | None = None,
        *,
        variables: Mapping[str, Any] = EMPTY,
        step_outputs: Mapping[str, Any] = EMPTY,
        execution_id: str | None = None,
        flow_id: str = "python",
        step_id: str = "call",
        timeout_s: float | None = None,
    ) -> Mapping[str, Any]:
        """Run an action from Python and return its output; the keywords become the action's context.

        Raises:
            UnknownActionError: No plugin has it.
            ActionError: The plugin said ``success: false``, or the time was up.
            ExternalPluginError: The plugin is at fault.
        """
        action = self.find(name)
        if action is None:
            message = "; ".join([f"unknown action {name}", *self.doubts(name)])
            raise UnknownActionError(message, hint=suggest(name, list(self.names())))
        deadline = NEVER
        if timeout_s is not None:
            deadline = Deadline.after(timeout_s, f"timeout_s {format_duration(timeout_s)}")
        context = ActionContext(
            flow_id=flow_id,
            execution_id=execution_id or str(uuid.uuid4()),
            step_id=step_id,
            scope=cast("Scope", _Given(variables, step_outputs)),  # all that a plugin's action asks of it
            deadline=deadline,
        )
        return action.run(config or {}, context) or {}

    def stop(self) -> None:
        """End all plugins side by side: ``/shutdown``, 5 s of grace, then kill; safe to repeat."""
        if os.getpid() != self._owner:
            return
        atexit.unregister(self._kill)
        deadline = Deadline.after(self._limits.shutdown_s, "the grace after /shutdown")
        try:
            side_by_side("stop", [partial(each.shut_down, deadline) for each in self._plugins.values()])
        finally:
            self._kill()

    def _kill(self) -> None:
        """End what runs at once; also the last resort at exit, when no thread can be started any more."""
        if os.getpid() == self._owner:
            for plugin in self._plugins.values():
                plugin.kill()
            self._guard.close()

    def _usable(self) -> Mapping[str, ExternalPlugin]:
        """The plugins that can serve actions, by id."""
        _ = self.discovery
        return self._plugins

    def _sort(self, found: Discovery, state: PluginState) -> None:
        """Split what was found into plugins and refusals."""
        for error in found.broken:
            self._refusals[error.plugin_id] = error
        for manifest in found.manifests:
            if manifest.type != "action":
                self._refusals[manifest.id] = _no_action(manifest)
            elif not state.is_enabled(manifest.id):
                self._refusals[manifest.id] = _disabled(manifest)
            else:
                self._plugins[manifest.id] = ExternalPlugin(manifest, self._limits, self._cache.store, self._guard)

    def _server(self, name: str) -> ExternalPlugin | None:
        plugins = self._usable()
        self._refuse(name)
        if name in plugins or "." not in name:
            return plugins.get(name)
        listed = self._who_lists(name)
        if listed is not None:
            return listed
        for plugin_id in _prefixes(name):
            self._refuse(plugin_id)
            if plugin_id in plugins and self._offers(plugins[plugin_id], name):
                return plugins[plugin_id]
        self._start(plugins.values())
        return self._who_lists(name)

    def _refuse(self, plugin_id: str) -> None:
        refusal = self._refusals.get(plugin_id)
        if refusal is not None:
            raise type(refusal)(refusal.message, plugin_id=refusal.plugin_id, hint=refusal.hint)

    def _offers(self, plugin: ExternalPlugin, name: str) -> bool:
        plugin.ensure_started()
        return name in self._listed(plugin)

    def _who_lists(self, name: str) -> ExternalPlugin | None:
        found = [plugin for plugin in self._plugins.values() if name in self._listed(plugin)]
        if len(found) > 1:
            places = " and ".join(f"plugin {plugin.id} ({plugin.manifest.folder})" for plugin in found)
            raise FlowSchemaError(
                f"action {name} is offered twice: by {places}", hint="remove or rename one of the two"
            )
        return found[0] if found else None

    def _listed(self, plugin: ExternalPlugin) -> Mapping[str, str]:
        """The plugin's actions with their descriptions: as of its last start, else as remembered."""
        actions = plugin.actions if plugin.actions is not None else self._cache.actions(plugin.manifest)
        return {each.id: each.description for each in (actions or {}).values()}

    def _candidates(self, name: str) -> Iterable[ExternalPlugin]:
        """The plugins to start for *name*: those that `_server` would ask first."""
        plugins = self._usable()
        if name in plugins:
            return [plugins[name]]
        if "." not in name or name in self._refusals:
            return []
        listed = [plugin for plugin in plugins.values() if name in self._listed(plugin)]
        if listed:
            return listed
        for plugin_id in _prefixes(name):
            if plugin_id in self._refusals:
                return []
            if plugin_id in plugins:
                return [plugins[plugin_id]]
        return plugins.values()

    def _needed(self, names: Iterable[str]) -> Iterable[ExternalPlugin]:
        return {plugin.id: plugin for name in names for plugin in self._candidates(name)}.values()

    def _await_starts(self, name: str) -> None:
        if self._starts:
            for plugin in self._candidates(name):
                if plugin.id in self._starts:
                    self._starts[plugin.id].join()

    def _start(self, plugins: Iterable[ExternalPlugin]) -> None:
        side_by_side("start", [partial(_try_start, plugin) for plugin in plugins if not plugin.was_started])


@dataclass(frozen=True, slots=True)
class _Given:
    """The part of a scope that a plugin is sent, given by a Python caller."""

    given_variables: Mapping[str, Any]
    given_step_outputs: Mapping[str, Any]

    def variables(self) -> Mapping[str, Any]:
        return self.given_variables

    def step_outputs(self) -> Mapping[str, Any]:
        return self.given_step_outputs


def _try_start(plugin: ExternalPlugin) -> None:
    try:
        plugin.ensure_started()
    except ExternalPluginError:
        return  # kept by the plugin, and raised when one of its actions is looked up or run


def _prefixes(name: str) -> Iterator[str]:
    """``"a.b.c"`` -> ``"a.b"``, ``"a"``."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _no_action(manifest: Manifest) -> ExternalPluginError:
    return ExternalPluginError(
        f"plugin {manifest.id} is of type {manifest.type}: a step needs one of type action",
        plugin_id=manifest.id,
        hint=f"type is set in {manifest.folder / 'manifest.json'}",
    )


def _disabled(manifest: Manifest) -> ExternalPluginError:
    return ExternalPluginError(
        f"plugin {manifest.id} is disabled",
        plugin_id=manifest.id,
        hint=f"testmesh plugins enable {manifest.id}",
    )
