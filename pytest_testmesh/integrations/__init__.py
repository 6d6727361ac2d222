"""The built-in actions: which modules declare them; a declaration loads no client library."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionRegistry

BUILTIN = (
    "pytest_testmesh.integrations.basics",
    "pytest_testmesh.integrations.database",
    "pytest_testmesh.integrations.http",
    "pytest_testmesh.integrations.kafka",
    "pytest_testmesh.integrations.loki",
    "pytest_testmesh.integrations.minio",
    "pytest_testmesh.integrations.neo4j",
    "pytest_testmesh.integrations.otel",
    "pytest_testmesh.integrations.postgresql",
    "pytest_testmesh.integrations.prometheus",
    "pytest_testmesh.integrations.redis",
    "pytest_testmesh.integrations.wait_for",
)
"""Modules with a function ``register(registry)``."""


def register_builtins(registry: ActionRegistry) -> None:
    """Add every built-in action to *registry*."""
    for name in BUILTIN:
        import_module(name).register(registry)
