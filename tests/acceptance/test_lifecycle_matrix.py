"""Nothing that a plugin started outlives pytest: each way to end a run, each kind of plugin, with and without xdist."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Workbench

MISBEHAVING = Path(__file__).parents[1] / "external" / "misbehaving.py"
RUNS_AT_ONCE = 4
GONE_WITHIN_S = 30.0

DETACHING = """
const fs = require('fs');
const http = require('http');
const { spawn } = require('child_process');

// Id, process group and session: both processes lead their own.
const note = (pid) => fs.appendFileSync('processes', `${pid} ${pid} ${pid}\\n`);

note(process.pid);
http.createServer((request, response) => {
  if (request.url === '/execute') {
    const child = spawn('sleep', ['300'], { detached: true, stdio: 'ignore' });
    child.unref();
    note(child.pid);
  }
  const answers = {
    '/health': { status: 'healthy' },
    '/info': { id: 'node-detaches', actions: [{ id: 'node-detaches.run' }] },
    '/execute': { success: true },
  };
  response.end(JSON.stringify(answers[request.url] || {}));
  if (request.url === '/shutdown') process.exit(0);
}).listen(parseInt(process.env.PLUGIN_PORT), '127.0.0.1');
"""

CONFTEST = '''
"""The action that ends a run."""

import json
import os
import pathlib
import signal
import time

import psutil
import pytest

from pytest_testmesh import session
from pytest_testmesh.external.lifecycle import Limits
from pytest_testmesh.external.pool import ExternalPlugins

HERE = pathlib.Path(__file__).parent
JOURNAL = HERE.parent / "journal.jsonl"


def pytest_configure(config):
    limits = Limits(start_s=200, shutdown_s=GRACE_S)
    config.stash[session._EXTERNAL] = ExternalPlugins(session.plugins_dir(config), limits=limits)


def write(entry):
    with JOURNAL.open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(entry) + "\\n")


def pytest_testmesh_actions(registry):
    registry.add("run.end", end)


def end(config, context):
    """Write down which children this process has; end once all flows of the run have come as far."""
    children = [process.pid for process in psutil.Process().children()]
    (HERE / f"{config['flow']}.json").write_text(json.dumps([os.getpid(), children]))
    write([HERE.name, config["flow"]])
    while not all(json.dumps([HERE.name, flow]) in JOURNAL.read_text().splitlines() for flow in config["flows"]):
        time.sleep(0.02)
    WAYS[config["way"]]()
    return {}


WAYS = {
    "pass": lambda: None,
    "fail": lambda: pytest.fail("the end of this run"),
    "wait": lambda: time.sleep(600),
    "exit": lambda: os._exit(3),
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
}
'''


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of plugin, and how many processes one of them has."""

    plugin_id: str
    name: str
    size: int = 1

    @property
    def entry_point(self) -> str:
        return "server.js" if self.plugin_id.startswith("node") else "server.py"


KINDS = [
    Kind("behaves", "answers shutdown"),
    Kind("goes-on-after-shutdown", "ignores shutdown"),
    Kind("ignores-shutdown", "traps SIGTERM"),
    Kind("forks", "forks", 2),
    Kind("detaches", "detaches", 2),
    Kind("forgets", "own environment", 2),
    Kind("node-detaches", "Node detaches", 2),
    Kind("stops", "SIGSTOPped"),
]


@dataclass(frozen=True, slots=True)
class Noted:
    """A process that was written down while it ran."""

    pid: int
    group: int
    session: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a run ends: what flow *a* does last, and flow *b* in another worker; *strike* comes from outside."""

    name: str
    ends: tuple[str, str] = ("wait", "wait")
    strike: Callable[[Suite], None] | None = None
    args: tuple[str, ...] = ()
    mark: str = ""
    grace_s: float = 5.0
    """How long plugins may take to end after ``/shutdown``."""
    exit_codes: tuple[int, int] = (2, 2)
    """Without xdist, and with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How many processes there were, how many there must be at least, and which were left.

    One that found its port taken is started again with another.
    """

    noted: int
    expected: int
    left: list[int]

    def __str__(self) -> str:
        verdict = f"{len(self.left)} of {self.noted} left"
        return verdict if self.noted >= self.expected else f"{verdict}, not {self.expected}"

    @property
    def good(self) -> bool:
        return not self.left and self.noted >= self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of one way to end a run; *cells* are by kind of plugin, with the reapers and pytest itself last."""

    way: Way
    exit_code: int
    cells: Mapping[str, Cell]
    output: str

    def problems(self, workers: int) -> Iterator[str]:
        """Say what is wrong: each cell is judged on its own."""
        for column, cell in self.cells.items():
            if not cell.good:
                yield f"{self.way.name}: {column}: {cell}: {cell.left}\n{self.output}"
        expected = self.way.exit_codes[bool(workers)]
        if self.exit_code != expected:
            yield f"{self.way.name}: exit code {self.exit_code}, not {expected}\n{self.output}"


