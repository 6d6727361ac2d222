"""Owns ``.testmesh.json``, the file beside the plugins that says which are disabled, and the lock of the folder."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_testmesh.errors import RegistryError

STATE_NAME = ".testmesh.json"
LOCK_NAME = ".testmesh.lock"
_FORMAT = 1
_LOCK_WAIT_S = 30.0
_LOCK_POLL_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginState:
    """What users have switched off, by plugin id; everything else is enabled."""

    disabled: frozenset[str] = frozenset()

    def is_enabled(self, plugin_id: str) -> bool:
        """Whether flows may use the plugin."""
        return plugin_id not in self.disabled


def read_state(plugins_dir: Path) -> PluginState:
    """Return what the state file of the folder says; a missing file disables nothing.

    No lock is needed: a reader sees the file as it was before a change or after it.

    Raises:
        RegistryError: The file cannot be read, or holds something else.
    """
    path = plugins_dir / STATE_NAME
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return PluginState()
    except OSError as exc:
        raise RegistryError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise _damaged(path, f"is not JSON: {exc}") from exc
    return PluginState(disabled=frozenset(_disabled(path, content)))


def _disabled(path: Path, content: Any) -> list[str]:
    if not isinstance(content, dict):
        raise _damaged(path, "is not a JSON object")
    if content.get("format") != _FORMAT:
        raise _damaged(path, f'has "format": {json.dumps(content.get("format"))}, and only {_FORMAT} is known')
    ids = content.get("disabled")
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise _damaged(path, '"disabled" is not a list of plugin ids')
    return ids


def _damaged(path: Path, problem: str) -> RegistryError:
    return RegistryError(
        f"{path}: {problem}",
        hint=f"it only says which plugins are disabled: remove {path} to enable all, then disable again what should be",
    )


class LockedFolder:
    """What only the one who holds the folder's lock may do; `locked` makes it."""

    def __init__(self, plugins_dir: Path) -> None:
        self._plugins_dir = plugins_dir

    def set_enabled(self, plugin_id: str, enabled: bool) -> None:
        """Write whether flows may use the plugin; what is not installed counts as enabled."""
        disabled = read_state(self._plugins_dir).disabled
        changed = disabled - {plugin_id} if enabled else disabled | {plugin_id}
        if changed != disabled:
            _write(self._plugins_dir, {"format": _FORMAT, "disabled": sorted(changed)})


@contextlib.contextmanager
def locked(plugins_dir: Path) -> Iterator[LockedFolder]:
    """Keep every other process and thread from changing the folder or its state; cannot be nested.

    Raises:
        RegistryError: The lock cannot be had, or was not free in time.
    """
    import filelock

    path = plugins_dir / LOCK_NAME
    lock = filelock.FileLock(path, timeout=_LOCK_WAIT_S)
    try:
        lock.acquire(poll_interval=_LOCK_POLL_S)
    except filelock.Timeout as exc:
        raise RegistryError(
            f"plugins folder {plugins_dir} is being changed by another process for more than {_LOCK_WAIT_S:.0f}s",
            hint=f"end the process that holds {path}, then try again",
        ) from exc
    except OSError as exc:
        raise RegistryError(f"plugins folder {plugins_dir} cannot be changed: {path}: {exc.strerror or exc}") from exc
    try:
        yield LockedFolder(plugins_dir)
    finally:
        lock.release()


def _write(plugins_dir: Path, content: Any) -> None:
    path = plugins_dir / STATE_NAME
    # One name is enough under the lock, and a run that was killed leaves no more than this one file.
    new = plugins_dir / f"{STATE_NAME}.new"
    try:
        with new.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError as exc:
        raise RegistryError(f"{path}: cannot be written: {exc.strerror or exc}") from exc
