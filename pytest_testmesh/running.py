"""Hooks that matter only where there are flows; registered when the first one is collected."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pytest_testmesh._compat import read_captured
from pytest_testmesh.actions import Action, ActionContext, ActionRegistry
from pytest_testmesh.collection import BrokenFlowItem, FlowFile, FlowItem, flow_file
from pytest_testmesh.integrations import register_builtins
from pytest_testmesh.integrations.basics import FLOW_LOGGER
from pytest_testmesh.session import PluginSource, session_resources
from pytest_testmesh.terminal import TraceNotes

_NAME = "testmesh-flow-hooks"


def collect_flow_file(path: Path, parent: pytest.Collector, data: bytes) -> FlowFile | None:
    """Return the node of a flow file, or None when it is another tool's; the first one brings the hooks along."""
    manager = parent.config.pluginmanager
    if not manager.has_plugin(_NAME):
        manager.register(FlowHooks(parent.config), _NAME)
        notes = manager.getplugin(TraceNotes.NAME)
        if notes is not None and not parent.config.getoption("collectonly"):
            from pytest_testmesh.traced import trace_flows

            trace_flows(parent.config, notes.lines)
    return flow_file(path, parent, data)


class FlowHooks:
    """The hooks of a session that has flows."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_testmesh_actions(self, registry: ActionRegistry) -> None:
        register_builtins(registry)
        registry.add_source(PluginSource(self._config))

    @pytest.hookimpl(trylast=True)
    def pytest_testmesh_execute_step(
        self, action: Action, config: Mapping[str, Any], context: ActionContext
    ) -> Mapping[str, Any]:
        if action.trusted:
            result = action.run(config, context)
        else:
            with self._captured(context):
                result = action.run(config, context)
        context.own_result = {} if result is None else result
        return context.own_result  # type: ignore[no-any-return]

    @contextmanager
    def _captured(self, context: ActionContext) -> Iterator[None]:
        """Give what the user's code prints to its step rather than to the phase."""
        _add_printed(context, self._config, " before")
        try:
            yield
        finally:
            _add_printed(context, self._config)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, object, object]:
        """Let no ``-m`` or ``-k`` deselect a broken flow, just as a test module that fails to import is always told."""
        broken = [item for item in items if isinstance(item, BrokenFlowItem)]
        result = yield
        items[:0] = [item for item in broken if item not in items]
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if not isinstance(item, FlowItem):
            return (yield)
        masked = _MaskedLog(item)
        FLOW_LOGGER.addFilter(masked)
        try:
            with sigterm_as_interrupt():
                return (yield)
        finally:
            FLOW_LOGGER.removeFilter(masked)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if isinstance(item, (FlowItem, BrokenFlowItem)):
            item.reporter.complete(report, call)
        if isinstance(item, FlowItem) and report.when == "teardown":
            item.release()
        return report

    def pytest_unconfigure(self) -> None:
        session_resources(self._config).close()


def _add_printed(context: ActionContext, config: pytest.Config, when: str = "") -> None:
    out, err = read_captured(config) or ("", "")
    context.sections += [(f"stdout{when}", out), (f"stderr{when}", err)]


class _MaskedLog(logging.Filter):
    """Masks what ``log`` steps write, before live logging prints it."""

    def __init__(self, item: FlowItem) -> None:
        super().__init__()
        self._item = item

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._item.reporter.masker().text(record.getMessage()), None
        return True


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """End the session on SIGTERM as Ctrl-C does, so that teardown runs; the handler that was there is put back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is _interrupt:  # a fixture of the user's may have set its own
            signal.signal(signal.SIGTERM, before)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt("SIGTERM")
