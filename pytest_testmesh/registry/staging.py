"""Hidden folders inside the plugins folder: an operation prepares there, then changes what others see by renaming."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_testmesh.errors import RegistryError
from pytest_testmesh.external.state import locked

if TYPE_CHECKING:
    import filelock

PREFIX = ".testmesh-work-"
_GONE_PREFIX = ".testmesh-gone-"
_LOCK_NAME = "lock"
_MAKE_TRIES = 10


class Staging:
    """One operation's hidden folder. *new* is for what will be published, *old* keeps what that replaces.

    Whatever ends the operation, what is in the two tells how far it came: while *new* still holds something,
    nothing was published, so what *old* holds goes back to its place.
    """

    def __init__(self, plugins_dir: Path, folder: Path) -> None:
        self.folder = folder
        self.new = folder / "new"
        self.old = folder / "old"
        self._plugins_dir = plugins_dir

    def prepare(self) -> None:
        """Make the two folders."""
        self.new.mkdir()
        self.old.mkdir()

    def publish(self, built: Path, replaced: Path | None) -> Path:
        """Move *built* from *new* into the plugins folder and *replaced* out of it; the caller holds the lock."""
        if replaced is not None:
            self.take_away(replaced)
        target = self._plugins_dir / built.name
        os.rename(built, target)
        return target

    def take_away(self, entry: Path) -> None:
        """Move an entry of the plugins folder, itself where it is a link, to *old*; the caller holds the lock."""
        os.rename(entry, self.old / entry.name)

    @property
    def unfinished(self) -> bool:
        """Whether something was taken away for what was then not published."""
        return bool(_entries(self.new) and _entries(self.old))

    def put_back(self) -> None:
        """Return what was taken away to its place; the caller holds the lock."""
        for entry in _entries(self.old):
            home = self._plugins_dir / entry.name
            if not os.path.lexists(home):
                os.rename(entry, home)

    def discard(self) -> Path:
        """Give the folder a name that nobody looks for; return it, to be deleted.

        Deleted under its own name, its lock would go first, and whoever has just made it could take a new one.
        """
        gone = self._plugins_dir / f"{_GONE_PREFIX}{uuid.uuid4().hex}"
        os.rename(self.folder, gone)
        return gone


@contextlib.contextmanager
def staging(plugins_dir: Path) -> Iterator[Staging]:
    """Make a hidden folder for one operation, and the plugins folder where there is none; clean up afterwards."""
    missing = [each for each in (plugins_dir, *plugins_dir.parents) if not each.exists()]
    work, lock = _make(plugins_dir)
    try:
        work.prepare()
        yield work
    finally:
        try:
            if work.unfinished:
                with locked(plugins_dir):
                    work.put_back()
            delete_tree(work.discard())
        finally:
            lock.release()
        for folder in missing:
            with contextlib.suppress(OSError):  # it is in use by now
                folder.rmdir()


def sweep(plugins_dir: Path) -> None:
    """Clean up after operations that were killed; those that still run are left alone."""
    if any(plugins_dir.glob(f"{PREFIX}*")):
        # One at a time: of two, one could hold the lock file that the other has just renamed away.
        with locked(plugins_dir):
            for folder in sorted(plugins_dir.glob(f"{PREFIX}*")):
                _discard_abandoned(plugins_dir, folder)
    for folder in sorted(plugins_dir.glob(f"{_GONE_PREFIX}*")):
        delete_tree(folder)


def _discard_abandoned(plugins_dir: Path, folder: Path) -> None:
    lock = _try_lock(folder)
    if lock is None:
        return
    try:
        work = Staging(plugins_dir, folder)
        if work.unfinished:
            work.put_back()
        work.discard()
    finally:
        lock.release()


def delete_tree(folder: Path) -> None:
    """Delete a folder, also one with folders that nobody may write to; never what a link leads to.

    What cannot be deleted stays, hidden, until the next operation tries again.
    """
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)
        return
    for parent, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            os.chmod(parent, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _make(plugins_dir: Path) -> tuple[Staging, filelock.BaseFileLock]:
    for _ in range(_MAKE_TRIES):
        plugins_dir.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another operation has just removed the empty plugins folder
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=plugins_dir)).resolve()
            lock = _try_lock(folder)
            if lock is not None:
                return Staging(plugins_dir, folder), lock
    raise RegistryError(
        f"no folder can be made and locked in {plugins_dir}", hint="does its file system have file locks?"
    )


def _try_lock(folder: Path) -> filelock.BaseFileLock | None:
    """Take the lock of a staging folder; None where another process or user has it, or has just removed the folder."""
    import filelock

    path = folder / _LOCK_NAME
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except OSError:  # a time-out too; which error a folder brings that is just being removed, depends on the moment
        return None
    if path.exists():
        return lock
    lock.release()
    return None


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
