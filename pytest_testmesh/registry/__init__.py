"""The plugins folder as a registry: what is installed, enabled, and how a plugin comes and goes."""

from __future__ import annotations

LANGUAGES = ("python", "node", "bash")
"""The languages in which a new plugin can be written; `pytest_testmesh.registry.scaffold` has their templates."""
