"""Reads and checks ``manifest.json``, the file that makes a folder an external plugin."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from pytest_testmesh.errors import PluginManifestError
from pytest_testmesh.model import EMPTY

PluginType = Literal["action", "auth", "exporter", "importer", "reporter"]

FILE_NAME = "manifest.json"
MAX_SIZE_BYTES = 1024 * 1024

_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.|$)){0,127}")
# https://semver.org/#is-there-a-suggested-regular-expression-regex-to-check-a-semver-string
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a plugin says about itself. *entry_point* is absolute and lies inside *folder*, links followed."""

    id: str
    name: str
    version: str
    type: PluginType
    entry_point: Path
    folder: Path
    description: str = ""
    author: str = ""
    homepage: str = ""
    permissions: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What a plugins folder holds, each part by folder name.

    *broken* are manifests that cannot be used; *ignored* are folders whose ``manifest.json`` belongs to
    another tool.
    """

    manifests: tuple[Manifest, ...] = ()
    broken: tuple[PluginManifestError, ...] = ()
    ignored: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Source:
    """The parsed file with the line of each key, so that an error can point at it."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[str, int]

    @property
    def plugin_id(self) -> str:
        declared = self.values.get("id")
        return declared if isinstance(declared, str) and _ID.fullmatch(declared) else self.path.parent.name

    def error(self, message: str, *, key: str | None = None, hint: str | None = None) -> PluginManifestError:
        line = self.lines.get(key) if key is not None else None
        place = f"{self.path}:{line}" if line else str(self.path)
        return PluginManifestError(f"{place}: {message}", plugin_id=self.plugin_id, hint=hint)


def read_manifest(folder: Path) -> Manifest:
    """Read ``manifest.json`` of the plugin in *folder*.

    Required: ``id``, ``name``, ``version`` (semver), ``type``, ``entry_point`` (a file inside the folder).
    Optional: ``description``, ``author``, ``homepage``, ``permissions`` (texts), ``config`` (an object).
    Other keys are left alone.

    Raises:
        PluginManifestError: Not readable, not JSON, or a field is missing or wrong; names file and line.
    """
    source = _read(folder / FILE_NAME)
    if not _is_ours(source):
        raise source.error("is no plugin manifest: it has neither id nor entry_point")
    return _manifest(source)


def discover(plugins_dir: Path) -> Discovery:
    """Read the manifest of every folder in *plugins_dir*; a missing folder holds nothing.

    Two plugins of one id are both broken: neither may win by the order of their folders.

    Raises:
        PluginManifestError: *plugins_dir* itself cannot be read.
    """
    manifests: list[Manifest] = []
    broken: list[PluginManifestError] = []
    ignored: list[Path] = []
    for path in _manifest_files(plugins_dir):
        try:
            source = _read(path)
            if _is_ours(source):
                manifests.append(_manifest(source))
            else:
                ignored.append(path.parent)
        except PluginManifestError as exc:
            broken.append(exc)
    unique, twins = _split_twins(manifests)
    return Discovery(manifests=tuple(unique), broken=(*broken, *twins), ignored=tuple(ignored))


def _manifest_files(plugins_dir: Path) -> list[Path]:
    try:
        folders = sorted(each for each in plugins_dir.iterdir() if not each.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise PluginManifestError(
            f"plugins folder {plugins_dir} cannot be read: {exc.strerror}", plugin_id=plugins_dir.name
        ) from exc
    return [path for folder in folders if (path := folder / FILE_NAME).is_file()]


def _split_twins(manifests: list[Manifest]) -> tuple[list[Manifest], list[PluginManifestError]]:
    folders: dict[str, list[Path]] = {}
    for manifest in manifests:
        folders.setdefault(manifest.id, []).append(manifest.folder)
    unique = [manifest for manifest in manifests if len(folders[manifest.id]) == 1]
    twins = [
        PluginManifestError(
            f"{places[0] / FILE_NAME}: id {plugin_id} is also the id of {places[1] / FILE_NAME}",
            plugin_id=plugin_id,
            hint="give one of the two another id, or move it out of the plugins folder",
        )
        for plugin_id, places in folders.items()
        if len(places) > 1
    ]
    return unique, twins


def _read(path: Path) -> _Source:
    source = _Source(path, EMPTY, EMPTY)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIZE_BYTES + 1)
    except OSError as exc:
        raise source.error(f"cannot be read: {exc.strerror}", hint="a plugin needs this file") from exc
    if len(data) > MAX_SIZE_BYTES:
        raise source.error(f"is larger than {MAX_SIZE_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise PluginManifestError(
            f"{path}:{line}: is not UTF-8: byte 0x{data[exc.start]:02x}", plugin_id=source.plugin_id
        ) from exc
    return _parse(path, text)


