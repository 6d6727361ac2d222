"""What the rows share: children that run pytest, a server in another process, measurements in pairs."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

SERVER = Path(__file__).with_name("server.py")

TIMER = '''
"""Writes down what each item took: all phases and reports by the clock and of the processor, and its call."""

import json
import pathlib
import time

import pytest

SPENT = {}
CALL = {}


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item):
    started = time.perf_counter()
    try:
        return (yield)
    finally:
        CALL[item.name] = time.perf_counter() - started


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    started, processor = time.perf_counter(), time.process_time()
    try:
        return (yield)
    finally:
        whole, processor = time.perf_counter() - started, time.process_time() - processor
        SPENT[item.name] = [whole, processor, CALL.get(item.name, 0.0)]


def pytest_unconfigure():
    pathlib.Path(__file__).with_name("spent.json").write_text(json.dumps(SPENT))
'''
"""A ``conftest.py``; `items_spent` reads what it wrote."""


class NotMeasured(Exception):
    """Why a row cannot be measured here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What one row measured; *detail* has a line of its own in the table for each entry."""

    value: float
    spread: tuple[float, float]
    detail: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Seconds of *theirs* and *ours*, measured in turn: what slows the machine for a while slows both."""

    measured: Sequence[tuple[float, float]]

    def ratio(self, **detail: str) -> Figure:
        """Return ours / theirs: the median of all pairs, with the smallest and the largest."""
        return figure([ours / theirs for theirs, ours in self.measured], **detail)

    def difference(self, factor: float, **detail: str) -> Figure:
        """Return (ours - theirs) x *factor*."""
        return figure([(ours - theirs) * factor for theirs, ours in self.measured], **detail)

    def medians(self) -> tuple[float, float]:
        """Return the median seconds of theirs and of ours."""
        theirs, ours = zip(*self.measured, strict=True)
        return statistics.median(theirs), statistics.median(ours)


def figure(values: Sequence[float], **detail: str) -> Figure:
    """Return the median of *values*; detail names are shown with spaces for underscores."""
    named = {name.replace("_", " "): text for name, text in detail.items()}
    return Figure(value=statistics.median(values), spread=(min(values), max(values)), detail=named)


def measure_pairs(theirs: Callable[[], float], ours: Callable[[], float], count: int) -> Pairs:
    """Measure each once to warm up (bytecode, file cache), then *count* times in turn."""
    theirs()
    ours()
    return Pairs([(theirs(), ours()) for _ in range(count)])


def make_suite(folder: Path, files: dict[str, str]) -> Path:
    """Write a folder of tests that is its own rootdir."""
    for name, text in {"pytest.ini": "[pytest]\n", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def run_pytest(folder: Path, *args: str, **environ: str) -> float:
    """Run pytest in *folder*, with no plugin but ours active, and return the seconds of the whole process."""
    others = sorted({each.name for each in entry_points(group="pytest11")} - {"testmesh"})
    blocked = [word for name in others for word in ("-p", f"no:{name}")]
    return run_python("-m", "pytest", "-q", *blocked, *args, folder=folder, **environ)


def run_python(*args: str, folder: Path, **environ: str) -> float:
    """Run Python in *folder* and return the seconds of the whole process.

    Raises:
        SystemExit: It failed; with what it printed.
    """
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        code = subprocess.call(
            [sys.executable, *args],
            cwd=folder,
            env=_environ(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        seconds = time.perf_counter() - started
        if code != 0:
            output.seek(0)
            text = output.read().decode(errors="replace")
            raise SystemExit(f"{' '.join(args)} in {folder} ended with {code}:\n{text[-4000:]}")
    return seconds


def processor_s(run: Callable[[], object]) -> float:
    """Return the processor time of the children that *run* starts; what else the machine does hardly changes it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _environ(extra: dict[str, str]) -> dict[str, str]:
    # Bytecode must be written, or the plain files are compiled anew each time; a proxy would stand between
    # client and server.
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("PYTEST_") and not name.lower().endswith("_proxy")
    }
    return {**kept, **extra}


@dataclass(frozen=True, slots=True)
class Spent:
    """What an item took: *whole_s* and *processor_s* with all phases and reports, *call_s* for its steps alone."""

    whole_s: float
    processor_s: float
    call_s: float


def items_spent(folder: Path) -> dict[str, Spent]:
    """Return what each item of the last run in *folder* took; `TIMER` is the ``conftest.py`` there."""
    spent = json.loads((folder / "spent.json").read_text(encoding="utf-8"))
    return {name: Spent(*numbers) for name, numbers in spent.items()}


@contextmanager
def serving() -> Iterator[str]:
    """Run the server in a process of its own and give its base URL; it ends when its input is closed."""
    with subprocess.Popen(
        [sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.stdin.close()


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
