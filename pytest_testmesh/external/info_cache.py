"""Remembers what ``/info`` listed, so that an action's plugin and schema are known without starting any."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_testmesh.external.manifest import FILE_NAME
from pytest_testmesh.external.protocol import DeclaredAction

if TYPE_CHECKING:
    from pytest_testmesh.external.manifest import Manifest

_FORMAT = 2
_LOCK_WAIT_S = 10.0


class InfoCache:
    """A JSON file of the actions that plugins declared, by plugin folder; without a path, nothing is kept.

    An entry counts only while the manifest's content and the entry point's size and time of change stay the
    same. A file that is missing, torn or of another format is empty: losing it costs a start, nothing else.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._entries: dict[str, Any] | None = None

    def actions(self, manifest: Manifest) -> Mapping[str, DeclaredAction] | None:
        """Return what the plugin declared by action id, None where that is not known."""
        entry = self._load().get(str(manifest.folder))
        if not isinstance(entry, dict) or entry.get("fingerprint") != _fingerprint(manifest):
            return None
        try:
            return {each["id"]: DeclaredAction(**each) for each in entry["actions"]}
        except (TypeError, KeyError):
            return None

    def store(self, manifest: Manifest, actions: Mapping[str, DeclaredAction]) -> None:
        """Keep what ``/info`` lists now; others see the old file or the new one, never half of one."""
        fingerprint = _fingerprint(manifest)
        if self._path is None or fingerprint is None:
            return
        entry = {"fingerprint": fingerprint, "actions": [asdict(each) for each in actions.values()]}
        with self._lock:
            if self._load().get(str(manifest.folder)) == entry:
                return
            self._update(self._path, str(manifest.folder), entry)

    def forget(self, folder: Path) -> None:
        """Drop what is kept for the plugin in *folder*, an absolute path without links."""
        if self._path is None:
            return
        with self._lock:
            if str(folder) in self._read():
                self._update(self._path, str(folder), None)

    def _update(self, path: Path, folder: str, entry: Mapping[str, Any] | None) -> None:
        """Set or drop one entry of what the file holds by now: other processes write it, too."""
        import filelock

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(f"{path}.lock", timeout=_LOCK_WAIT_S):
                others = {key: each for key, each in self._read().items() if key != folder}
                self._entries = others if entry is None else {**others, folder: entry}
                _write(path, {"format": _FORMAT, "plugins": self._entries})
        except OSError:
            # A folder that cannot be written to, as in many CI images: every session asks anew.
            return

    def _load(self) -> dict[str, Any]:
        if self._entries is None:
            self._entries = self._read()
        return self._entries

    def _read(self) -> dict[str, Any]:
        if self._path is None:
            return {}
        try:
            content = json.loads(self._path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            return {}
        plugins = content.get("plugins")
        return plugins if isinstance(plugins, dict) else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, encoding="utf-8", delete=False) as file:
        try:
            json.dump(content, file, indent=1)
            file.flush()
            os.replace(file.name, path)
        except OSError:  # no space left
            os.unlink(file.name)
            raise


def _fingerprint(manifest: Manifest) -> str | None:
    try:
        content = (manifest.folder / FILE_NAME).read_bytes()
        entry_point = manifest.entry_point.stat()
    except OSError:
        return None
    state = f"{manifest.entry_point}\0{entry_point.st_size}\0{entry_point.st_mtime_ns}".encode()
    return hashlib.sha256(content + b"\0" + state).hexdigest()
