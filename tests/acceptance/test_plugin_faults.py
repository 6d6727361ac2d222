"""One run over flows whose plugins each do one thing wrong: the first line of each report, and what is left."""

from __future__ import annotations

import json
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Workbench

MISBEHAVING = Path(__file__).parents[1] / "external" / "misbehaving.py"

CONFTEST = '''
"""Shorter limits, and a file of what pytest reports."""

import json
import pathlib
import re

from pytest_testmesh import session
from pytest_testmesh.external.lifecycle import Limits
from pytest_testmesh.external.pool import ExternalPlugins

REPORTS = pathlib.Path(__file__).with_name("reports.jsonl")
STATUS = pathlib.Path("/proc/self/status")


def pytest_configure(config):
    limits = Limits(start_s=START_S, shutdown_s=1, answer_bytes=1_000_000)
    config.stash[session._EXTERNAL] = ExternalPlugins(session.plugins_dir(config), limits=limits)


def pytest_runtest_logreport(report):
    if report.when == "call" or report.failed:
        facts = [report.location[2], report.outcome, report.when, report.longreprtext, dict(report.sections)]
        with REPORTS.open("a") as file:
            file.write(json.dumps(facts) + "\\n")


def pytest_unconfigure():
    if STATUS.exists():
        peak = re.search(r"VmHWM:\\s+(\\d+) kB", STATUS.read_text())[1]
        REPORTS.with_name("peak_kib").write_text(peak)
'''

AT_THE_LIMIT = {
    "never-listens": "plugin {id} did not listen on 127.0.0.1:PORT within the start limit of 15s: thinking",
    "listens-elsewhere": "plugin {id} did not listen on 127.0.0.1:PORT within the start limit of 15s",
    "health-starting": "plugin {id} did not become healthy within the start limit of 15s: GET /health: status is "
    "'starting', not \"healthy\"",
    "health-500": "plugin {id} did not become healthy within the start limit of 15s: GET /health: HTTP 500: "
    "<h1>oops</h1>",
    "health-hangs": "plugin {id} did not become healthy within the start limit of 15s: GET /health: no answer",
    "health-drops": "plugin {id} did not become healthy within the start limit of 15s: GET /health: it closed the "
    "connection without an answer",
    "info-hangs": "plugin {id} did not answer GET /info within the start limit of 15s",
}
"""First lines of those that are only told when the time to start is over."""

AT_START = {
    "exits-at-once": "plugin {id} exited with code 3 before it was healthy: RuntimeError: no database",
    "exits-cleanly": "plugin {id} exited with code 0 before it was healthy",
    "exits-after-health": "plugin {id} exited with code 0 while it ran GET /info",
    "goes-to-the-background": "plugin {id} exited with code 0 before it was healthy",
    "killed-at-start": "plugin {id} was killed by SIGKILL before it was healthy",
    "starting-then-exits": "plugin {id} exited with code 3 before it was healthy: RuntimeError: migration failed",
    "info-404": 'plugin {id}: GET /info: HTTP 404: {{"error": "not found"}}',
    "info-not-json": "plugin {id}: GET /info: the answer is not JSON: <html>",
    "info-action-text": 'plugin {id}: GET /info: actions[0] is a text, not an object: {{"id": "{id}", "actions": '
    '["run"]}}',
    "info-dies": "plugin {id} exited with code 7 while it ran GET /info: ValueError: out of luck",
}

BEFORE_A_STEP = {**AT_THE_LIMIT, **AT_START}
"""First lines without file and line; each process ends or is ended before a step of the flow runs."""

