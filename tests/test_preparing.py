"""``Action.before``: called before the first step, or as soon as a step's config can be filled in."""

from __future__ import annotations

from typing import Any

import pytest

CONFTEST = """\
from pytest_testmesh.errors import TargetUnavailableError

CALLS = []

def before(config, context):
    CALLS.append(f"before {config['name']}")
    if config["name"].startswith("bad"):
        raise TargetUnavailableError(f"{config['name']} is not there")

def run(config, context):
    CALLS.append(f"run {config['name']}")
    return {"calls": list(CALLS), "name": config["name"]}

def pytest_testmesh_actions(registry):
    registry.add("watch", run, before=before)
    registry.add("plain", run)
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> Any:
    """Run one flow made of steps and return pytest's result."""
    pytester.makeconftest(CONFTEST)

    def start(*steps: str, **more: str) -> pytest.RunResult:
        lines = "".join(f"    - {step}\n" for step in steps)
        phases = "".join(f"  {phase}:\n    - {step}\n" for phase, step in more.items())
        (pytester.path / "flow.yaml").write_text(f"flow:\n  name: f\n{phases}  steps:\n{lines}", encoding="utf-8")
        return pytester.runpytest_inprocess("-p", "no:randomly")

    return start


def test_it_is_called_once_before_setup(run: Any) -> None:
    done = run(
        "{action: watch, config: {name: a}, assert: [\"calls == ['before a', 'run s', 'run a']\"]}",
        setup="{action: plain, config: {name: s}}",
    )

    done.assert_outcomes(passed=1)


def test_it_is_called_as_soon_as_the_config_can_be_filled_in(run: Any) -> None:
    done = run(
        "{id: one, action: plain, config: {name: one}}",
        "{action: plain, config: {name: two}}",
        '{action: watch, config: {name: "${one.name}!"}, assert: ["calls[1] == \'before one!\'", len(calls) == 4]}',
    )

    done.assert_outcomes(passed=1)


def test_its_error_is_told_at_the_turn_of_the_step(run: Any) -> None:
    done = run("{action: plain, config: {name: one}}", "{action: watch, config: {name: bad}}")

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(['*step 2/2 "step_2" (watch) failed*: bad is not there', "*step_1 * ok > step_2 FAILED"])


def test_the_error_of_a_step_that_is_skipped_is_not_told(run: Any) -> None:
    done = run(
        "{action: plain, config: {name: one}}",
        '{action: watch, when: "1 == 2", config: {name: bad}}',
        "{action: watch, disabled: true, config: {name: bad}}",
    )

    done.assert_outcomes(passed=1)
