"""Makes the state of one run of an item: variables, env, and the actions its steps name."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

import pytest

from pytest_testmesh._compat import FixtureItem
from pytest_testmesh.actions import Action, ActionRegistry
from pytest_testmesh.attempts import located
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import UndefinedNameError, UnknownActionError
from pytest_testmesh.model import Flow, Step
from pytest_testmesh.runner import FlowRun
from pytest_testmesh.scope import Scope
from pytest_testmesh.session import (
    command_line_variables,
    connection_settings,
    plugins_dir,
    registry_for,
    session_resources,
)
from pytest_testmesh.values import near_matches


def start_run(item: FixtureItem, flow: Flow) -> FlowRun:
    """Make the state of one run: scope, env, actions.

    Raises:
        MeshError: An action is unknown, a plugin does not start, or an env value cannot be computed.
    """
    execution_id = str(uuid.uuid4())
    scope = make_scope(item, flow, execution_id)
    for entry in flow.env:
        with located(entry.location):
            scope.define_env(entry.name, entry.value.fill(scope), f"env, line {entry.location.line}")
    return FlowRun(
        flow,
        scope=scope,
        actions=_resolve_actions(item, flow),
        hook=item.ihook,
        session=session_resources(item.config),
        flow_dir=item.path.parent,
        flow_id=scope.builtins.constants["FLOW_ID"],
        execution_id=execution_id,
        settings=connection_settings(item.config),
    )


def make_scope(item: FixtureItem, flow: Flow, execution_id: str = "") -> Scope:
    """Return the variables of a flow before its env is evaluated; marks see them too."""
    constants = {
        "FLOW_ID": str(uuid.uuid5(uuid.NAMESPACE_URL, flow.location.path)),
        "FLOW_NAME": flow.name,
        "EXECUTION_ID": execution_id,
        "FLOW_STATUS": "running",
        "STEP_ID": "",
    }
    steps = flow.all_steps()
    return Scope(
        options=command_line_variables(item.config),
        builtins=BuiltinValues(constants, faker=flow.faker, fixtures=partial(_fixture, item)),
        step_ids=[step.id for step in steps],
        output_steps={output.name: step.id for step in steps for output in step.outputs},
    )


def _fixture(item: FixtureItem, name: str) -> Any:
    if name not in item.fixturenames:
        near = near_matches(name, item.fixturenames, 1)
        raise UndefinedNameError(
            f"fixtures.{name}: the flow does not ask for this fixture",
            hint=f"did you mean fixtures.{near[0]}?" if near else f"add it: fixtures: [{name}]",
        )
    return item.fixture_value(name)


def _resolve_actions(item: FixtureItem, flow: Flow) -> dict[str, Action]:
    registry = registry_for(item)
    steps = {step.action: step for step in reversed(flow.all_steps())}
    if any(registry.known(name) is None for name in steps) and plugins_dir(item.config).is_dir():
        item.fixture_value("testmesh_plugins")  # owns the processes that the look-up below may start
    return {name: _resolve_action(registry, step, item.config) for name, step in steps.items()}


def _resolve_action(registry: ActionRegistry, step: Step, config: pytest.Config) -> Action:
    with located(step.action_location):
        try:
            return registry.find(step.action)
        except UnknownActionError as exc:
            folder = plugins_dir(config)
            if "." in step.action and not folder.is_dir():
                exc.hint = f"{exc.hint}\n  also: plugins are looked for in {folder}, which does not exist"
            raise
