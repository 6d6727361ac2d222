"""Writes a new plugin from templates: a manifest, a server in one language, and a flow that tests it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from pytest_testmesh.errors import PluginExistsError, PluginRefusedError, RegistryError
from pytest_testmesh.external.discovery import discover
from pytest_testmesh.external.manifest import FILE_NAME, manifest_schema
from pytest_testmesh.external.state import locked
from pytest_testmesh.integrations.catalog import reserved_ids
from pytest_testmesh.registry import LANGUAGES
from pytest_testmesh.registry.staging import staging
from pytest_testmesh.values import shorten

_ENTRY_POINTS = {"python": "server.py", "node": "server.js", "bash": "server.sh"}

_TEMPLATES = Path(__file__).with_name("templates")
_SUFFIX = ".template"
_TEMPLATE_ID = "my-plugin"
_SDK = Path(__file__).parents[1] / "plugin_sdk.py"
_USE_SDK = ("python", "bash")


def create_plugin(plugins_dir: Path, plugin_id: str, language: str) -> Path:
    """Write the plugin ``<plugins_dir>/<plugin_id>``, enabled, and return its folder; ``pytest`` on it passes at once.

    It has one action, ``<plugin_id>.hello``, and needs nothing but the language's own tools (bash also python3).
    The folder appears whole or not at all.

    Raises:
        PluginRefusedError: The id is not valid or built in, or there is no template for the language.
        PluginExistsError: The id, or the folder of that name, is taken.
        RegistryError: The plugins folder cannot be written to.
    """
    manifest = _manifest(plugin_id, language)
    _require_free(plugins_dir, plugin_id)
    try:
        with staging(plugins_dir) as work:
            built = work.new / plugin_id
            built.mkdir()
            _write(built, {FILE_NAME: manifest, **dict(_files(plugin_id, language))})
            with locked(plugins_dir) as state:
                _require_free(plugins_dir, plugin_id)
                state.set_enabled(plugin_id, True)  # one of this id may have been disabled, then deleted by hand
                return work.publish(built, None)
    except OSError as exc:
        where = f": {exc.filename}" if exc.filename else ""
        raise RegistryError(f"cannot create plugin {plugin_id}: {exc.strerror or exc}{where}") from exc


def _manifest(plugin_id: str, language: str) -> str:
    """Return the text of ``manifest.json``; with that, id and language are known to be usable."""
    if language not in _ENTRY_POINTS:
        raise PluginRefusedError(
            f"there is no template for {shorten(repr(language))}", hint=f"there is one for {', '.join(LANGUAGES)}"
        )
    fields = {
        "id": plugin_id,
        "name": plugin_id,
        "version": "1.0.0",
        "description": "Says hello",
        "type": "action",
        "entry_point": _ENTRY_POINTS[language],
        "config": {"greeting": "Hello"},
    }
    violation = manifest_schema().violation(fields)
    if violation is not None:
        raise PluginRefusedError(f"a plugin cannot be called so: {violation.message}", hint=violation.hint)
    service = plugin_id.partition(".")[0].casefold()
    if service in reserved_ids():
        raise PluginRefusedError(f"id {plugin_id} is reserved: {service} is built in", hint="choose another id")
    return json.dumps(fields, indent=2) + "\n"


def _require_free(plugins_dir: Path, plugin_id: str) -> None:
    found = discover(plugins_dir)
    taken = {plugin_id: plugins_dir / plugin_id} if os.path.lexists(plugins_dir / plugin_id) else {}
    taken.update({error.plugin_id: error.folder for error in found.broken if error.folder is not None})
    taken.update(found.places)
    if plugin_id in taken:
        raise PluginExistsError(f"plugin {plugin_id} is there already: {taken[plugin_id]}", hint="choose another id")


def _files(plugin_id: str, language: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each file but the manifest."""
    yield f"{plugin_id}.yaml", _filled_in(_TEMPLATES / f"flow.yaml{_SUFFIX}", plugin_id)
    for template in sorted((_TEMPLATES / language).iterdir()):
        yield template.name.removesuffix(_SUFFIX), _filled_in(template, plugin_id)
    if language in _USE_SDK:
        yield _SDK.name, _SDK.read_text(encoding="utf-8")


def _filled_in(template: Path, plugin_id: str) -> str:
    # An id has only letters, digits and . _ -, which mean themselves in quotes and names of every language here.
    return template.read_text(encoding="utf-8").replace(_TEMPLATE_ID, plugin_id)


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
