"""The example of ``flows/`` that needs a PostgreSQL and a Redis, against real ones."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FLOWS = Path(__file__).parents[2] / "flows"


@pytest.fixture
def run(service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """``run()`` runs a copy of the example and returns what pytest printed; ``run("x")`` only up to the line *x*."""
    monkeypatch.setenv("TESTMESH_POSTGRESQL_URL", service("postgres").url)
    monkeypatch.setenv("TESTMESH_REDIS_URL", service("redis").url)
    for name in ("conftest.py", "shop_service.py", "closed_books.yaml"):
        shutil.copy(FLOWS / name, tmp_path)

    def start(end: str | None = None, *args: str) -> str:
        flow = tmp_path / "closed_books.yaml"
        if end is not None:
            flow.write_text(flow.read_text(encoding="utf-8").partition(end)[0], encoding="utf-8")
        argv = [sys.executable, "-m", "pytest", "-rA", "-W", "error", "-p", "no:cacheprovider", str(tmp_path), *args]
        done = subprocess.run(argv, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    return start


def test_it_passes_and_leaves_nothing(
    run: Callable[..., str], service: Any, psql: Any, redis_cli: Any, unique: str
) -> None:
    printed = run(None, f"--testmesh-var=BOOKS={unique}")

    assert "1 passed" in printed, printed
    assert "" == psql(service("postgres").url, f"SELECT to_regclass('{unique}')")
    assert "0" == redis_cli(service("redis").url, "EXISTS", unique)


def test_other_clients_see_what_it_saw(
    run: Callable[..., str], service: Any, psql: Any, redis_cli: Any, unique: str
) -> None:
    printed = run("  teardown:", f"--testmesh-var=BOOKS={unique}")

    assert "1 passed" in printed, printed
    assert "mug|37.50" == psql(service("postgres").url, f"SELECT sku, total FROM {unique}")
    assert "37.5" == redis_cli(service("redis").url, "GET", unique)
    psql(service("postgres").url, f"DROP TABLE {unique}")
    redis_cli(service("redis").url, "DEL", unique)
