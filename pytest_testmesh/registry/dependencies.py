"""Prepares what a plugin needs, inside its own folder: ``.venv`` by pip, ``node_modules`` by npm."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pytest_testmesh.errors import PluginRefusedError
from pytest_testmesh.external.guard import Guard
from pytest_testmesh.external.output import OutputTail
from pytest_testmesh.external.process import describe_exit
from pytest_testmesh.polling import Deadline
from pytest_testmesh.units import format_duration

LIMIT_S = 900.0
"""How long pip and npm may take together: some packages are built from source."""

_SHOWN_LINES = 10
_NPM_WORK = ("dependencies", "optionalDependencies", "peerDependencies", "workspaces", "scripts")
_NPM_LOCKS = ("package-lock.json", "npm-shrinkwrap.json")


def prepare_dependencies(
    folder: Path, plugin_id: str, log: Path, progress: Callable[[str], None], *, limit_s: float = LIMIT_S
) -> None:
    """Install what ``requirements.txt`` and ``package.json`` in *folder* ask for; a file that asks for nothing is left.

    *log* is a file for the output of pip and npm. Nothing that they start outlives this call, or this process.

    Raises:
        PluginRefusedError: A tool is missing, failed or took too long; shows its last lines.
    """
    tools = _Tools(folder, plugin_id, log, Deadline.after(limit_s, ""), limit_s)
    if _asks_pip(folder / "requirements.txt"):
        progress("making .venv")
        tools.run("python -m venv", [sys.executable, "-I", "-m", "venv", ".venv"])
        progress("pip install -r requirements.txt")
        # Isolated (-I): a file of the plugin's such as json.py must not stand in for a module that pip needs.
        pip = [str(folder / ".venv" / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        tools.run("pip", [*pip, "install", "-r", "requirements.txt"])
    if _asks_npm(folder / "package.json"):
        command = "ci" if any((folder / name).is_file() for name in _NPM_LOCKS) else "install"
        progress(f"npm {command}")
        tools.run(f"npm {command}", [_npm(plugin_id), command, "--omit=dev", "--no-audit", "--no-fund"])


def move_environment(folder: Path, final: Path) -> None:
    """Make ``.venv`` in *folder* right for the place *final*, to which the folder will be renamed.

    Console scripts, and what an editable installation leaves, hold absolute paths.
    """
    before, after = os.fsencode(folder), os.fsencode(final)
    for path in _files_with_paths(folder / ".venv"):
        content = path.read_bytes()
        if before in content:
            path.write_bytes(content.replace(before, after))


def _files_with_paths(environment: Path) -> Iterable[Path]:
    patterns = ("pyvenv.cfg", "bin/*", *(f"lib/python*/site-packages/{each}" for each in (
        "*.pth", "*.egg-link", "__editable__*.py", "*.dist-info/direct_url.json",
    )))  # fmt: skip
    for pattern in patterns:
        yield from (path for path in environment.glob(pattern) if path.is_file() and not path.is_symlink())


def _asks_pip(requirements: Path) -> bool:
    try:
        lines = requirements.read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        return False
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


def _asks_npm(package: Path) -> bool:
    try:
        content = json.loads(package.read_bytes())
    except (FileNotFoundError, IsADirectoryError):
        return False
    except (ValueError, RecursionError):
        return True  # npm says best what is wrong with it
    return not isinstance(content, dict) or any(content.get(key) for key in _NPM_WORK)


def _npm(plugin_id: str) -> str:
    found = shutil.which("npm")
    if found is None:
        raise PluginRefusedError(
            f"dependencies of {plugin_id} cannot be installed: npm is not installed, and its package.json needs it",
            hint="install Node.js with npm, or put its folder on PATH",
        )
    return found


class _Tools:
    """Runs one program after another in a plugin's folder, all within one deadline."""

    def __init__(self, folder: Path, plugin_id: str, log: Path, deadline: Deadline, limit_s: float) -> None:
        self._folder = folder
        self._id = plugin_id
        self._log = log
        self._deadline = deadline
        self._limit_s = limit_s

    def run(self, name: str, command: Sequence[str]) -> None:
        """Run a program to its end.

        Raises:
            PluginRefusedError: It cannot be run, failed, or was not done in time.
        """
        try:
            with self._log.open("wb") as log:
                code = self._run(command, log.fileno())
        except OSError as exc:
            raise self._failed(f"{name} cannot be run: {exc.strerror or exc}") from exc
        if code is None:
            raise self._failed(f"{name} was not done within {format_duration(self._limit_s)}")
        if code != 0:
            raise self._failed(f"{name} {describe_exit(code)}")

    def _run(self, command: Sequence[str], log: int) -> int | None:
        """Return the exit code, None when the time was up; whatever the program leaves running is killed."""
        with contextlib.closing(Guard()) as guard:
            guard.start()
            with subprocess.Popen(
                command,
                cwd=self._folder,
                env={**os.environ, **guard.environment(self._id)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ) as process:
                guard.watch(process.pid)
                try:
                    return process.wait(self._deadline.remaining())
                except subprocess.TimeoutExpired:
                    return None
                finally:
                    guard.close()

    def _failed(self, problem: str) -> PluginRefusedError:
        lines = "".join(f"\n  {line}" for line in self._last_lines())
        return PluginRefusedError(f"dependencies of {self._id} cannot be installed: {problem}{lines}")

    def _last_lines(self) -> list[str]:
        tail = OutputTail()
        with contextlib.suppress(FileNotFoundError), self._log.open("rb") as log:
            while data := log.read(1024 * 1024):
                tail.write(data)
        return tail.last_lines(_SHOWN_LINES)
