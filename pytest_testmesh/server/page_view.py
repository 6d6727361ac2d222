"""What the page shows of plugins: texts cut to length, addresses checked, errors with what the plugin printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_testmesh.errors import ExternalPluginError
from pytest_testmesh.server.page_actions import ActionView, declared_view
from pytest_testmesh.values import shorten

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_testmesh.errors import MeshError, PluginManifestError
    from pytest_testmesh.external.manifest import Manifest
    from pytest_testmesh.registry.registry import InstalledPlugin
    from pytest_testmesh.server.service import ServedPlugin

_MAX_NAME = 120
_MAX_FACT = 160
_MAX_DESCRIPTION = 400
_MAX_STDERR_LINES = 20
_MAX_ACTIONS = 100

_STATES = {
    "running": "Running",
    "starting": "Starting",
    "enabled": "Enabled",
    "disabled": "Disabled",
    "failed": "Cannot start",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A text for the user: *good* is a success, else an error with what to do and what the plugin printed."""

    text: str
    good: bool = False
    hint: str | None = None
    stderr: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The outcome of a form; *place* is the part of the page that shows it: ``external``, ``install``, an anchor."""

    place: str
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line about a plugin; *url* makes it a link, *wide* gives it a row of its own."""

    name: str
    text: str
    url: str | None = None
    wide: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginView:
    """One card; *no_actions* says why there are none, *more_actions* how many are not shown."""

    anchor: str
    id: str
    name: str
    version: str
    type: str
    state: str
    state_label: str
    enabled: bool
    facts: tuple[Fact, ...]
    description: str
    whole_description: str
    note: str
    actions: tuple[ActionView, ...]
    more_actions: int
    no_actions: str
    problem: Message | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenView:
    """A folder whose manifest cannot be used; *name* is the folder's, *key* what it can be uninstalled by."""

    anchor: str
    name: str
    key: str | None
    problem: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What an uninstallation is about to delete: *place* in the plugins folder, and which actions go with it."""

    key: str
    name: str
    place: str
    is_link: bool
    actions: tuple[str, ...] = ()


def message_of(error: MeshError) -> Message:
    """Return what an error says."""
    stderr = error.stderr[-_MAX_STDERR_LINES:] if isinstance(error, ExternalPluginError) else ()
    return Message(text=error.message, hint=error.hint, stderr=tuple(stderr))


def plugin_anchor(plugin_id: str) -> str:
    """Return the id of the plugin's card in the page."""
    return f"plugin-{plugin_id}"


def plugin_view(served: ServedPlugin) -> PluginView:
    """Return the card of a plugin."""
    plugin = served.installed
    manifest = plugin.manifest
    anchor, state = plugin_anchor(manifest.id), _state(served)
    whole = manifest.description.strip()
    declared = plugin.actions or ()
    return PluginView(
        anchor=anchor,
        id=manifest.id,
        name=shorten(manifest.name, _MAX_NAME),
        version=shorten(manifest.version, _MAX_NAME),
        type=manifest.type,
        state=state,
        state_label=_STATES[state],
        enabled=plugin.enabled,
        facts=_facts(plugin),
        description=shorten(whole, _MAX_DESCRIPTION),
        whole_description=whole if len(whole) > _MAX_DESCRIPTION else "",
        note=_note(manifest),
        actions=tuple(
            declared_view(f"{anchor}:{number}", manifest, each)
            for number, each in enumerate(declared[:_MAX_ACTIONS], 1)
        ),
        more_actions=max(0, len(declared) - _MAX_ACTIONS),
        no_actions=_no_actions(plugin),
        problem=None if served.error is None else message_of(served.error),
    )


def broken_view(number: int, error: PluginManifestError) -> BrokenView:
    """Return the card of a folder whose manifest is broken, the *number*-th of them."""
    return BrokenView(
        anchor=f"broken-{number}",
        name=shorten(error.plugin_id if error.folder is None else error.folder.name, _MAX_NAME),
        key=_addressable(error.folder),
        problem=message_of(error),
    )


def _addressable(folder: Path | None) -> str | None:
    """Return the folder's name, unless it has bytes that no address can hold."""
    return folder.name if folder is not None and folder.name.isprintable() else None


def removal_of(plugin: InstalledPlugin) -> Removal:
    """Return what goes with a plugin."""
    return Removal(
        key=plugin.manifest.id,
        name=shorten(plugin.manifest.name, _MAX_NAME),
        place=str(plugin.place),
        is_link=plugin.place.is_symlink(),
        actions=tuple(shorten(each.id, _MAX_NAME) for each in plugin.actions or ()),
    )


def removal_of_broken(key: str, folder: Path) -> Removal:
    """Return what goes with a folder whose manifest is broken."""
    return Removal(key=key, name=key, place=str(folder), is_link=folder.is_symlink())


def _state(served: ServedPlugin) -> str:
    if not served.installed.enabled:
        return "disabled"
    if served.error is not None:
        return "failed"
    if served.loaded:
        return "running"
    return "starting" if served.starting else "enabled"


def _facts(plugin: InstalledPlugin) -> tuple[Fact, ...]:
    manifest = plugin.manifest
    facts = [
        Fact(name="Author", text=shorten(manifest.author, _MAX_FACT)),
        Fact(name="Homepage", text=shorten(manifest.homepage, _MAX_FACT), url=_web_address(manifest.homepage)),
        Fact(name="Permissions", text=shorten(", ".join(manifest.permissions), _MAX_FACT)),
        Fact(name="Folder", text=str(plugin.place), wide=True),
    ]
    return tuple(fact for fact in facts if fact.text.strip())


def _web_address(text: str) -> str | None:
    """Return the text if it is an address of the web: a link to anything else could run code."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return text if parts.scheme in {"http", "https"} and parts.hostname else None


def _note(manifest: Manifest) -> str:
    if manifest.type == "action":
        return ""
    return f"Plugins of type {manifest.type} can be installed now; flows call them from a later version on."


def _no_actions(plugin: InstalledPlugin) -> str:
    if plugin.actions is not None:
        return f"It lists no actions. Steps can use its id: {plugin.manifest.id}."
    return f"Not known yet: {'they are read when it starts' if plugin.enabled else 'enable it to read them'}."
