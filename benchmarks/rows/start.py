"""Starting plugins in a pytest session against starting the same ones bare, side by side."""

from __future__ import annotations

import json
from pathlib import Path

from harness import Figure, Pairs, make_suite, measure_pairs, milliseconds, run_pytest, run_python

from rows.plugin import FLOW, MANIFEST, PLUGIN

WHAT = "start of 1, 4 and 8 plugins until all are healthy, beyond the same ones bare and side by side: the worst"
UNIT = "ms"
TARGET = 50.0

COUNTS = (1, 4, 8)

# The fixture starts the plugins that the selected flows use, and everything of ours that this needs is loaded by it.
CONFTEST = """
import json
import pathlib
import time

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    started = time.perf_counter()
    try:
        return (yield)
    finally:
        if fixturedef.argname == "testmesh_plugins":
            pathlib.Path("spent.json").write_text(json.dumps(time.perf_counter() - started))
"""

# The same processes, the same question with the same pauses between, a thread for each; nothing is watched, and what
# is imported does not count. Sessions of their own, since Linux shares a busy processor out by session.
BARE = """
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time


def start(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {**os.environ, "PLUGIN_PORT": str(port), "PLUGIN_ID": folder.name}
    command = [sys.executable, "server.py"]
    process = subprocess.Popen(command, cwd=folder, env=environ, start_new_session=True)
    processes.append(process)
    pause_s = 0.005
    while not is_healthy(port):
        if process.poll() is not None:
            return start(folder)  # its port was taken meanwhile
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.2, 0.1)


def is_healthy(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", "/health")
        return json.loads(connection.getresponse().read())["status"] == "healthy"
    except ConnectionRefusedError:
        return False
    finally:
        connection.close()


processes = []
folders = list(pathlib.Path("plugins").iterdir())
started = time.perf_counter()
threads = [threading.Thread(target=start, args=[folder]) for folder in folders]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
pathlib.Path("spent.json").write_text(json.dumps(time.perf_counter() - started))
for process in processes:
    process.kill()
    process.wait()
"""


def measure(folder: Path, quick: bool) -> Figure:
    """Time the start alone, each in a process of its own, so that nothing is loaded or warm but the files' cache."""
    measured = {count: _measure_start(folder / str(count), count, repeats=3 if quick else 15) for count in COUNTS}
    worst = max(measured.values(), key=lambda pairs: pairs.difference(1000).value)
    return worst.difference(1000, **{_named(count): _told(pairs) for count, pairs in measured.items()})


def _measure_start(folder: Path, count: int, repeats: int) -> Pairs:
    suite = make_suite(folder, {"conftest.py": CONFTEST, "bare.py": BARE, **_plugins(count)})

    def theirs() -> float:
        run_python("bare.py", folder=suite)
        return _spent(suite)

    def ours() -> float:
        run_pytest(suite, "-p", "no:cacheprovider", "flows")
        return _spent(suite)

    return measure_pairs(theirs, ours, count=repeats)


def _plugins(count: int) -> dict[str, str]:
    """Return the files of so many plugins, and of a flow that uses each of them once."""
    names = [f"greeter{number}" for number in range(count)]
    steps = [f"    - action: {name}.greet\n      config: {{name: Ann}}\n" for name in names]
    files = {"flows/all.yaml": FLOW.format(name="all") + "".join(steps)}
    for name in names:
        files[f"plugins/{name}/manifest.json"] = json.dumps({**MANIFEST, "id": name})
        files[f"plugins/{name}/server.py"] = PLUGIN.replace("greeter", name)
    return files


def _spent(suite: Path) -> float:
    seconds: float = json.loads((suite / "spent.json").read_text(encoding="utf-8"))
    return seconds


def _named(count: int) -> str:
    return "1_plugin" if count == 1 else f"{count}_plugins"


def _told(pairs: Pairs) -> str:
    bare_s, ours_s = pairs.medians()
    added = pairs.difference(1000)
    return (
        f"{milliseconds(bare_s)} bare, {milliseconds(ours_s)} in a session ({added.value:+.0f} ms, "
        f"from {added.spread[0]:+.0f} to {added.spread[1]:+.0f})"
    )
