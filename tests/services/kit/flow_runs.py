"""Runs of flows against real servers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

FLOWS = Path(__file__).parents[1] / "flows"


@dataclass(kw_only=True)
class FlowRun:
    """One finished run of pytest over flows."""

    exit_code: int
    text: str
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @property
    def causes(self) -> Sequence[str]:
        """The first line of each failure, as pytest's short summary has it."""
        return [line.partition(" - ")[2] for line in self._summary]

    @property
    def failed(self) -> Mapping[str, str]:
        """The same, by the name of the flow's file without its ending."""
        return {Path(line.split()[1].partition("::")[0]).stem: line.partition(" - ")[2] for line in self._summary}

    @property
    def _summary(self) -> Sequence[str]:
        lines = self.text.splitlines()  # a line of a log may begin with ERROR, too
        return [line for line in lines if line.startswith(("FAILED ", "ERROR ")) and "::" in line.split()[1]]


class RunningFlows:
    """A run of pytest over flows in another process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def text(self) -> str:
        """What pytest printed up to now."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for_flows(self, count: int, timeout_s: float = 60) -> None:
        """Return when *count* more flows have ended."""
        wanted = self._ended() + count
        end = time.monotonic() + timeout_s
        while self._ended() < wanted:
            if self.process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"waited for {count} more flows:\n{self.text}")
            time.sleep(0.01)

    def _ended(self) -> int:
        lines = self.text.splitlines()
        return sum("::" in line and line.partition("::")[2].endswith("%]") for line in lines)


class Flows:
    """A folder in which flows of ``tests/services/flows`` run against real servers."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.folder = pytester.path
        self._pytester = pytester

    def add(self, name: str) -> Path:
        """Copy the flow *name*, such as ``redis/values.yaml``."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FLOWS / name, path)
        return path

    def write(self, name: str, text: str) -> Path:
        """Write a flow that is made for one test."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *args: str, **variables: object) -> FlowRun:
        """Run what was added, in this process, with *variables* for all flows."""
        done = self._pytester.runpytest_inprocess(*self._args(args, variables))
        return _flow_run(int(done.ret), str(done.stdout) + str(done.stderr))

    def start(self, *args: str, **variables: object) -> RunningFlows:
        """Start a run in a process of its own."""
        log = self.folder / "run.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-v", *self._args(args, variables)],
                cwd=self.folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        return RunningFlows(process, log)

    @staticmethod
    def finish(running: RunningFlows, timeout_s: float = 60) -> FlowRun:
        """Wait for a started run; one that hangs is killed and fails the test."""
        try:
            running.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()
            pytest.fail(f"pytest hung for {timeout_s:g} s:\n{running.text}")
        return _flow_run(running.process.returncode, running.text)

    @staticmethod
    def _args(args: Sequence[str], variables: Mapping[str, object]) -> list[str]:
        given = [f"--testmesh-var={name}={value}" for name, value in variables.items()]
        return ["-p", "no:randomly", "-p", "no:cacheprovider", "-W", "error", *given, *args]


def _flow_run(exit_code: int, text: str) -> FlowRun:
    return FlowRun(exit_code=exit_code, text=text, outcomes=pytest.RunResult.parse_summary_nouns(text.splitlines()))