def _parse(path: Path, text: str) -> _Source:
    plugin_id = path.parent.name
    try:
        values = json.loads(text)
    except json.JSONDecodeError as exc:
        raise PluginManifestError(
            f"{path}:{exc.lineno}:{exc.colno}: is not JSON: {exc.msg}", plugin_id=plugin_id
        ) from exc
    except (RecursionError, ValueError) as exc:
        raise PluginManifestError(f"{path}: is not usable JSON: {exc}", plugin_id=plugin_id) from exc
    if not isinstance(values, dict):
        return _Source(path, EMPTY, EMPTY)
    lines, twice = _key_lines(text)
    source = _Source(path, values, lines)
    if twice is not None and _is_ours(source):
        raise source.error(f"{twice} is given twice", key=twice)
    return source


def _key_lines(text: str) -> tuple[dict[str, int], str | None]:
    """Return the line of each key of the JSON object *text*, and a key that comes twice, if any."""
    decoder = json.JSONDecoder()
    space = re.compile(r"[ \t\r\n]*")

    def skip(index: int) -> int:
        return space.match(text, index).end()  # type: ignore[union-attr]  # matches always, if only nothing

    lines: dict[str, int] = {}
    twice = None
    index = skip(text.index("{") + 1)
    while text[index] != "}":
        line = text.count("\n", 0, index) + 1
        key, index = decoder.raw_decode(text, index)
        if key in lines:
            twice = key
        lines[key] = line
        _, index = decoder.raw_decode(text, skip(skip(index) + 1))
        index = skip(index)
        if text[index] == ",":
            index = skip(index + 1)
    return lines, twice


def _is_ours(source: _Source) -> bool:
    return "id" in source.values or "entry_point" in source.values


def _manifest(source: _Source) -> Manifest:
    return Manifest(
        id=_matching(source, "id", _ID, "letters, digits, . _ and -, beginning with a letter or digit"),
        name=_text(source, "name"),
        version=_matching(source, "version", _SEMVER, 'a semantic version such as "1.0.0"'),
        type=_plugin_type(source),
        entry_point=_entry_point(source),
        folder=source.path.parent.resolve(),
        description=_optional(source, "description", str, "a text", ""),
        author=_optional(source, "author", str, "a text", ""),
        homepage=_optional(source, "homepage", str, "a text", ""),
        permissions=_permissions(source),
        config=MappingProxyType(_optional(source, "config", dict, "an object", {})),
    )


def _text(source: _Source, key: str) -> str:
    if key not in source.values:
        raise source.error(f"{key} is missing", hint="required are id, name, version, type and entry_point")
    value = source.values[key]
    if not isinstance(value, str) or not value.strip():
        raise source.error(f"{key} must be a text that is not empty, not {_shown(value)}", key=key)
    return value


def _matching(source: _Source, key: str, pattern: re.Pattern[str], words: str) -> str:
    value = _text(source, key)
    if not pattern.fullmatch(value):
        raise source.error(f"{key} {_shown(value)} is not valid", key=key, hint=f"{key} is {words}")
    return value


def _plugin_type(source: _Source) -> PluginType:
    value = _text(source, "type")
    types = get_args(PluginType)
    if value not in types:
        raise source.error(f"type {_shown(value)} is not valid", key="type", hint=f"type is one of {', '.join(types)}")
    return value  # type: ignore[return-value]  # one of the literals, as was just checked


def _entry_point(source: _Source) -> Path:
    value = _text(source, "entry_point")
    folder = source.path.parent.resolve()

    def wrong(problem: str, hint: str) -> PluginManifestError:
        return source.error(f"entry_point {_shown(value)} {problem}", key="entry_point", hint=hint)

    try:
        path = (folder / value).resolve()
        exists = path.is_file()
    except (OSError, ValueError, RuntimeError) as exc:
        raise wrong(f"cannot be used: {exc}", "name a file in the plugin's folder") from exc
    if not path.is_relative_to(folder):
        raise wrong("leads out of the plugin's folder", f"name a file inside {folder}")
    if not exists:
        raise wrong("does not exist", f"it is looked for at {path}")
    return path


def _permissions(source: _Source) -> tuple[str, ...]:
    values = _optional(source, "permissions", list, "a list of texts", [])
    if not all(isinstance(value, str) for value in values):
        raise source.error(f"permissions must be a list of texts, not {_shown(values)}", key="permissions")
    return tuple(values)


def _optional(source: _Source, key: str, kind: Callable[..., Any], words: str, default: Any) -> Any:
    value = source.values.get(key)
    if value is None:
        return default
    if type(value) is not kind:
        raise source.error(f"{key} must be {words}, not {_shown(value)}", key=key)
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
