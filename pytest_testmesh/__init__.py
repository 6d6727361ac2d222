"""Flows of YAML steps as pytest items: the names that users' own code may import."""

from __future__ import annotations

__all__ = ["PytestTestmeshWarning"]


class PytestTestmeshWarning(UserWarning):
    """A warning of this plugin; filter it by this name in ``filterwarnings``."""
