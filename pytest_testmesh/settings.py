"""Connection settings that are given once for all flows: which there are, and where each is looked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SETTINGS: Mapping[str, str] = {
    "postgresql_url": "postgresql://user:password@host:5432/database of SQL steps that name none",
    "redis_url": "redis://[user:password@]host:6379/0 of redis.* steps that name none",
}
"""Each setting with its help; the ini key is ``testmesh_NAME``, the environment variable ``TESTMESH_NAME``."""


def resolve_settings(ini: Callable[[str], Any], environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the settings that are given; the environment, which changes from place to place, wins over ini."""
    found = {name: environ.get(f"TESTMESH_{name.upper()}") or ini(f"testmesh_{name}") for name in SETTINGS}
    return {name: value for name, value in found.items() if value}
