"""What the flows of one pytest session share: actions by folder, connection pools, external plugins, compiled flows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from traceback import extract_tb, format_exception_only
from typing import TYPE_CHECKING, Any

import pytest

from pytest_testmesh.actions import Action, ActionRegistry, Resources
from pytest_testmesh.errors import FlowSchemaError, MeshError
from pytest_testmesh.settings import resolve_settings
from pytest_testmesh.values import from_text

if TYPE_CHECKING:
    from pytest_testmesh.external.pool import ExternalPlugins
    from pytest_testmesh.model import Flow

_REGISTRIES = pytest.StashKey[dict[str, ActionRegistry]]()
_RESOURCES = pytest.StashKey[Resources]()
_EXTERNAL = pytest.StashKey["ExternalPlugins"]()
_KEPT = pytest.StashKey["list[Flow]"]()

_MOST_KEPT = 64
"""How many compiled flows stay in memory between collection and run.

One takes about 20 KB, and the garbage collector walks all of them again and again while thousands are collected;
reading one anew takes 0.27 ms.
"""


def keep(config: pytest.Config, flow: Flow) -> Flow | None:
    """Return the flow if it may stay in memory until it runs, None if it is to be read again then."""
    kept = config.stash.setdefault(_KEPT, [])
    if len(kept) >= _MOST_KEPT:
        return None
    kept.append(flow)
    return flow


def shown_path(path: Path, config: pytest.Config) -> str:
    """Return the path as messages show it: relative to rootdir."""
    text, root = str(path), f"{config.rootpath}{os.sep}"
    return text[len(root) :] if text.startswith(root) else os.path.relpath(path, config.rootpath)


def registry_for(node: pytest.Item) -> ActionRegistry:
    """Return the actions of the node's folder, asked for once through its own hooks."""
    registries = node.config.stash.setdefault(_REGISTRIES, {})
    folder = os.path.dirname(node.path)
    if folder not in registries:
        registries[folder] = _fill_registry(node)
    return registries[folder]


def _fill_registry(node: pytest.Item) -> ActionRegistry:
    registry = ActionRegistry()
    try:
        node.ihook.pytest_testmesh_actions(registry=registry)
    except MeshError:
        raise
    except Exception as exc:  # noqa: BLE001 - a conftest.py of the user's; the flows of other folders still run
        where = extract_tb(exc.__traceback__)[-1]
        message = "".join(format_exception_only(exc)).strip()
        raise FlowSchemaError(
            f"pytest_testmesh_actions failed: {message}",
            hint=f"raised at {where.filename}:{where.lineno}: {where.line}",
        ) from None
    return registry


def session_resources(config: pytest.Config) -> Resources:
    """Return what lives as long as the pytest process: connection pools."""
    return config.stash.setdefault(_RESOURCES, Resources())


class PluginSource:
    """The external plugins as a source of actions; what they need is imported when the first one is asked."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def find(self, name: str) -> Action | None:
        """Return the plugin's action of that name."""
        return external_plugins(self._config).find(name)

    def names(self) -> Iterable[str]:
        """Names that are known without asking a plugin."""
        return external_plugins(self._config).names()

    def doubts(self, name: str) -> Iterable[str]:
        """Say which plugins could not be asked, and why."""
        return external_plugins(self._config).doubts(name)


def external_plugins(config: pytest.Config) -> ExternalPlugins:
    """Return the external plugins of this pytest process; nothing is started by asking."""
    if _EXTERNAL not in config.stash:
        from pytest_testmesh.external.pool import ExternalPlugins

        folder = plugins_dir(config)
        cache_path = info_cache_path(config) if folder.is_dir() else None
        config.stash[_EXTERNAL] = ExternalPlugins(folder, cache_path=cache_path)
    return config.stash[_EXTERNAL]


def info_cache_path(config: pytest.Config) -> Path | None:
    """Return the file, in pytest's cache folder, that keeps what ``/info`` of each plugin listed; None: nowhere."""
    cache = getattr(config, "cache", None)  # absent under -p no:cacheprovider
    if cache is None:
        return None
    try:
        return cache.mkdir("testmesh") / "plugins.json"  # type: ignore[no-any-return]
    except OSError:  # a read-only folder: the plugins are asked anew in each session
        return None


def plugins_dir(config: pytest.Config) -> Path:
    """Return the folder of external plugins: option, ``PLUGINS_DIR``, ini, ``plugins/`` under rootdir."""
    option = config.getoption("testmesh_plugins_dir") or os.environ.get("PLUGINS_DIR")
    if option:
        return Path(config.invocation_params.dir, option)
    return config.rootpath / (config.getini("testmesh_plugins_dir") or "plugins")


def connection_settings(config: pytest.Config) -> Mapping[str, str]:
    """Return the connection settings that are given once for all flows."""
    return resolve_settings(config.getini, os.environ)


def command_line_variables(config: pytest.Config) -> Mapping[str, Any]:
    """Return the variables given as ``--testmesh-var NAME=VALUE``."""
    found = {}
    for text in config.getoption("testmesh_var") or ():
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise pytest.UsageError(f"--testmesh-var {text!r}: write NAME=VALUE, NAME as in a flow's env")
        found[name] = from_text(value)
    return found
