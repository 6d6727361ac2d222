"""Reads and checks ``manifest.json``, the file that makes a folder an external plugin."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeGuard

from pytest_testmesh.errors import PluginManifestError
from pytest_testmesh.model import EMPTY
from pytest_testmesh.schemas import ConfigSchema
from pytest_testmesh.values import shorten

PluginType = Literal["action", "auth", "exporter", "importer", "reporter"]

FILE_NAME = "manifest.json"
SCHEMA_PATH = Path(__file__).with_name("manifest.schema.json")
"""The JSON Schema of the file: what is allowed stands there alone, for editors and for `read_manifest`."""
MAX_SIZE_BYTES = 1024 * 1024


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


@dataclass(frozen=True, slots=True)
class _Source:
    """The parsed file with the line of each key, so that an error can point at it."""

    path: Path
    values: Mapping[str, Any]
    lines: Mapping[str, int]

    @property
    def plugin_id(self) -> str:
        declared = self.values.get("id")
        return declared if is_plugin_id(declared) else self.path.parent.name

    def error(
        self, message: str, *, key: object = None, position: str = "", hint: str | None = None
    ) -> PluginManifestError:
        """Return the error at a key, or at the *position* ``:line`` of a file that could not be parsed."""
        if isinstance(key, str) and key in self.lines:
            position = f":{self.lines[key]}"
        return PluginManifestError(
            f"{self.path}{position}: {message}", plugin_id=self.plugin_id, hint=hint, folder=self.path.parent
        )


@cache
def manifest_schema() -> ConfigSchema:
    """Return the schema of ``manifest.json``, read from `SCHEMA_PATH` once."""
    return ConfigSchema(json.loads(SCHEMA_PATH.read_bytes()), name="")


@cache
def _id_schema() -> ConfigSchema:
    return ConfigSchema(manifest_schema().at(("id",)), name="id")


def is_plugin_id(value: object) -> TypeGuard[str]:
    """Whether a manifest may have *value* as its ``id``."""
    return _id_schema().violation(value) is None


def read_manifest(folder: Path) -> Manifest:
    """Read ``manifest.json`` of the plugin in *folder*.

    `SCHEMA_PATH` says which keys there are; others are left alone. What no schema can say: no key comes twice,
    and ``entry_point`` is a file inside the folder, links followed.

    Raises:
        PluginManifestError: Not readable, not JSON, or a field is missing or wrong; names file and line.
    """
    manifest = read_if_ours(folder)
    if manifest is None:
        path = folder / FILE_NAME
        raise _Source(path, EMPTY, EMPTY).error("is no plugin manifest: it has neither id nor entry_point")
    return manifest


def read_if_ours(folder: Path) -> Manifest | None:
    """Do what `read_manifest` does; return None where ``manifest.json`` belongs to another tool.

    Raises:
        PluginManifestError: As `read_manifest`.
    """
    source = _read(folder / FILE_NAME)
    return _manifest(source) if _is_ours(source) else None


def _read(path: Path) -> _Source:
    source = _Source(path, EMPTY, EMPTY)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for whoever writes to it
            raise source.error("is not a file")
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
        raise source.error(f"is not UTF-8: byte 0x{data[exc.start]:02x}", position=f":{line}") from exc
    return _parse(path, text)


def _parse(path: Path, text: str) -> _Source:
    source = _Source(path, EMPTY, EMPTY)
    try:
        values = json.loads(text)
    except json.JSONDecodeError as exc:
        raise source.error(f"is not JSON: {exc.msg}", position=f":{exc.lineno}:{exc.colno}") from exc
    except (RecursionError, ValueError) as exc:
        raise source.error(f"is not usable JSON: {exc}") from exc
    if not isinstance(values, dict):
        return source
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
    values = source.values
    violation = manifest_schema().violation(values)
    if violation is not None:
        key = violation.path[0] if violation.path else None
        raise source.error(violation.message, key=key, hint=violation.hint)
    return Manifest(
        id=values["id"],
        name=values["name"],
        version=values["version"],
        type=values["type"],
        entry_point=_entry_point(source),
        folder=source.path.parent.resolve(),
        description=values.get("description") or "",
        author=values.get("author") or "",
        homepage=values.get("homepage") or "",
        permissions=tuple(values.get("permissions") or ()),
        config=MappingProxyType(values.get("config") or {}),
    )


def _entry_point(source: _Source) -> Path:
    value: str = source.values["entry_point"]
    folder = source.path.parent.resolve()

    def wrong(problem: str, hint: str) -> PluginManifestError:
        return source.error(f"entry_point: {shorten(repr(value))} {problem}", key="entry_point", hint=hint)

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
