"""What the integrations name before its module is loaded is there."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest

from pytest_testmesh import integrations

SOURCES = sorted(Path(integrations.__path__[0]).glob("*/__init__.py"))
TARGETS = sorted({name for path in SOURCES for name in re.findall(r'lazy\("(.+?)"\)', path.read_text("utf-8"))})


@pytest.mark.parametrize("target", TARGETS)
def test_every_lazy_function_is_there(target: str) -> None:
    assert callable(pkgutil.resolve_name(f"{integrations.__name__}.{target}"))
