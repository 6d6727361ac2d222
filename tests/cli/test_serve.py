"""``testmesh serve``: a thin command around the server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]

TESTMESH = [sys.executable, "-c", "from pytest_testmesh.cli import main; main()"]
WITHOUT_FASTAPI = "import sys; sys.modules['fastapi'] = None; from pytest_testmesh.cli import main; main()"


@pytest.fixture
def server(project: Path, write_plugin: Command) -> Iterator[subprocess.Popen[str]]:
    """A server of one disabled plugin on a port of its choice."""
    write_plugin(project / "plugins" / "shop")
    (project / "plugins" / ".testmesh.json").write_text('{"format": 1, "disabled": ["shop"]}')
    command = [*TESTMESH, "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def address(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    words = server.stdout.readline().split()
    assert ["Serving", "plugins", "at"] == words[:3]
    return words[3]


def test_it_serves_the_folder_that_the_other_commands_use(server: subprocess.Popen[str]) -> None:
    with urllib.request.urlopen(f"{address(server)}/api/v1/plugins", timeout=180) as answer:
        document = json.load(answer)

    assert ["shop"] == [each["manifest"]["id"] for each in document["plugins"]]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGHUP, 128 + signal.SIGHUP)],
)
def test_a_signal_ends_it_without_noise(server: subprocess.Popen[str], number: int, code: int) -> None:
    with urllib.request.urlopen(f"{address(server)}/api/v1/plugins", timeout=180):
        server.send_signal(number)
    _, err = server.communicate(timeout=180)

    assert (code, "") == (server.returncode, err)


def test_without_its_extra_it_says_what_to_install(project: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_FASTAPI, "serve"], capture_output=True, text=True, timeout=180)

    assert (1, "") == (done.returncode, done.stdout)
    assert "Error: testmesh serve needs fastapi\nhint: pip install 'pytest-testmesh[server]'\n" == done.stderr


def test_other_machines_need_a_token(call: Command) -> None:
    ended = call("serve", "--host", "0.0.0.0", "--port", "0")

    assert 1 == ended.code
    assert "needs a token" in ended.err
    assert "--token" in ended.err
