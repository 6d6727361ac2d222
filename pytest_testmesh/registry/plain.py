"""What plugins say of themselves, as JSON in UTF-8 can hold it."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

_MAX_DEPTH = 64


def plain(value: Any, depth: int = 0) -> Any:
    """Return a copy without what manifests and schemas may hold besides: NaN, halves of surrogate pairs, no end."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, (Mapping, list)) and depth == _MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        return {plain(key): plain(each, depth + 1) for key, each in value.items()}
    return [plain(each, depth + 1) for each in value] if isinstance(value, list) else value
