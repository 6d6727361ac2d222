"""Imports of libraries that only an extra brings."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from pytest_testmesh.errors import MissingDependencyError


def require(module: str, *, extra: str | None = None, package: str | None = None) -> ModuleType:
    """Import *module*, which our extra *extra* or the distribution *package* brings.

    Raises:
        MissingDependencyError: It is not installed; the hint is the ``pip install`` line.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name != module and not module.startswith(f"{exc.name}."):
            raise
        needed = f"pytest-testmesh[{extra}]" if extra else package or module.partition(".")[0]
        raise MissingDependencyError(
            f"this needs the library {module}, which is not installed", hint=f"pip install '{needed}'"
        ) from exc
