"""The workbench of the acceptance tests: a folder with flows, actions that keep a journal, runs of pytest."""

from __future__ import annotations

import http.server
import importlib
import json
import os
import pkgutil
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

import pytest_testmesh

ACTIONS = '''
"""Actions that write down each call, and fixtures that write down when they come and go."""

import json
import pathlib
import time

import pytest

from pytest_testmesh.errors import ActionConfigError, ActionError, ActionTimeoutError, TargetUnavailableError

JOURNAL = pathlib.Path(__file__).with_name("journal.jsonl")
FAULTS = {
    "broken": lambda: ActionError("the order is broken", code="BROKEN"),
    "bug": lambda: ZeroDivisionError("a bug in the action"),
    "config": lambda: ActionConfigError("this config cannot work"),
    "refused": lambda: TargetUnavailableError("connection refused"),
    "timeout": lambda: ActionTimeoutError("no answer"),
}


def write(entry):
    with JOURNAL.open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(entry) + "\\n")


def calls(entry):
    return JOURNAL.read_text(encoding="utf-8").splitlines().count(json.dumps(entry))


def note(config, context):
    write(config.get("say"))
    return dict(config)


def script(config, context):
    """Give the answer of each call in turn, the last one for ever; a word is the fault to raise."""
    write(config["say"])
    answer = config["answers"][min(calls(config["say"]), len(config["answers"])) - 1]
    if isinstance(answer, str):
        raise FAULTS[answer]()
    return answer


def sleep(config, context):
    write(config["say"])
    time.sleep(config["seconds"])
    return {}


def shout(config, context):
    write(config["say"])
    print(config["say"])
    return {"said": config["say"]}


@pytest.hookimpl(optionalhook=True)
def pytest_testmesh_actions(registry):
    count = {
        "type": "object",
        "properties": {"say": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["say", "count"],
        "additionalProperties": False,
    }
    registry.add("t.note", note)
    registry.add("t.count", note, schema=count)
    registry.add("t.script", script)
    registry.add("t.sleep", sleep)
    registry.add("t.shout", shout)


@pytest.fixture
def house():
    """A fixture that a flow stands in."""
    write("fixture up")
    yield {"rooms": 3, "address": {"street": "Main"}}
    write("fixture down")
'''

PLUGIN = '''
"""A plugin with the action ``<id>.hello``, written from the protocol."""

import json, os, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

NAME = os.environ["PLUGIN_ID"]
# at start


class Handler(BaseHTTPRequestHandler):
    def answer(self, data, raw=None):
        body = json.dumps(data).encode() if raw is None else raw
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/health":
            self.answer({"status": "healthy"})
        else:
            self.answer({"id": NAME, "name": NAME, "version": "1.0.0", "actions": [{"id": NAME + ".hello"}]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/shutdown":
            self.answer({"message": "bye"})
            os._exit(0)
        # at execute
        self.answer({"success": True, "output": {"greeting": "hi", "asked": json.loads(body)}})

    def log_message(self, *args):
        pass


HTTPServer(("127.0.0.1", int(os.environ["PLUGIN_PORT"])), Handler).serve_forever()
'''


@dataclass(kw_only=True)
class Run:
    """One finished run of pytest; *reports* only of a run in this process."""

    exit_code: int
    text: str
    errors: str = ""
    reports: Sequence[pytest.TestReport] = field(default_factory=tuple)

    @property
    def outcomes(self) -> dict[str, int]:
        """The counts of pytest's last line, without those about the selection."""
        counts = pytest.RunResult.parse_summary_nouns(self.text.splitlines())
        return {noun: count for noun, count in counts.items() if noun not in ("deselected", "selected")}

    @property
    def problems(self) -> list[pytest.TestReport]:
        """The reports of what failed, in any phase."""
        return [report for report in self.reports if report.failed]

    @property
    def problem(self) -> str:
        """The text of the only failing report."""
        (report,) = self.problems
        return report.longreprtext

    @property
    def cause(self) -> str:
        """The first line of the only failing report."""
        return self.problem.splitlines()[0]

    @property
    def continued(self) -> bool:
        """Whether the summary counts exactly one step that failed while its flow went on."""
        return re.search(r"(?m)\b1\b.*failed, continued|failed, continued.*\b1\b", self.text) is not None


def place(cause: str) -> tuple[str, int, str]:
    """Cut the first line of a failure into file name, line and the rest."""
    match = re.match(r"(?:\S*/)?([^/:]+):(\d+)(?::\d+)?: (.+)", cause)
    assert match is not None, f"no 'file:line: ' at the start of {cause!r}"
    return match[1], int(match[2]), match[3]


INTERNALS = re.compile(r"_pytest[./]|pluggy[/.]|site-packages|Traceback|INTERNALERROR|pytest_testmesh/")


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    """Return when *holds*; fail the test when it never does."""
    end = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.02)