IN_THE_FIRST_STEP = {
    # the protocol's own failures
    "fails": "NO_STOCK: nothing left",
    "fails-with-500": "NO_STOCK: nothing left",
    "fails-without-error": 'plugin {id}: POST /execute of {id}.run: "success" is false, but there is no "error" with '
    'a code and a message: {{"success": false, "output": {{}}}}',
    "error-in-lines": "A B: one two three",
    "error-escapes": "RED: \\x1b[31mred\\x1b[2J \\x00 \\x07 \\ud800",
    "error-huge": "BIG: xxx...",
    # JSON of another shape
    "no-success": 'plugin {id}: POST /execute of {id}.run: the answer has no "success": {{"output": {{}}}}',
    "success-text": 'plugin {id}: POST /execute of {id}.run: "success" is a text, not true or false: {{"success": '
    '"yes"}}',
    "output-list": "plugin {id}: POST /execute of {id}.run: output is a list, not an object: "
    '{{"success": true, "output": [1]}}',
    "logs-texts": "plugin {id}: POST /execute of {id}.run: logs[0] is a text, not an object: "
    '{{"success": true, "logs": ["hello"]}}',
    "log-level-number": "plugin {id}: POST /execute of {id}.run: logs[0].level is a number, not a text: "
    '{{"success": true, "output": {{"ok": true}}, "logs": [{{"level": 5, "message": "x"}}]}}',
    "metrics-number": "plugin {id}: POST /execute of {id}.run: metrics is a number, not an object: "
    '{{"success": true, "metrics": 5}}',
    "answer-null": "plugin {id}: POST /execute of {id}.run: the answer is null, not an object: null",
    "answer-list": "plugin {id}: POST /execute of {id}.run: the answer is a list, not an object: [1, 2]",
    # no JSON
    "answer-empty": "plugin {id}: POST /execute of {id}.run: the answer is not JSON: an empty body",
    "answer-text": "plugin {id}: POST /execute of {id}.run: the answer is not JSON: it worked",
    "answer-nan": 'plugin {id}: POST /execute of {id}.run: the answer is not JSON: {{"success": true, "output": '
    '{{"x": NaN}}}}',
    "answer-infinite": 'plugin {id}: POST /execute of {id}.run: the answer is not JSON: {{"success": true, "output": '
    '{{"x": 1e400}}}}',
    "answer-deep": "plugin {id}: POST /execute of {id}.run: the answer is not JSON: [[[[[[...",
    "answer-latin-1": 'plugin {id}: POST /execute of {id}.run: the answer is not JSON: {{"success": true, "output": '
    '{{"x": "\\xe9"}}}}',
    "answer-huge-number": 'plugin {id}: POST /execute of {id}.run: the answer is not JSON: {{"success": true, '
    '"output": {{"x": 1000...',
    "no-content": "plugin {id}: POST /execute of {id}.run: the answer is not JSON: an empty body",
    # another HTTP status
    "http-500": "plugin {id}: POST /execute of {id}.run: HTTP 500: <h1>oops</h1>",
    "http-404": 'plugin {id}: POST /execute of {id}.run: HTTP 404: {{"error": "not found"}}',
    "redirect": "plugin {id}: POST /execute of {id}.run: HTTP 302, a redirect to http://127.0.0.1:9/",
    "switches-protocols": "plugin {id}: POST /execute of {id}.run: HTTP 101",
    "early-hints": "plugin {id}: POST /execute of {id}.run: HTTP 103",
    # no HTTP
    "not-http": "plugin {id}: POST /execute: the answer is not HTTP: BadStatusLine: SSH-2.0-OpenSSH_9.2",
    "many-headers": "plugin {id}: POST /execute: the answer is not HTTP: HTTPException: got more than 100 headers",
    "long-header": "plugin {id}: POST /execute: the answer is not HTTP: LineTooLong: got more than 65536 bytes when "
    "reading header line",
    "endless-header": "plugin {id}: POST /execute: the answer is not HTTP: LineTooLong: got more than 65536 bytes "
    "when reading status line",
    "negative-length": "plugin {id}: POST /execute: the answer is not HTTP: its Content-Length is -1",
    "length-no-number": "plugin {id}: POST /execute: the answer is not HTTP: its Content-Length is many",
    "two-lengths": "plugin {id}: POST /execute: the answer is not HTTP: its Content-Length is 41 and 3",
    "bad-chunk-size": "plugin {id}: POST /execute: the answer is not HTTP: a chunk of it has no size",
    "gzipped": "plugin {id}: POST /execute: the answer is compressed (gzip), which was not asked for",
    # too much
    "announces-much": "plugin {id}: POST /execute: the answer is larger than 1000000 bytes",
    "answer-much": "plugin {id}: POST /execute: the answer is larger than 1000000 bytes",
    "endless": "plugin {id}: POST /execute: the answer is larger than 1000000 bytes",
    "endless-chunks": "plugin {id}: POST /execute: the answer is larger than 1000000 bytes",
    # too late
    "hangs": "plugin {id} did not answer {id}.run within the step's timeout of 1.00s",
    "drips-headers": "plugin {id} did not answer {id}.run within the step's timeout of 1.00s",
    "drips-body": "plugin {id} did not answer {id}.run within the step's timeout of 1.00s",
    "continues-for-ever": "plugin {id} did not answer {id}.run within the step's timeout of 1.00s",
    # its end
    "dies": "plugin {id} exited with code 7 while it ran {id}.run: ValueError: out of luck",
    "dies-of-bytes": "plugin {id} exited with code 1 while it ran {id}.run: Fatal error: caf\\xe9 \\xff is closed",
    "killed": "plugin {id} was killed by SIGKILL while it ran {id}.run",
    "leaves-children-and-dies": "plugin {id} exited with code 1 while it ran {id}.run",
    "drops": "plugin {id} dropped {id}.run, its process still runs: it closed the connection without an answer",
    "half-a-body": "plugin {id} dropped {id}.run, its process still runs: it closed the connection in the middle of "
    "its answer",
}

