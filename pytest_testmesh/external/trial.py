"""Starts a plugin only to learn what it offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_testmesh.external.guard import Guard
from pytest_testmesh.external.lifecycle import ExternalPlugin, Limits
from pytest_testmesh.polling import Deadline

if TYPE_CHECKING:
    from pytest_testmesh.external.manifest import Manifest
    from pytest_testmesh.external.protocol import DeclaredAction


def ask_once(manifest: Manifest, limits: Limits | None = None) -> Mapping[str, DeclaredAction]:
    """Start the plugin, read ``/info``, and end it with everything that it left.

    Raises:
        PluginStartError: It exited, did not listen, or did not become healthy in time.
        PluginProtocolError: ``/info`` did not answer in the shape of the protocol.
    """
    limits = limits or Limits()
    guard = Guard()
    plugin = ExternalPlugin(manifest, limits, lambda *_: None, guard)
    try:
        plugin.ensure_started()
        return plugin.actions or {}
    finally:
        try:
            plugin.shut_down(Deadline.after(limits.shutdown_s, "the grace after /shutdown"))
        finally:
            guard.close()
