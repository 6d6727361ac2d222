"""Values as reports show them: masked, on one line, cut."""

from __future__ import annotations

import json
import re
from typing import Any

from pytest_testmesh.secrets import MASK, Masker
from pytest_testmesh.values import one_line

VALUE_WIDTH = 80
HEADLINE_WIDTH = 300


def shown(value: Any, masker: Masker, width: int = VALUE_WIDTH) -> str:
    """Write a value as JSON on one line, masked and cut to *width* characters."""
    value = masker.tree(value)
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = masker.text(repr(value))
    return cut(text, width)


def cut(text: str, width: int) -> str:
    """Cut a text, masked before, to *width* characters."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def part_text(part: Any, masker: Masker) -> str:
    """Write the value of a part of an expression, or why it has none."""
    if holds_secret(part.text, masker):
        return MASK
    return cut(masker.text(one_line(part.error)), 60) if part.error is not None else shown(part.value, masker, 60)


def holds_secret(text: str, masker: Masker) -> bool:
    """Tell whether an expression names a secret, whose value must not be shown."""
    return any(masker.is_secret_name(name) for name in re.findall(r"[\w-]+", text))
