"""A project to run ``testmesh`` in: as a process, with or without a terminal, or inside this one."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

RUN = "from pytest_testmesh.cli import main; main()"
TESTMESH = [sys.executable, "-c", RUN]
# It takes the terminal itself, so that Ctrl-C on it becomes a signal: this process has threads, and none of its forks
# should run Python before the exec.
ON_TERMINAL = [sys.executable, "-c", f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {RUN}"]
SERVER = Path(__file__).with_name("plugin_server.py")
QUESTION = b"[y/N]: "
LEFT_OUT = (
    "TOX_ENV_DIR", "PLUGINS_DIR", "PYTEST_ADDOPTS", "PYTEST_PLUGINS", "NO_COLOR", "TERM", "COLUMNS", "TESTMESH_TOKEN",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with a rootdir of its own, as the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(folder)
    for name in LEFT_OUT:
        monkeypatch.delenv(name, raising=False)
    return folder


def _order(name: str = "order") -> dict[str, Any]:
    schema = {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}
    return {"id": name, "name": "Order", "description": "Orders a thing", "schema": schema}


@pytest.fixture
def write_plugin() -> Callable[..., Path]:
    """Write a plugin in Python; its ``/info`` lists *actions*, by default one of the name ``<id>.order``."""

    def write(folder: Path, plugin_id: str = "shop", *, actions: Any = None, code: str = "", **manifest: Any) -> Path:
        folder.mkdir(parents=True)
        fields = {"id": plugin_id, "name": "A shop", "version": "1.0.0", "type": "action", "entry_point": "server.py"}
        (folder / "manifest.json").write_text(json.dumps({**fields, **manifest}))
        (folder / "server.py").write_text(code or SERVER.read_text())
        listed = [_order(f"{plugin_id}.order")] if actions is None else actions
        (folder / "actions.json").write_text(json.dumps(listed))
        return folder

    return write


@pytest.fixture
def run(project: Path) -> Callable[..., Ended]:
    """Run ``testmesh`` as a process without a terminal, as a script does."""

    def run(*args: object, **environment: str) -> Ended:
        done = subprocess.run(
            [*TESTMESH, *map(str, args)],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def call(project: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run ``testmesh`` inside this process: quick, for what needs no process of its own."""
    from pytest_testmesh.cli.app import testmesh

    def call(*args: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            testmesh.main([str(arg) for arg in args], prog_name="testmesh")
        printed = capsys.readouterr()
        return Ended(int(end.value.code or 0), printed.out, printed.err)

    return call


@pytest.fixture
def on_terminal(project: Path) -> Callable[..., Ended]:
    """Run ``testmesh`` on a terminal where a person answers its question with *keys*; ``out`` is all that it shows."""

    def run(*args: object, keys: str = "", columns: int = 80, **environment: str) -> Ended:
        controller, terminal = pty.openpty()
        with open(controller, "r+b", buffering=0) as screen:
            process = subprocess.Popen(
                [*ON_TERMINAL, *map(str, args)],
                env={**os.environ, "TERM": "xterm", "COLUMNS": str(columns), **environment},
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                start_new_session=True,
            )
            os.close(terminal)
            shown = b""
            while read := _read(screen.fileno()):
                shown += read
                if keys and QUESTION in shown:
                    _wait_until_it_waits(process.pid)
                    screen.write(keys.encode())
                    keys = ""
            return Ended(process.wait(60), shown.decode().replace("\r\n", "\n"), "")

    return run


def _wait_until_it_waits(pid: int) -> None:
    """A signal between the question and the wait for an answer is seen by Python only after the answer."""
    while psutil.Process(pid).status() != psutil.STATUS_SLEEPING:
        time.sleep(0.01)


def _read(descriptor: int) -> bytes:
    ready, _, _ = select.select([descriptor], [], [], 60)
    assert ready, "the command neither prints nor ends"
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux: nobody has the terminal open any more
        return b""