IN_THE_SECOND_STEP = {
    "counts-then-drops": "plugin {id} dropped {id}.run, its process still runs: it closed the connection without an "
    "answer",
    "stops-to-listen": "plugin {id} no longer listens on 127.0.0.1:PORT, so {id}.run cannot be run",
    "stops": "plugin {id} did not answer {id}.run within the step's timeout of 1.00s",
}

PASSES = {
    "behaves": {},
    "leaves-after-answer": {"log": "WARNING  plugin leaves-after-answer was started again: it exited with code 5"},
    "port-taken-once": {},
    "health-flaps": {},
    "listens-late": {},
    "child-on-its-port": {},
    "detached-child-on-its-port": {},
    "answers-twice": {},
    "longer-than-its-length": {},
    "closes-at-random": {},
    "always-closes": {},
    "odd-status": {},
    "answer-lone-surrogate": {"log": "INFO     \\ud800"},
    "fails-and-succeeds": {},
    "nulls": {},
    "closes-its-outputs": {},
    "prints-all-the-time": {},
    "prints-bytes": {"prints-bytes stdout": "caf\\xe9 \\xff\n"},
    "prints-very-much": {"prints-very-much stdout": "[199934475 bytes of earlier output left out]\nxxx"},
    "logs-many": {"log": "INFO     line 0\nINFO     line 1"},
    "ignores-shutdown": {},
    "shutdown-hangs": {},
    "leaves-children": {},
    "forks": {},
    "detaches": {},
}
"""Plugins that a flow gets along with, and what the sections of its last step begin with."""

RUNS = {
    "start limit of 15s": (15, [*AT_THE_LIMIT, "behaves"]),
    "time for all": (600, [*AT_START, *IN_THE_FIRST_STEP, *IN_THE_SECOND_STEP, *PASSES]),
}
"""Seconds in which each plugin must start, and the plugins; those that use up the time share it with few others."""
MOST_MIB = 150


def write_plugin(mesh: Workbench, behaviour: str) -> None:
    manifest = {"id": behaviour, "name": behaviour, "version": "1.0.0", "type": "action", "entry_point": "server.py"}
    mesh.file(f"plugins/{behaviour}/manifest.json", json.dumps(manifest))
    mesh.file(f"plugins/{behaviour}/server.py", MISBEHAVING.read_bytes())


def write_flow(mesh: Workbench, behaviour: str) -> None:
    """Write a flow of two calls; time enough for all that ends by itself."""
    timeouts = {"first": "2m", "second": "2m"}
    if "within the step's timeout of 1.00s" in expected_line(behaviour):
        timeouts["second" if behaviour in IN_THE_SECOND_STEP else "first"] = "1s"
    steps = [f"- {{id: {step}, action: {behaviour}.run, timeout: {each}}}" for step, each in timeouts.items()]
    mesh.flow(behaviour, "\n".join(["steps:", *steps]))


def expected_line(behaviour: str) -> str:
    """Return the first line of the report as it should be, empty where there is none."""
    message = (BEFORE_A_STEP | IN_THE_FIRST_STEP | IN_THE_SECOND_STEP).get(behaviour, "").format(id=behaviour)
    if behaviour in IN_THE_FIRST_STEP:
        return f'{behaviour}.yaml:4: step 1/2 "first" ({behaviour}.run) failed after TIME: {message}'
    if behaviour in IN_THE_SECOND_STEP:
        return f'{behaviour}.yaml:5: step 2/2 "second" ({behaviour}.run) failed after TIME: {message}'
    return f"{behaviour}.yaml:4: {message}" if message else ""


