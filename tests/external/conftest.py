"""Real plugin processes in a folder of their own, and the check that none of them is left."""

from __future__ import annotations

import json
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.external.lifecycle import Limits
from pytest_testmesh.external.pool import ExternalPlugins
from pytest_testmesh.polling import NEVER, Deadline

HERE = Path(__file__).parent
TOKEN = "TESTMESH_TEST_TOKEN"


class GivenScope:
    """The part of a scope that plugins are sent."""

    def __init__(self, variables: Mapping[str, Any], step_outputs: Mapping[str, Any]) -> None:
        self._variables = dict(variables)
        self._step_outputs = dict(step_outputs)

    def variables(self) -> Mapping[str, Any]:
        return self._variables

    def step_outputs(self) -> Mapping[str, Any]:
        return self._step_outputs


@pytest.fixture
def make_context() -> Callable[..., ActionContext]:
    def make(
        deadline: Deadline = NEVER,
        variables: Mapping[str, Any] = {},
        step_outputs: Mapping[str, Any] = {},
    ) -> ActionContext:
        return ActionContext(
            flow_id="flow-456",
            execution_id="exec-123",
            step_id="step-789",
            scope=GivenScope(variables, step_outputs),
            deadline=deadline,
        )

    return make


@pytest.fixture
def plugins_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    return folder


@pytest.fixture
def add_plugin(plugins_dir: Path) -> Callable[..., Path]:
    """Write a plugin; its code is a file of this folder by default, which takes the manifest's id as its part."""

    def add(plugin_id: str, *, code: str | None = None, folder: str | None = None, **manifest: Any) -> Path:
        place = plugins_dir / (folder or plugin_id)
        place.mkdir()
        fields = {
            "id": plugin_id,
            "name": plugin_id,
            "version": "1.0.0",
            "type": "action",
            "entry_point": "server.py",
            **manifest,
        }
        (place / "manifest.json").write_text(json.dumps(fields, indent=2), encoding="utf-8")
        entry_point = place / fields["entry_point"]
        if code is not None:
            entry_point.write_text(code, encoding="utf-8")
        elif entry_point.suffix == ".py":
            shutil.copy(HERE / "misbehaving.py", entry_point)
        return place

    return add


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Mark every process that this test starts; afterwards none may be left, by environment or by group."""
    value = uuid.uuid4().hex
    monkeypatch.setenv(TOKEN, value)
    yield value
    assert [] == left_over(value)


@pytest.fixture
def make_pool(plugins_dir: Path, token: str) -> Iterator[Callable[..., ExternalPlugins]]:
    pools: list[ExternalPlugins] = []

    def make(*, cache_path: Path | None = None, **limits: float) -> ExternalPlugins:
        pool = ExternalPlugins(plugins_dir, cache_path=cache_path, limits=Limits(**limits))
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.stop()


def left_over(token: str, within_s: float = 3.0) -> list[psutil.Process]:
    """Return the processes with the token that still live after *within_s*; a killed one needs a moment."""
    until = time.monotonic() + within_s
    while (found := running(token)) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def running(token: str) -> list[psutil.Process]:
    """Return the living processes, other than this one, whose environment holds the token."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(TOKEN) == token and process.pid != psutil.Process().pid:
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        except psutil.Error:
            continue
    return found


def need(tool: str) -> str:
    """Return the path of a program, or skip the test where it is not installed."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    return found


PYTHON = sys.executable
