"""The hooks this plugin offers; implement them in a ``conftest.py`` or in a pytest plugin.

Mark implementations ``@pytest.hookimpl(optionalhook=True)``, so that ``-p no:testmesh`` still works.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_testmesh.actions import Action, ActionContext, ActionRegistry
    from pytest_testmesh.model import Step
    from pytest_testmesh.records import StepRecord


@pytest.hookspec
def pytest_testmesh_actions(registry: ActionRegistry) -> None:
    """Called once for each folder with flows, to fill *registry*: ``registry.add("shop.restock", restock)``.

    A ``conftest.py`` is asked only for the flows in its own folder and below. The order does not matter: two
    providers of one name are an error.
    """


@pytest.hookspec(firstresult=True)
def pytest_testmesh_execute_step(
    step: Step, action: Action, config: Mapping[str, Any], context: ActionContext
) -> Mapping[str, Any] | None:
    """Called for every attempt of every step, with the filled-in *config*, to run the action.

    The first implementation that returns a mapping gives the step's result; return None to leave the step to
    the next one, the last of which runs the action. A wrapper can trace the call, change the result or raise.
    """


@pytest.hookspec
def pytest_testmesh_step_started(step: Step, context: ActionContext) -> None:
    """Called before the first attempt of a step that is not skipped."""


@pytest.hookspec
def pytest_testmesh_step_finished(step: Step, record: StepRecord) -> None:
    """Called once for each step of an item that was met, skipped ones too, with what became of it."""