class Workbench:
    """A folder in which flows are written and run."""

    shows_internals = staticmethod(INTERNALS.search)

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path

    def file(self, name: str, text: str | bytes) -> Path:
        """Write a file; the common indentation of a text goes."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = text if isinstance(text, bytes) else textwrap.dedent(text).encode()
        path.write_bytes(content)
        return path

    def flow(self, name: str, body: str) -> Path:
        """Write ``<name>.yaml``: a flow named like the file's stem, with *body* under it."""
        head = f"flow:\n  name: {Path(name).name}\n"
        return self.file(f"{name}.yaml", head + textwrap.indent(textwrap.dedent(body).lstrip("\n"), "  "))

    def plugin(self, name: str, *, at_start: str = "", at_execute: str = "", **manifest: object) -> Path:
        """Write ``plugins/<name>``: a manifest and a Python server that offers ``<name>.hello``."""
        entries = {"id": name, "name": name, "version": "1.0.0", "type": "action", "entry_point": "server.py"}
        self.file(f"plugins/{name}/manifest.json", json.dumps({**entries, **manifest}))
        server = PLUGIN.replace("# at start", at_start).replace("# at execute", at_execute)
        return self.file(f"plugins/{name}/server.py", server)

    def line(self, name: str, needle: str) -> int:
        """The number of the first line that holds *needle*."""
        lines = (self.path / name).read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, 1) if needle in line)

    @property
    def journal(self) -> list[Any]:
        """What the actions and fixtures wrote down, in order."""
        path = self.path / "journal.jsonl"
        if not path.exists():
            return []
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")  # somebody may write it right now
        return [json.loads(line) for line in whole.splitlines()]

    def forget(self) -> None:
        """Empty the journal."""
        (self.path / "journal.jsonl").unlink(missing_ok=True)

    def run(self, *args: str, cache: bool = False) -> Run:
        """Run pytest in this process, with every warning an error."""
        done = self.pytester.runpytest_inprocess(*_base_args(cache), *args)
        reports = done.reprec.getreports("pytest_runtest_logreport")  # type: ignore[attr-defined]
        return Run(exit_code=int(done.ret), text=str(done.stdout), errors=str(done.stderr), reports=reports)

    def run_apart(self, *args: str, env: dict[str, str] | None = None, base: bool = True) -> Run:
        """Run pytest in a process of its own."""
        return self.finish(self.start(*args, env=env, base=base))

    def start(self, *args: str, env: dict[str, str] | None = None, base: bool = True) -> subprocess.Popen[str]:
        """Start pytest in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *(_base_args(False) if base else ()), *args],
            cwd=self.path,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str], timeout_s: float = 120) -> Run:
        """Wait for a started pytest; one that hangs is killed and fails the test."""
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"pytest hung for {timeout_s:g} s:\n{out}\n{err}")
        return Run(exit_code=process.returncode, text=out, errors=err)

    place = staticmethod(place)
    wait_until = staticmethod(wait_until)

    @staticmethod
    def assert_says(pattern: str, text: str) -> None:
        """Fail unless *pattern*, in any case, is found in *text*."""
        assert re.search(pattern, text, re.IGNORECASE) is not None, f"{pattern!r} is not in {text!r}"

    def wait_for_entry(self, entry: Any, timeout_s: float = 60) -> None:
        """Return when *entry* stands in the journal."""
        wait_until(lambda: entry in self.journal, f"{entry!r} in the journal", timeout_s)


def _base_args(cache: bool) -> tuple[str, ...]:
    return ("-p", "no:randomly", "-W", "error", *(() if cache else ("-p", "no:cacheprovider")))


@pytest.fixture(scope="session", autouse=True)
def warm_modules() -> None:
    """Import what is installed once: pytester drops what a run in this process was the first to import."""
    for module in pkgutil.walk_packages(pytest_testmesh.__path__, "pytest_testmesh."):
        with suppress(ImportError):  # an extra is not installed; what is broken fails the tests that use it
            importlib.import_module(module.name)
    for library in ("jsonpath", "jsonschema", "referencing", "requests", "yaml"):
        importlib.import_module(library)


@pytest.fixture
def mesh(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A workbench whose ``conftest.py`` offers the ``t.*`` actions and the fixture ``house``."""
    monkeypatch.setenv("COLUMNS", "400")
    for name in ("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS", "PLUGINS_DIR"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeconftest(ACTIONS)
    return Workbench(pytester)


@pytest.fixture
def no_process_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail when a process that was started during the test outlives it, child or not."""
    token = uuid.uuid4().hex
    monkeypatch.setenv("TESTMESH_ACCEPTANCE_TOKEN", token)
    children = set(psutil.Process().children(recursive=True))
    yield

    def left() -> list[psutil.Process]:
        mine = {p for p in psutil.Process().children(recursive=True) if p not in children}
        mine.update(p for p in psutil.process_iter() if _environment(p).get("TESTMESH_ACCEPTANCE_TOKEN") == token)
        return [p for p in mine if _lives(p)]

    try:
        wait_until(lambda: not left(), f"the end of {left()}")
    finally:
        for process in left():
            with suppress(psutil.NoSuchProcess):
                process.kill()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answer ``/slow-once`` late the first time, ``/hang`` never, and any other path with its JSON."""

    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        """Answer."""
        self.server.requests.append(f"{self.command} {self.path}")
        first = self.server.requests.count(f"{self.command} {self.path}") == 1
        if self.path == "/hang" or (self.path == "/slow-once" and first):
            self.server.closing.wait(600)
            self.close_connection = True
            return
        self._answer()

    def do_POST(self) -> None:
        """Read the body, then answer."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def _answer(self) -> None:
        body = json.dumps({"path": self.path, "state": "NEW", "total": 25}).encode()
        self.send_response(201 if self.command == "POST" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Site(http.server.ThreadingHTTPServer):
    """A small HTTP service that counts what it received."""

    daemon_threads = True

    def __init__(self, *, listens: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.server_bind()
        if listens:
            self.server_activate()
        self.requests: list[str] = []
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nothing listens on, nor can while the test runs: it is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def site() -> Iterator[Site]:
    """A running :class:`Site`."""
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def late_site() -> Iterator[str]:
    """The URL of a :class:`Site` that starts to listen half a second later."""
    site = Site(listens=False)

    def serve() -> None:
        site.server_activate()
        site.serve_forever(poll_interval=0.05)

    timer = threading.Timer(0.5, serve)
    timer.start()
    yield site.url
    site.shutdown()
    timer.join()
    site.server_close()
