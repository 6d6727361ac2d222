"""Functions that are known before their module is loaded, so that a run loads only the clients it uses."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy(target: str) -> Callable[..., Any]:
    """Return a function that calls *target*, ``"kafka.produce:run"``, of this package; the first call imports it."""
    module, _, name = target.partition(":")

    def call(*args: Any) -> Any:
        return getattr(import_module(f"{__package__}.{module}"), name)(*args)

    return call
