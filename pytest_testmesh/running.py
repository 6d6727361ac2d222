"""Hooks that matter only where there are flows; registered when the first one is collected."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import pytest

from pytest_testmesh.actions import Action, ActionContext, ActionRegistry
from pytest_testmesh.collection import (
    BrokenFlowItem,
    FlowItem,
    external_plugins,
    session_resources,
    sigterm_as_interrupt,
)
from pytest_testmesh.integrations import register_builtins


class FlowHooks:
    """The hooks of a session that has flows."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_testmesh_actions(self, registry: ActionRegistry) -> None:
        register_builtins(registry)
        registry.add_source(external_plugins(self._config))

    @pytest.hookimpl(trylast=True)
    def pytest_testmesh_execute_step(
        self, action: Action, config: Mapping[str, Any], context: ActionContext
    ) -> Mapping[str, Any]:
        result = action.run(config, context)
        return {} if result is None else result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if not isinstance(item, FlowItem):
            return (yield)
        with sigterm_as_interrupt():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if isinstance(item, (FlowItem, BrokenFlowItem)):
            item.reporter.complete(report, call)
        return report

    def pytest_unconfigure(self) -> None:
        session_resources(self._config).close()
