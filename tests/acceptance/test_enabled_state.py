"""What a session makes of the file that says which plugins are disabled."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Workbench


def disable(mesh: Workbench, *ids: str) -> None:
    mesh.file("plugins/.testmesh.json", json.dumps({"format": 1, "disabled": list(ids)}))


@pytest.mark.parametrize("action", ["greeter.hello", "greeter"])
def test_a_disabled_plugin_is_refused_with_the_command_that_enables_it(mesh: Workbench, action: str) -> None:
    mesh.plugin("greeter", at_start="open('started', 'w').close()")
    disable(mesh, "greeter")
    mesh.flow("a_flow", f"steps: [{{action: {action}}}]")

    run = mesh.run()

    assert "plugin greeter is disabled" in run.cause
    assert "testmesh plugins enable greeter" in run.problem
    assert not (mesh.path / "plugins/greeter/started").exists()


def test_a_disabled_plugin_stops_no_other(mesh: Workbench) -> None:
    mesh.plugin("greeter")
    mesh.plugin("other")
    disable(mesh, "other")
    mesh.flow("a_flow", "steps: [{action: greeter.hello}]")

    assert {"passed": 1} == mesh.run().outcomes


def test_an_action_that_a_disabled_plugin_may_have_names_it(mesh: Workbench) -> None:
    mesh.plugin("greeter")
    disable(mesh, "greeter")
    mesh.flow("a_flow", "steps: [{action: hallo.welt}]")

    run = mesh.run()

    assert "unknown action hallo.welt" in run.cause
    assert "plugin greeter is disabled" in run.problem


def test_a_damaged_state_file_is_told_and_only_to_flows_that_need_a_plugin(mesh: Workbench) -> None:
    mesh.plugin("greeter")
    mesh.file("plugins/.testmesh.json", "{")
    mesh.flow("with_plugin", "steps: [{action: greeter.hello}]")
    mesh.flow("without", "steps: [{action: log, config: {message: hello}}]")

    run = mesh.run()

    assert {"passed": 1, "errors": 1} == run.outcomes
    assert "plugins/.testmesh.json: is not JSON" in run.cause
    assert "remove " in run.problem
    assert mesh.shows_internals(run.problem) is None
