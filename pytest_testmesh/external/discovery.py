"""Finds the plugins of one folder, while other processes may add, replace and remove some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pytest_testmesh.errors import PluginManifestError
from pytest_testmesh.external.manifest import FILE_NAME, Manifest, read_if_ours
from pytest_testmesh.model import EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What a plugins folder holds, each part by folder name.

    *broken* are manifests that cannot be used; *ignored* are folders whose ``manifest.json`` belongs to
    another tool. *places* are the entries of the plugins folder by plugin id: a manifest's own ``folder`` lies
    elsewhere where the entry is a link.
    """

    manifests: tuple[Manifest, ...] = ()
    places: Mapping[str, Path] = field(default_factory=lambda: EMPTY)
    broken: tuple[PluginManifestError, ...] = ()
    ignored: tuple[Path, ...] = ()


def discover(plugins_dir: Path) -> Discovery:
    """Read the manifest of every folder in *plugins_dir*; a missing folder holds nothing.

    Two plugins of one id are both broken: neither may win by the order of their folders.

    Raises:
        PluginManifestError: *plugins_dir* itself cannot be read.
    """
    found: list[tuple[Path, Manifest]] = []
    broken: list[PluginManifestError] = []
    ignored: list[Path] = []
    for path in _manifest_files(plugins_dir):
        try:
            manifest = _read_steadily(path)
        except PluginManifestError as exc:
            broken.append(exc)
            continue
        if isinstance(manifest, Manifest):
            found.append((path.parent, manifest))
        elif manifest == "foreign":
            ignored.append(path.parent)
    twins = _twins(found)
    shared = {error.plugin_id for error in twins}
    unique = [(place, manifest) for place, manifest in found if manifest.id not in shared]
    return Discovery(
        manifests=tuple(manifest for _, manifest in unique),
        places=MappingProxyType({manifest.id: place for place, manifest in unique}),
        broken=(*broken, *twins),
        ignored=tuple(ignored),
    )


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


def _read_steadily(path: Path) -> Manifest | Literal["foreign", "gone"]:
    """Return the manifest, unless the file is another tool's or went away while it was read.

    Raises:
        PluginManifestError: It is broken, and still was what it is afterwards: others may replace plugins meanwhile.
    """
    while (there := _identity(path)) is not None:
        try:
            return read_if_ours(path.parent) or "foreign"
        except PluginManifestError:
            if _identity(path) == there:
                raise
    return "gone"


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _twins(found: list[tuple[Path, Manifest]]) -> list[PluginManifestError]:
    """Return an error for each folder whose plugin has the id of another one."""
    places: dict[str, list[Path]] = {}
    for place, manifest in found:
        places.setdefault(manifest.id, []).append(place)
    return [
        PluginManifestError(
            f"{place / FILE_NAME}: id {plugin_id} is also the id of "
            f"{' and '.join(str(other / FILE_NAME) for other in each if other != place)}",
            plugin_id=plugin_id,
            hint="give one of them another id, or move it out of the plugins folder",
            folder=place,
        )
        for plugin_id, each in places.items()
        if len(each) > 1
        for place in each
    ]