class Suite:
    """One run: flows that use every kind of plugin, one for each worker, and then end in their way."""

    def __init__(self, mesh: Workbench, way: Way, workers: int, kinds: Iterable[Kind]) -> None:
        self.mesh = mesh
        self.way = way
        self.workers = workers
        self.kinds = tuple(kinds)
        self.flows = "ab" if workers else "a"
        self.name = way.name.replace(" ", "_")
        self.path = mesh.path / self.name

    def write(self) -> None:
        self.mesh.file(f"{self.name}/pytest.ini", "[pytest]\n")
        self.mesh.file(f"{self.name}/conftest.py", CONFTEST.replace("GRACE_S", str(self.way.grace_s)))
        for kind in self.kinds:
            folder = f"{self.name}/plugins/{kind.plugin_id}"
            manifest = {"id": kind.plugin_id, "name": kind.name, "version": "1.0.0", "entry_point": kind.entry_point}
            self.mesh.file(f"{folder}/manifest.json", json.dumps({**manifest, "type": "action"}))
            code = DETACHING if kind.entry_point.endswith(".js") else MISBEHAVING.read_bytes()
            self.mesh.file(f"{folder}/{kind.entry_point}", code)
        for flow, end in zip(self.flows, self.way.ends, strict=False):
            calls = [f"  - action: {kind.plugin_id}.run" for kind in self.kinds]
            config = json.dumps({"flow": flow, "flows": list(self.flows), "way": end})
            steps = f"steps: [{{action: run.end, config: {config}}}]"
            self.mesh.flow(f"{self.name}/{flow}", "\n".join([self.way.mark, "setup:", *calls, steps]))

    def run(self) -> Row:
        """Run it to its end, and see what it left."""
        self.write()
        self.process = self.mesh.start(*(["-n", str(self.workers)] if self.workers else []), *self.way.args, self.name)
        if self.way.strike is not None:
            self._wait_until_all_is_up()
            self.way.strike(self)
        done = self.mesh.finish(self.process, 300)
        noted = self._noted()
        left = left_over(noted, GONE_WITHIN_S)
        for pid in {pid for pids in left.values() for pid in pids}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        cells = {
            name: Cell(noted=len(each), expected=self._expected(name), left=left[name]) for name, each in noted.items()
        }
        return Row(way=self.way, exit_code=done.exit_code, cells=cells, output=done.text + done.errors)

    def _wait_until_all_is_up(self, within_s: float = 240) -> None:
        until = time.monotonic() + within_s
        while not all([self.name, flow] in self.mesh.journal for flow in self.flows):
            if self.process.poll() is not None or time.monotonic() > until:
                self.process.kill()
                pytest.fail(f"{self.way.name}: the run did not come as far as its end:\n{self.process.communicate()}")
            time.sleep(0.05)

    def worker(self, flow: str) -> tuple[int, list[int]]:
        """Return the id of the process that runs the flow, and those of its children."""
        pid, children = json.loads((self.path / f"{flow}.json").read_text(encoding="utf-8"))
        return pid, children

    def plugin_processes(self, plugin_id: str) -> list[Noted]:
        path = self.path / "plugins" / plugin_id / "processes"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [Noted(*map(int, line.split())) for line in lines]

    def _noted(self) -> dict[str, list[Noted]]:
        noted = {kind.name: self.plugin_processes(kind.plugin_id) for kind in self.kinds}
        plugins = {each.pid for processes in noted.values() for each in processes}
        workers = [self.worker(flow) for flow in self.flows if (self.path / f"{flow}.json").exists()]
        reapers = [child for _, children in workers for child in children if child not in plugins]
        noted["reaper"] = [Noted(pid, pid, pid) for pid in reapers]
        noted["pytest"] = [Noted(pid, self.process.pid, self.process.pid) for pid, _ in workers]
        return noted

    def _expected(self, column: str) -> int:
        size = next((kind.size for kind in self.kinds if kind.name == column), 1)
        return size * len(self.flows)


def living() -> Iterator[Noted]:
    """All processes of this machine; a zombie only waits to be reaped."""
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                yield Noted(process.pid, os.getpgid(process.pid), os.getsid(process.pid))
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue


def left_over(noted: Mapping[str, list[Noted]], within_s: float) -> dict[str, list[int]]:
    """Return who of *noted*, or in a process group or session of theirs, still lives after *within_s*."""
    until = time.monotonic() + within_s
    while True:
        now = list(living())
        left = {name: [each.pid for each in now if belongs(each, those)] for name, those in noted.items()}
        if not any(left.values()) or time.monotonic() > until:
            return left
        time.sleep(0.05)


def belongs(process: Noted, those: Iterable[Noted]) -> bool:
    return any(
        process.pid == each.pid or process.group == each.group or process.session == each.session for each in those
    )


def signal_pytest(number: signal.Signals) -> Callable[[Suite], None]:
    return lambda suite: suite.process.send_signal(number)


def signal_group(number: signal.Signals) -> Callable[[Suite], None]:
    return lambda suite: os.killpg(suite.process.pid, number)


def signal_worker(number: signal.Signals) -> Callable[[Suite], None]:
    return lambda suite: os.kill(suite.worker("a")[0], number)


def interrupt_twice(suite: Suite) -> None:
    """Send a second Ctrl-C while plugins are given time to end: one that behaves has ended, others have not."""
    behaving = [psutil.Process(each.pid) for each in suite.plugin_processes("behaves")]
    suite.process.send_signal(signal.SIGINT)
    psutil.wait_procs(behaving, timeout=100)
    suite.process.send_signal(signal.SIGINT)


def timeout_mark(method: str) -> str:
    """Return a mark that gives the steps 3 s, and the setup with start and calls of the plugins any time it needs."""
    return f"marks: [{{timeout: {{timeout: 3, method: {method}, func_only: true}}}}]"


ALONE_AND_XDIST = [
    Way(name="normal end", ends=("pass", "pass"), exit_codes=(0, 0)),
    Way(name="failing test, -x", ends=("fail", "fail"), args=("-x",), exit_codes=(1, 2)),
    Way(name="Ctrl-C to the group", strike=signal_group(signal.SIGINT)),
    Way(name="Ctrl-C to pytest only", strike=signal_pytest(signal.SIGINT)),
    Way(name="Ctrl-C, then another", strike=interrupt_twice, grace_s=120, exit_codes=(-2, -2)),
    Way(name="SIGTERM to pytest", strike=signal_pytest(signal.SIGTERM), exit_codes=(2, -15)),
    Way(name="SIGHUP to the group", strike=signal_group(signal.SIGHUP), exit_codes=(-1, -1)),
    Way(name="SIGKILL of pytest", strike=signal_pytest(signal.SIGKILL), exit_codes=(-9, -9)),
    Way(name="os._exit in a test", ends=("exit", "exit"), exit_codes=(3, 1)),
    Way(name="segmentation fault", ends=("crash", "crash"), exit_codes=(-11, 1)),
    Way(name="pytest-timeout, signal", mark=timeout_mark("signal"), exit_codes=(1, 1)),
    Way(name="pytest-timeout, thread", mark=timeout_mark("thread"), exit_codes=(1, 1)),
]
OF_ONE_WORKER = [
    Way(name="SIGKILL of one worker", ends=("wait", "pass"), strike=signal_worker(signal.SIGKILL), exit_codes=(1, 1)),
    Way(name="SIGTERM to one worker", ends=("wait", "pass"), strike=signal_worker(signal.SIGTERM)),
    Way(name="os._exit in one worker", ends=("exit", "pass"), exit_codes=(1, 1)),
    Way(name="crash of one worker", ends=("crash", "pass"), exit_codes=(1, 1)),
]


@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize(
    ("workers", "ways"),
    [(0, ALONE_AND_XDIST), (2, ALONE_AND_XDIST + OF_ONE_WORKER)],
    ids=["alone", "xdist"],
)
def test_no_process_outlives_a_run(
    mesh: Workbench, capsys: pytest.CaptureFixture[str], workers: int, ways: list[Way]
) -> None:
    pytest.importorskip("pytest_timeout")
    pytest.importorskip("xdist")
    kinds = [kind for kind in KINDS if kind.entry_point != "server.js" or shutil.which("node")]
    suites = [Suite(mesh, way, workers, kinds) for way in ways]

    with ThreadPoolExecutor(RUNS_AT_ONCE) as executor:
        rows = list(executor.map(Suite.run, suites))

    with capsys.disabled():
        sys.stdout.write(table("with xdist, 2 workers" if workers else "without xdist", rows))
    assert [] == [problem for row in rows for problem in row.problems(workers)]


def table(title: str, rows: Sequence[Row]) -> str:
    lines = [[title, *rows[0].cells, "exit code"]]
    lines += [[row.way.name, *map(str, row.cells.values()), str(row.exit_code)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n" + "\n".join(["", *texts, ""])
