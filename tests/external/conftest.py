"""Real plugin processes in a folder of their own, and the check that none of them is left."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ExternalPluginError
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


class Processes:
    """The processes that one test starts, known by a variable of their environment, which children inherit."""

    def __init__(self, token: str) -> None:
        self._token = token

    def running(self) -> list[psutil.Process]:
        """Return the plugins' processes that live now."""
        return [process for process in self.running_with_reaper() if not _is_reaper(process)]

    def running_with_reaper(self) -> list[psutil.Process]:
        """Return all that live now; a zombie only waits to be reaped."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def kill(self) -> None:
        """Kill those that live now, and wait until the end of each can be seen by whoever started it."""
        for process in self.running():
            with suppress(psutil.NoSuchProcess):
                process.kill()
            while _lives(process):
                time.sleep(0.005)

    def left_over(self, within_s: float = 30.0) -> list[psutil.Process]:
        """Return the plugins' processes that still live after *within_s*: a killed one needs a moment."""
        until = time.monotonic() + within_s
        while (found := self.running()) and time.monotonic() < until:
            time.sleep(0.02)
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return (
                process.pid != os.getpid()
                and process.status() != psutil.STATUS_ZOMBIE
                and process.environ().get(TOKEN) == self._token
            )
        except psutil.Error:
            return False


def _is_reaper(process: psutil.Process) -> bool:
    try:
        return any(each.endswith("reaper.py") for each in process.cmdline())
    except psutil.Error:
        return True


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    """Mark every process that this test starts; afterwards none may be left, detached or not."""
    token = uuid.uuid4().hex
    monkeypatch.setenv(TOKEN, token)
    found = Processes(token)
    yield found
    assert [] == found.left_over()
    assert [] == found.running_with_reaper()


@pytest.fixture
def make_pool(plugins_dir: Path, processes: Processes) -> Iterator[Callable[..., ExternalPlugins]]:
    pools: list[ExternalPlugins] = []

    def make(*, cache_path: Path | None = None, **limits: float) -> ExternalPlugins:
        pool = ExternalPlugins(plugins_dir, cache_path=cache_path, limits=Limits(**limits))
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.stop()


@pytest.fixture
def start() -> Callable[[ExternalPlugins, Iterable[str]], None]:
    """Start the plugins that these actions need, and wait until each has started or failed."""

    def start_and_wait(pool: ExternalPlugins, names: Iterable[str]) -> None:
        wanted = list(names)
        pool.start_soon(wanted)
        for name in wanted:
            with suppress(ExternalPluginError):
                pool.find(name)

    return start_and_wait


@pytest.fixture
def need() -> Callable[[str], str]:
    """Return the path of a program, or skip the test where it is not installed."""

    def find(tool: str) -> str:
        found = shutil.which(tool)
        if found is None:
            pytest.skip(f"{tool} is not installed")
        return found

    return find
