"""Asks pytest which plugins folder, and which cache of ``/info``, a session that starts here would use.

No session is started: pytest reads its configuration only, without any ``conftest.py`` and without other plugins.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from pytest_testmesh.errors import MeshError
from pytest_testmesh.session import info_cache_path, plugins_dir

# What could run code of the project, or fail for want of the plugins that are left out here.
_ALONE = (
    "--noconftest",
    "--assert=plain",
    "--capture=no",
    *("-p", "pytest_testmesh.plugin"),
    *("-p", "no:python_path"),  # before pytest 9.2 it reads pythonpath, and cannot take the override below
    *(part for key in ("pythonpath", "filterwarnings", "required_plugins") for part in ("-o", f"{key}=")),
)


class PytestConfigError(MeshError):
    """pytest cannot be configured in this folder, so that a session could not run here either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where a session finds the plugins; *info_cache* is None where nothing can be kept."""

    plugins_dir: Path
    info_cache: Path | None


def session_folders(given: Path | None = None, *, create: bool = False) -> Folders:
    """Return what a pytest session started in the working directory uses; *given* is its ``--testmesh-plugins-dir``.

    As in a session, a plugins folder that does not exist has no cache, unless *create* says that it soon will.

    Raises:
        PytestConfigError: pytest does not accept its configuration.
    """
    try:
        with _without_other_plugins():
            config = _read_config([] if given is None else ["--testmesh-plugins-dir", str(given)])
        folder = plugins_dir(config)
        return Folders(plugins_dir=folder, info_cache=_info_cache(config) if create or folder.is_dir() else None)
    except MeshError:
        raise
    except Exception as exc:  # a configuration that is broken can raise anything: files of three formats are read
        reason = str(exc).strip().splitlines() or [type(exc).__name__]
        raise PytestConfigError(
            f"pytest cannot be configured in {Path.cwd()}: {reason[0]}",
            hint="mend its configuration, or name the plugins folder: --plugins-dir DIR",
        ) from exc


def _read_config(args: list[str]) -> pytest.Config:
    """Return pytest's configuration; of ``PYTEST_ADDOPTS`` and ``addopts`` only what matters here is taken in."""
    args = [*_relevant(os.environ.get("PYTEST_ADDOPTS", ""), _ENVIRONMENT), *args]
    config = pytest.Config.fromdictargs({}, [*args, *_ALONE])
    added = _relevant(config.getini("addopts"), _INI)
    return pytest.Config.fromdictargs({}, [*added, *args, *_ALONE]) if added else config


def _info_cache(config: pytest.Config) -> Path | None:
    plugin = config.pluginmanager.get_plugin("cacheprovider")
    if plugin is None:  # -p no:cacheprovider
        return None
    plugin.pytest_configure(config)  # gives the configuration its cache, which is what tells the folder of it
    return info_cache_path(config)


@contextlib.contextmanager
def _without_other_plugins() -> Iterator[None]:
    changed = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": ""}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Options(argparse.ArgumentParser):
    """Knows a few options of pytest and skips all others."""

    def __init__(self, *options: str) -> None:
        super().__init__(prog="pytest", add_help=False, allow_abbrev=False)
        for names in map(str.split, options):
            self.add_argument(*names, dest=names[-1], action="append", default=[])

    def error(self, message: str) -> NoReturn:
        raise PytestConfigError(f"options of pytest: {message}", hint="they are set in PYTEST_ADDOPTS or addopts")


# pytest has chosen the configuration file and rootdir when it reads addopts.
_INI = _Options("--testmesh-plugins-dir", "-p")
_ENVIRONMENT = _Options("--testmesh-plugins-dir", "-p", "-c --config-file", "--rootdir", "-o --override-ini")


def _relevant(addopts: str | Iterable[str], options: _Options) -> list[str]:
    given = shlex.split(addopts) if isinstance(addopts, str) else list(addopts)
    found, _ = options.parse_known_args(given)
    return [
        part
        for name, values in vars(found).items()
        for value in values
        if name != "-p" or value.strip() == "no:cacheprovider"
        for part in (name, value)
    ]
