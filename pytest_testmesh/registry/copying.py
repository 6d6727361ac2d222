"""Copies the folder of a plugin that nobody vouches for: no link is followed, only files and folders are opened."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from pytest_testmesh.errors import PluginRefusedError, RegistryError

LEFT_OUT = frozenset({".git", ".venv", "__pycache__", "node_modules"})
"""Names that are not copied: they are large, made anew by the installation, or of use to the author alone."""

_CHUNK_BYTES = 1024 * 1024
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyLimits:
    """How much a plugin may hold; *entries* counts files, folders and links."""

    entries: int = 20_000
    size_bytes: int = 1024 * 1024 * 1024
    depth: int = 40


def copy_plugin(
    source: Path,
    target: Path,
    *,
    owner: int | None = None,
    skipped: Path | None = None,
    limits: CopyLimits | None = None,
) -> int:
    """Copy the folder *source* to *target*, which must not exist; return how many files there are.

    *owner* is the user id that everything in *source* must belong to. *skipped* is a folder that is left out,
    as is everything named in `LEFT_OUT`. Permissions are kept, but only the owner can write, and nobody gets
    another's rights (setuid). Relative links that stay inside are kept as links.

    Raises:
        PluginRefusedError: Something in *source* may not be copied; says what. Part of *target* is there then.
        RegistryError: *target* cannot be written: the disk is full, say.
    """
    copy = _Copy(source, target, owner, skipped, limits or CopyLimits())
    copy.run()
    return copy.files


class _Copy:
    """One copy under way. Everything is opened relative to its open folder: nobody can swap a path for a link."""

    def __init__(self, source: Path, target: Path, owner: int | None, skipped: Path | None, limits: CopyLimits) -> None:
        self.files = 0
        self._source = source
        self._target = target
        self._owner = owner
        self._skipped = skipped.stat() if skipped is not None and skipped.is_dir() else None
        self._limits = limits
        self._entries = 0
        self._size_bytes = 0
        self._links: list[PurePath] = []

    def run(self) -> None:
        relative = PurePath()
        try:
            folder = os.open(self._source, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as exc:
            raise self._unreadable(relative, exc) from exc
        try:
            self._copy_folder(folder, relative, os.fstat(folder))
        finally:
            os.close(folder)
        for link in self._links:
            self._check_link(link)

    def _copy_folder(self, folder: int, relative: PurePath, info: os.stat_result) -> None:
        self._check_owner(relative, info)
        with self._writing(relative) as target:
            target.mkdir()
        for name in sorted(os.listdir(folder)):
            if name not in LEFT_OUT:
                self._copy_entry(folder, name, relative / name)
        with self._writing(relative) as target:
            target.chmod(stat.S_IMODE(info.st_mode) & 0o755 | stat.S_IRWXU)

    def _copy_entry(self, folder: int, name: str, relative: PurePath) -> None:
        try:
            info = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if self._skipped is not None and os.path.samestat(info, self._skipped):
                return
            self._check_entry(relative, info)
            if stat.S_ISLNK(info.st_mode):
                self._copy_link(folder, name, relative)
            else:
                self._copy_opened(folder, name, relative, info)
        except OSError as exc:
            raise self._unreadable(relative, exc) from exc

    def _check_entry(self, relative: PurePath, info: os.stat_result) -> None:
        self._check_owner(relative, info)
        if not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode) or stat.S_ISLNK(info.st_mode)):
            kind = _KINDS.get(stat.S_IFMT(info.st_mode), "no ordinary file")
            raise self._refused(relative, f"is {kind}", "a plugin holds files, folders and links inside it")
        self._entries += 1
        if self._entries > self._limits.entries:
            raise self._refused(PurePath(), f"holds more than {self._limits.entries} files and folders", _too_much())
        if len(relative.parts) > self._limits.depth:
            raise self._refused(relative, f"lies more than {self._limits.depth} folders deep")

    def _check_owner(self, relative: PurePath, info: os.stat_result) -> None:
        if self._owner is not None and info.st_uid != self._owner:
            raise self._refused(
                relative,
                f"belongs to the user with id {info.st_uid}, not to {self._owner}",
                "what another user can change is not installed: copy it to a folder of your own first",
            )

    def _copy_opened(self, folder: int, name: str, relative: PurePath, info: os.stat_result) -> None:
        # Without O_NONBLOCK, opening a pipe that has taken the file's place would wait for ever.
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            if not os.path.samestat(info, os.fstat(opened)):
                raise self._refused(relative, "was replaced while it was copied")
            if stat.S_ISDIR(info.st_mode):
                self._copy_folder(opened, relative, info)
            else:
                self._copy_file(opened, relative, info)
        finally:
            os.close(opened)

    def _copy_file(self, opened: int, relative: PurePath, info: os.stat_result) -> None:
        self.files += 1
        self._check_size(info.st_size)
        mode = stat.S_IMODE(info.st_mode) & 0o755 | stat.S_IRUSR | stat.S_IWUSR
        with self._writing(relative) as target, target.open("xb") as file:
            for data in self._chunks(opened, relative):
                self._size_bytes += len(data)
                self._check_size(0)
                file.write(data)
            os.fchmod(file.fileno(), mode)

    def _chunks(self, opened: int, relative: PurePath) -> Iterator[bytes]:
        try:
            while data := os.read(opened, _CHUNK_BYTES):
                yield data
        except OSError as exc:
            raise self._unreadable(relative, exc) from exc

    def _check_size(self, more_bytes: int) -> None:
        if self._size_bytes + more_bytes > self._limits.size_bytes:
            raise self._refused(
                PurePath(), f"holds more than {self._limits.size_bytes / 1024 / 1024:.0f} MiB", _too_much()
            )

    def _copy_link(self, folder: int, name: str, relative: PurePath) -> None:
        leads_to = os.readlink(name, dir_fd=folder)
        with self._writing(relative) as target:
            target.symlink_to(leads_to)
        self._links.append(relative)

    def _check_link(self, relative: PurePath) -> None:
        """Follow a link where only this program writes: in the copy."""
        link = self._target / relative
        leads_to = _printable(os.readlink(link))
        try:
            link.stat()
        except OSError as exc:
            if exc.errno == errno.ELOOP:
                raise self._refused(relative, f"is a link that leads in a circle: {leads_to}") from exc
        if not Path(os.path.realpath(link)).is_relative_to(os.path.realpath(self._target)):
            raise self._refused(
                relative,
                f"is a link out of the folder, to {leads_to}",
                "a plugin may only hold relative links that stay inside it: copy what the link leads to",
            )

    @contextlib.contextmanager
    def _writing(self, relative: PurePath) -> Iterator[Path]:
        """Give the place of the copy; what goes wrong there is not the source's fault."""
        target = self._target / relative
        try:
            yield target
        except OSError as exc:
            raise RegistryError(f"{_printable(str(target))} cannot be written: {exc.strerror or exc}") from exc

    def _unreadable(self, relative: PurePath, exc: OSError) -> PluginRefusedError:
        return self._refused(relative, f"cannot be read: {exc.strerror or exc}")

    def _refused(self, relative: PurePath, problem: str, hint: str | None = None) -> PluginRefusedError:
        return PluginRefusedError(f"{_printable(str(self._source / relative))} {problem}", hint=hint)


def _too_much() -> str:
    return f"is it the plugin's own folder? Only {', '.join(sorted(LEFT_OUT))} are left out"


def _printable(path: str) -> str:
    """Write a name that is not UTF-8 in a way that can be printed."""
    return os.fsencode(path).decode(errors="backslashreplace")
