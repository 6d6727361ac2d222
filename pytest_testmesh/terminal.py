"""Steps on the terminal: a line each with ``-v``, requests and responses with ``-vv``, continued failures counted."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from pytest_testmesh.units import format_duration

_WIDTH = 300
_EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow", "not run": "yellow"}


class StepLines:
    """Prints the steps of finished flows, on the process that owns the terminal (xdist: the controller)."""

    def __init__(self, config: pytest.Config) -> None:
        self._verbosity = config.get_verbosity()
        self._continued: list[str] = []
        self._terminal: Any = config.pluginmanager.getplugin("terminalreporter")

    def show(self, facts: dict[str, Any], *, final: bool = True) -> None:
        """Print the steps of one phase of an item; *facts* is the report's ``testmesh`` attribute.

        Steps of a run that is not *final*, since the item runs again, are not counted.
        """
        for step in facts["steps"]:
            if step["continued"] and final:
                reason = " ".join(str(step["reason"]).split())
                line = f"{facts['path']}:{step['line']}: step {step['id']}: {reason}"
                self._continued.append(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}...")
        if self._verbosity > 0 and self._terminal is not None:
            self._terminal.ensure_newline()
            for step in facts["steps"]:
                self._write_step(step)

    def _write_step(self, step: dict[str, Any]) -> None:
        where = "" if step["phase"] == "steps" else f"{step['phase']}: "
        where += f"after {step['parent']}: " if step["parent"] else ""
        outcome = "failed, continued" if step["continued"] else step["outcome"]
        name = f' "{step["name"]}"' if step["name"] else ""
        self._terminal.write(f"    {where}{step['id']}{name} ({step['action']}) ")
        self._terminal.write(outcome, **{_COLOURS[step["outcome"]]: True})
        self._terminal.write_line(_note(step))
        if self._verbosity > 1:
            for log in step["logs"]:
                self._terminal.write_line(f"        {log.get('level', 'info')}: {log.get('message', '')}")
            for label in ("sent", "received"):
                for line in step.get(label, "").splitlines():
                    self._terminal.write_line(f"        {label:<9} {line}")

    def summarize(self) -> None:
        """Print the failures that ``on_error: continue`` let pass, with their count."""
        if self._continued and self._terminal is not None:
            count = len(self._continued)
            self._terminal.section(f"{count} step{'s' if count > 1 else ''} failed, continued", yellow=True)
            for line in self._continued:
                self._terminal.write_line(line)


class TraceNotes:
    """Collects, of all processes of a run whose spans somebody asked for, why spans did not go out, and prints it."""

    NAME = "testmesh-trace-notes"

    def __init__(self, config: pytest.Config) -> None:
        self.lines: list[str] = []
        if config.getoption("testmesh_otel") is not None:
            _check_option(config.getoption("testmesh_otel"))
        output = getattr(config, "workeroutput", None)
        if output is not None:  # a worker of xdist: what is in its list by the end goes to the controller
            output[self.NAME] = self.lines

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        self.lines += getattr(node, "workeroutput", {}).get(self.NAME, ())

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in dict.fromkeys(self.lines):
            terminalreporter.write_line(f"testmesh: {line}", yellow=True)


def _check_option(url: str) -> None:
    """Refuse what cannot be done before the run begins: somebody asked for it by name."""
    if url and not url.startswith(("http://", "https://")):
        raise pytest.UsageError(
            f"--testmesh-otel {url!r} is no URL: write --testmesh-otel=http://host:4318, or the option last"
        )
    if not all(map(_is_installed, ("opentelemetry.sdk", _EXPORTER))):
        raise pytest.UsageError('--testmesh-otel needs OpenTelemetry: pip install "pytest-testmesh[otel]"')


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False


def _note(step: dict[str, Any]) -> str:
    if step["outcome"] in {"skipped", "not run"}:
        return f" ({step['reason']})"
    attempts = f", {step['attempts']} attempts" if step["attempts"] > 1 else ""
    return f" in {format_duration(step['duration_s'])}{attempts}"
