"""The command as a process: what it loads, how it is interrupted, and many of them at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

Command = Callable[..., Any]

TESTMESH = [sys.executable, "-c", "from pytest_testmesh.cli import main; main()"]
HEAVY = {"fastapi", "filelock", "jinja2", "jsonschema", "psutil", "pytest", "requests", "urllib3", "uvicorn", "yaml"}
LOADED = """
import sys
from pytest_testmesh.cli import main
try:
    main()
finally:
    print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["plugins", "--help"], ["plugins", "list", "--help"], ["serve", "--help"], ["nosuch"]],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, timeout=180)

    assert set() == HEAVY & set(done.stderr.split())


def test_the_version_is_that_of_the_package(call: Command) -> None:
    from importlib.metadata import version

    assert f"testmesh {version('pytest-testmesh')}\n" == call("--version").out


def test_help_documents_the_exit_codes(call: Command) -> None:
    out = call("--help").out

    assert "0  done" in out
    assert "1  refused, failed" in out
    assert "2  wrong usage" in out


@pytest.mark.parametrize("arguments", [["plugins"], ["plugins", "new"], ["serve"]], ids=" ".join)
def test_every_command_explains_itself(call: Command, arguments: list[str]) -> None:
    assert "Usage: testmesh" in call(*arguments, "--help").out


def left_over(token: str, within_s: float = 30.0) -> list[psutil.Process]:
    """The processes with *token* in their environment that still live after a moment."""
    until = time.monotonic() + within_s
    while found := [process for process in psutil.process_iter() if _has(process, token)]:
        if time.monotonic() > until:
            return found
        time.sleep(0.05)
    return []


def _has(process: psutil.Process, token: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and token in process.environ().values()
    except psutil.Error:
        return False


NEVER_ANSWERS = """
import os, pathlib, socket, time
with socket.create_server(("127.0.0.1", int(os.environ["PLUGIN_PORT"]))) as listener:
    connection, _ = listener.accept()
    pathlib.Path(os.environ["ASKED"]).touch()
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        pytest.param(signal.SIGINT, 1, "Aborted!", id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 128 + signal.SIGTERM, "", id="SIGTERM"),
        pytest.param(signal.SIGHUP, 128 + signal.SIGHUP, "", id="SIGHUP"),
    ],
)
def test_an_interrupted_install_leaves_nothing(
    project: Path, write_plugin: Command, number: int, code: int, said: str
) -> None:
    source, asked = write_plugin(project / "source", code=NEVER_ANSWERS), project / "asked"
    token = uuid.uuid4().hex
    command, environment = [*TESTMESH, "plugins", "install", str(source)], {"TOKEN": token, "ASKED": str(asked)}
    with subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "starting" not in process.stderr.readline():
            assert process.poll() is None
        # Python drops what a handler raises inside the callbacks of its imports; those are over now.
        while not asked.exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        rest = process.stderr.read()

    assert code == process.returncode
    assert (said, "Traceback" in rest) == (rest.strip(), False)
    assert [] == left_over(token)
    assert [".testmesh.lock"] == [path.name for path in (project / "plugins").glob("*")] or not (
        project / "plugins"
    ).exists()


def test_a_reader_that_goes_away_is_no_crash(project: Path, write_plugin: Command) -> None:
    write_plugin(project / "plugins" / "shop")
    reading, writing = os.pipe()
    os.close(reading)

    with open(writing, "w") as pipe:
        done = subprocess.run(
            [*TESTMESH, "plugins", "list"], stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=180
        )

    assert (1, "") == (done.returncode, done.stderr)


def test_closed_streams_are_no_crash(project: Path, write_plugin: Command) -> None:
    write_plugin(project / "plugins" / "shop")
    command = 'exec "$@" <&- >&-'

    listed = subprocess.run(["sh", "-c", command, "sh", *TESTMESH, "plugins", "list"], timeout=180)
    asked = subprocess.run(["sh", "-c", command, "sh", *TESTMESH, "plugins", "uninstall", "shop"], timeout=180)

    assert (0, 2) == (listed.returncode, asked.returncode)


def test_a_terminal_without_the_letters_of_a_name_is_no_crash(
    run: Command, project: Path, write_plugin: Command
) -> None:
    write_plugin(project / "plugins" / "shop", name="日本")

    ended = run("plugins", "info", "shop", PYTHONIOENCODING="latin-1")

    assert 0 == ended.code
    assert "\\u65e5\\u672c\n" in ended.out


def test_many_commands_at_once_lose_nothing(project: Path, write_plugin: Command, run: Command) -> None:
    ids = [f"shop{number}" for number in range(6)]
    for plugin_id in ids:
        write_plugin(project / "plugins" / plugin_id, plugin_id)
    run("plugins", "disable", "shop0")
    words = [("enable", "shop0"), *(("disable", plugin_id) for plugin_id in ids[1:])]

    processes = [subprocess.Popen([*TESTMESH, "plugins", *each], stdout=subprocess.DEVNULL) for each in words]

    assert {0} == {process.wait(120) for process in processes}
    assert ids[1:] == sorted(json.loads((project / "plugins" / ".testmesh.json").read_text())["disabled"])
    enabled = [each["enabled"] for each in run("plugins", "list", "--json").document["plugins"]]
    assert [True, False, False, False, False, False] == enabled


def test_of_two_installs_at_once_one_is_refused(project: Path, write_plugin: Command, run: Command) -> None:
    source = write_plugin(project / "source")
    command = [*TESTMESH, "plugins", "install", str(source)]

    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(3)]

    assert [0, 1, 1] == sorted(process.wait(120) for process in processes)
    assert ["shop"] == [each["manifest"]["id"] for each in run("plugins", "list", "--json").document["plugins"]]
