"""The pytest11 entry point: options, hooks that every run meets, and the wiring of what a flow brings in.

Everything else is imported when the first flow is met; a run without flows pays for this module only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_testmesh.settings import SETTINGS

if TYPE_CHECKING:
    from pytest_testmesh.external.pool import ExternalPlugins
    from pytest_testmesh.terminal import StepLines


_FIRST_READ_BYTES = 64 * 1024
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("testmesh", "flows of YAML steps")
    group.addoption(
        "--testmesh-var",
        action="append",
        metavar="NAME=VALUE",
        dest="testmesh_var",
        help="define a variable for all flows; wins over their env; may be given more than once",
    )
    group.addoption(
        "--testmesh-plugins-dir",
        metavar="DIR",
        dest="testmesh_plugins_dir",
        help="folder of external plugins (default: $PLUGINS_DIR, ini testmesh_plugins_dir, plugins/ under rootdir)",
    )
    group.addoption(
        "--testmesh-otel",
        nargs="?",
        const="",
        metavar="URL",
        dest="testmesh_otel",
        help="send a span for each flow and step to this OTLP/HTTP collector (default: $OTEL_EXPORTER_OTLP_ENDPOINT, "
        "http://localhost:4318); needs pytest-testmesh[otel]",
    )
    group.addoption(
        "--testmesh-no-telemetry-lookup",
        action="store_true",
        dest="testmesh_no_telemetry_lookup",
        help="do not ask Tempo, Jaeger or Loki for what a failed step left there",
    )
    parser.addini(
        "testmesh_files",
        type="linelist",
        help="glob patterns of flow files (default: every .yaml and .yml file with a flow in it)",
    )
    parser.addini("testmesh_plugins_dir", help="folder of external plugins, relative to rootdir")
    parser.addini(
        "testmesh_secrets",
        type="linelist",
        help="further names whose values are masked in every report, such as iban or x-session",
    )
    for name, text in SETTINGS.items():
        parser.addini(f"testmesh_{name}", help=f"{text}; $TESTMESH_{name.upper()} wins")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_testmesh import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix not in {".yaml", ".yml"}:
        return None
    patterns = parent.config.getini("testmesh_files")
    if patterns and not parent.session.isinitpath(file_path) and not _matches(file_path, patterns, parent):
        return None
    from pytest_testmesh.sniff import MAX_SIZE_BYTES, looks_like_flow

    try:
        with file_path.open("rb") as file:
            data = file.read(_FIRST_READ_BYTES)  # read() makes room for all it is asked for: 20 us for 2 MiB
            if len(data) == _FIRST_READ_BYTES:
                data += file.read(MAX_SIZE_BYTES + 1 - len(data))  # one too many: enough for the loader to refuse it
    except OSError:  # not readable: whose it is cannot be told
        return None
    if not looks_like_flow(data):
        return None
    from pytest_testmesh.running import collect_flow_file

    return collect_flow_file(file_path, parent, data)


def _matches(file_path: Path, patterns: list[str], parent: pytest.Collector) -> bool:
    relative = os.path.relpath(file_path, parent.config.rootpath)
    return any(fnmatch(file_path.name, pattern) or fnmatch(relative, pattern) for pattern in patterns)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("testmesh_var"):
        from pytest_testmesh.session import command_line_variables

        command_line_variables(config)  # a bad one ends the run before it begins
    config.pluginmanager.register(StepReports(config), "testmesh-step-reports")
    if config.getoption("testmesh_otel") is not None or any(map(os.environ.get, _ENDPOINTS)):
        from pytest_testmesh.terminal import TraceNotes

        config.pluginmanager.register(TraceNotes(config), TraceNotes.NAME)


class StepReports:
    """Hands the reports that carry steps to the terminal module; under xdist they reach the controller only."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._lines: StepLines | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        facts = getattr(report, "testmesh", None)
        if facts is None:
            return
        if self._lines is None:
            from pytest_testmesh.terminal import StepLines

            self._lines = StepLines(self._config)
        self._lines.show(facts, final=report.outcome != "rerun")  # type: ignore[comparison-overlap]

    def pytest_terminal_summary(self) -> None:
        if self._lines is not None:
            self._lines.summarize()


@pytest.fixture(scope="session")
def testmesh_plugins(request: pytest.FixtureRequest) -> Iterator[ExternalPlugins]:
    """The external plugins: those that the selected flows use are started now, others at their first call.

    ``testmesh_plugins.call("my-plugin.hello", {"name": "TestMesh"})`` returns the action's output.
    """
    from pytest_testmesh.collection import selected_action_names
    from pytest_testmesh.session import external_plugins

    plugins = external_plugins(request.config)
    try:
        plugins.start_soon(selected_action_names(request.session))
        yield plugins
    finally:
        plugins.stop()