def comparable(line: str, expected: str) -> str:
    """Take out of *line* what differs from run to run, and cut it where *expected* ends in dots."""
    line = re.sub(r"failed after [\d.]+m?s", "failed after TIME", line)
    line = re.sub(r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:PORT", line)
    return f"{line[: len(expected) - 3]}..." if expected.endswith("...") else line


@dataclass(frozen=True, slots=True)
class Reported:
    """What pytest reported of one flow."""

    name: str
    outcome: str
    when: str
    text: str
    sections: Mapping[str, str]

    @property
    def first_line(self) -> str:
        return self.text.split("\n")[0]


def told_beside(name: str, report: Reported) -> dict[str, str]:
    """Return the logs and the expected output of the last step that has any, cut to the length that is expected."""
    texts = {
        re.sub(r"Captured (?:step )?(.+) call: step .+", r"\1", title): text for title, text in report.sections.items()
    }
    expected = PASSES[name]
    return {kind: text[: len(expected.get(kind, text))] for kind, text in texts.items() if kind in ("log", *expected)}


def peak_mib(mesh: Workbench) -> float:
    """Return how much memory pytest held at most; 0 where the system does not tell."""
    path = mesh.path / "peak_kib"
    return int(path.read_text(encoding="utf-8")) / 1024 if path.exists() else 0


def reports(mesh: Workbench) -> list[Reported]:
    return [Reported(*json.loads(line)) for line in (mesh.path / "reports.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize(("start_s", "behaviours"), RUNS.values(), ids=RUNS)
def test_every_fault_is_told_in_its_first_line_and_touches_no_other_flow(
    mesh: Workbench, start_s: int, behaviours: list[str]
) -> None:
    mesh.file("conftest.py", CONFTEST.replace("START_S", str(start_s)))
    for behaviour in behaviours:
        write_plugin(mesh, behaviour)
        write_flow(mesh, behaviour)

    run = mesh.finish(mesh.start(), 400)

    told = {report.name: report for report in reports(mesh)}
    assert run.exit_code == 1, run.text + run.errors
    assert set(behaviours) == set(told)
    lines = {name: (expected_line(name), told[name].first_line) for name in behaviours}
    assert {} == {name: pair for name, pair in lines.items() if pair[0] != comparable(pair[1], pair[0])}
    assert {name: (name not in BEFORE_A_STEP, name in PASSES) for name in behaviours} == {
        name: (report.when == "call", report.outcome == "passed") for name, report in told.items()
    }
    beside = {name: told_beside(name, told[name]) for name in behaviours if name in PASSES}
    assert {name: PASSES[name] for name in beside} == beside
    assert peak_mib(mesh) < MOST_MIB


def test_what_a_plugin_says_never_ends_a_run_with_xdist(mesh: Workbench) -> None:
    pytest.importorskip("xdist")
    for behaviour in ("answer-lone-surrogate", "error-escapes"):
        write_plugin(mesh, behaviour)
        write_flow(mesh, behaviour)

    run = mesh.finish(mesh.start("-n1", "--junitxml=junit.xml"))

    assert {"failed": 1, "passed": 1} == run.outcomes
    assert "failed after" in run.text
    assert r"RED: \x1b[31mred\x1b[2J \x00 \x07 \ud800" in run.text
    assert 2 == len(ET.parse(mesh.path / "junit.xml").findall(".//testcase"))


def test_a_plugin_that_exits_is_reported_at_once(mesh: Workbench) -> None:
    mesh.file("conftest.py", CONFTEST.replace("START_S", "600"))
    write_plugin(mesh, "exits-at-once")
    write_flow(mesh, "exits-at-once")
    began = time.monotonic()

    run = mesh.run()

    assert run.cause.endswith("exited with code 3 before it was healthy: RuntimeError: no database")
    assert time.monotonic() - began < 60


GO = """
import pathlib


def pytest_testmesh_actions(registry):
    registry.add("run.go", lambda config, context: pathlib.Path("go").touch())
"""


def test_a_flow_does_not_wait_for_a_plugin_that_only_another_flow_needs(mesh: Workbench) -> None:
    mesh.file("conftest.py", GO)
    mesh.plugin("held", at_start="while not os.path.exists('../../go'): time.sleep(0.01)")
    mesh.plugin("quick")
    mesh.flow("a_first", "steps: [{action: quick.hello}, {action: run.go}]")
    mesh.flow("b_second", "steps: [{action: held.hello}]")

    assert {"passed": 2} == mesh.run().outcomes


KILL = """
import psutil


def kill(config, context):
    process = psutil.Process(config["pid"])
    process.kill()
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        pass


def pytest_testmesh_actions(registry):
    registry.add("run.kill", kill)
"""


def test_a_plugin_killed_between_two_steps_is_started_again_once_and_the_report_says_so(mesh: Workbench) -> None:
    mesh.file("conftest.py", KILL)
    write_plugin(mesh, "echoes")
    mesh.flow(
        "unlucky",
        """
        steps:
          - {id: before, action: echoes.run}
          - {action: run.kill, config: {pid: "${before.pid}"}}
          - {id: after, action: echoes.run, assert: [pid != before.pid]}
          - {id: later, action: echoes.run, assert: [pid == after.pid]}
        """,
    )

    run = mesh.run()

    logs = [(title, text) for report in run.reports for title, text in report.sections if "step log" in title]
    assert {"passed": 1} == run.outcomes
    assert 2 == len((mesh.path / "plugins" / "echoes" / "processes").read_text().splitlines())
    assert [
        ("Captured step log call: step after", "WARNING  plugin echoes was started again: it was killed by SIGKILL")
    ] == logs
