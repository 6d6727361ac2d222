"""The JSON that ``--json`` prints; keys are those of the REST API, further ones are added, none is renamed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pytest_testmesh.registry.plain import plain

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_testmesh.errors import ExternalPluginError
    from pytest_testmesh.external.manifest import Manifest
    from pytest_testmesh.external.protocol import DeclaredAction
    from pytest_testmesh.registry.registry import InstalledPlugin, Listing


def to_json(document: Mapping[str, Any]) -> str:
    """Return the text of a document; ASCII, so that no terminal and no locale can spoil it."""
    return json.dumps(plain(document), indent=2)


def listing_document(listing: Listing, plugins_dir: Path) -> dict[str, Any]:
    """Return the plugins as `plugin_document`, what is wrong in the folder, and what is built in.

    ``{"plugins": [...], "total": n, "broken": [{"id", "error", "hint"}], "ignored": [paths],
    "failed": [{"id", "error", "hint", "stderr"}], "plugins_dir": path,
    "native": [{"id", "name", "actions": [names]}], "builtin_actions": [names]}``
    """
    from pytest_testmesh.integrations.catalog import core_actions, native_integrations

    return {
        "plugins": [plugin_document(plugin) for plugin in listing.plugins],
        "total": len(listing.plugins),
        "broken": [_error(each) for each in listing.broken],
        "ignored": [str(path) for path in listing.ignored],
        "failed": [{**_error(each), "stderr": list(each.stderr)} for each in listing.failed],
        "plugins_dir": str(plugins_dir),
        "native": [
            {"id": each.id, "name": each.name, "actions": [action.name for action in each.actions]}
            for each in native_integrations()
        ],
        "builtin_actions": [action.name for action in core_actions()],
    }


def plugin_document(plugin: InstalledPlugin) -> dict[str, Any]:
    """``{"manifest": {...}, "path": path, "enabled": bool, "actions": [...] or null}``; null: not known yet."""
    return {
        "manifest": _manifest(plugin.manifest),
        "path": str(plugin.manifest.folder),
        "enabled": plugin.enabled,
        "actions": None if plugin.actions is None else _actions(plugin.actions, plugin.manifest.config),
    }


def _error(error: ExternalPluginError) -> dict[str, Any]:
    return {"id": error.plugin_id, "error": error.message, "hint": error.hint}


def _manifest(manifest: Manifest) -> dict[str, Any]:
    return {
        "id": manifest.id,
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "author": manifest.author,
        "homepage": manifest.homepage,
        "type": manifest.type,
        "entry_point": manifest.entry_point.relative_to(manifest.folder).as_posix(),
        "permissions": list(manifest.permissions),
        "config": manifest.config,
    }


def _actions(actions: Iterable[DeclaredAction], defaults: Mapping[str, Any]) -> list[dict[str, Any]]:
    from pytest_testmesh.registry.example_step import example_step

    return [
        {
            "id": action.id,
            "name": action.name,
            "description": action.description,
            "schema": action.schema,
            "example": example_step(action.id, action.schema, defaults=defaults),
        }
        for action in actions
    ]
