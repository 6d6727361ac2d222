"""Reports of what is hostile or not ours: deep data, cut secrets, exceptions of fixtures, huge messages."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Workbench

SECRET = "pw-8c1f0e77-and-more"

USERS_CODE = f'''
import os
import sys
import time

import pytest

from pytest_testmesh.errors import ActionError


def deep(levels):
    tree = {{"password": "{SECRET}"}}
    for _ in range(levels):
        tree = {{"x": [tree]}}
    return tree


def act(config, context):
    do = config["do"]
    if do == "deep":
        context.logs.append(deep(700))
        context.metrics["m"] = deep(700)
        raise ActionError("too deep", details=deep(700))
    if do == "circle":
        circle = {{}}
        circle["self"] = circle
        raise ActionError("round", details=circle)
    if do == "odd":
        raise ActionError("odd", details={{(1, 2): "x", "e": RuntimeError(os.environ["SHOP_PASSWORD"])}})
    if do == "exit":
        sys.exit("gone " + os.environ["SHOP_PASSWORD"])
    if do == "fail":
        pytest.fail("no luck " + os.environ["SHOP_PASSWORD"])
    if do == "xfail":
        pytest.xfail("known " + os.environ["SHOP_PASSWORD"])
    if do == "long":
        raise ActionError("x" * 300_000, code="A\\nB")
    if do == "cut":
        raise ActionError("y" * 10, details={{"a": "b" * 258, "z": {{"note": os.environ["SHOP_PASSWORD"]}}}})
    if do == "told":
        context.secrets.append(config["value"])
        raise ActionError("echo " + config["value"])
    if do == "hang":
        time.sleep(600)
    return dict(config)


@pytest.hookimpl(optionalhook=True)
def pytest_testmesh_actions(registry):
    registry.add("u.act", act)


@pytest.fixture
def broken():
    local = os.environ["SHOP_PASSWORD"]
    raise RuntimeError("no database at " + local)


@pytest.fixture
def skipping():
    pytest.skip("not today " + os.environ["SHOP_PASSWORD"])


@pytest.fixture
def lost(nowhere_to_be_found):
    pass


@pytest.fixture
def falls():
    yield
    raise RuntimeError("while leaving " + os.environ["SHOP_PASSWORD"])
'''


@pytest.fixture
def shop(mesh: Workbench, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A folder whose code misbehaves in many ways, with a secret in the environment."""
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)
    mesh.file("sub/conftest.py", USERS_CODE)
    return mesh


@pytest.mark.parametrize("do", ["deep", "circle", "odd"])
def test_data_of_any_shape_can_be_reported(shop: Workbench, do: str) -> None:
    shop.flow("sub/a", f"steps: [{{id: a, action: u.act, config: {{do: {do}}}}}]")

    run = shop.run()

    assert {"failed": 1} == run.outcomes
    assert SECRET not in run.text + repr([vars(report) for report in run.reports])


@pytest.mark.parametrize("args", ["", "-n1", "--full-trace --showlocals", "-n1 --full-trace", "-rA --tb=long"])
@pytest.mark.parametrize(
    ("flow", "outcomes"),
    [
        ("fixtures: [broken]\nsteps: [{action: t.note}]", {"errors": 1}),
        ("fixtures: [falls]\nsteps: [{action: t.note}]", {"passed": 1, "errors": 1}),
        ("fixtures: [skipping]\nsteps: [{action: t.note}]", {"skipped": 1}),
        ("steps: [{action: u.act, config: {do: exit}}]", {"failed": 1}),
        ("steps: [{action: u.act, config: {do: fail}}]", {"failed": 1}),
        ("steps: [{action: u.act, config: {do: xfail}}]", {"xfailed": 1}),
        ("steps: [{action: u.act, config: {do: cut}}]", {"failed": 1}),
    ],
    ids=["fixture", "finalizer", "skip", "exit", "fail", "xfail", "cut"],
)
def test_a_secret_in_somebody_elses_exception_is_masked(
    shop: Workbench, flow: str, outcomes: dict[str, int], args: str
) -> None:
    shop.flow("sub/a", flow)

    run = shop.run_apart("-rsxfE", "--junitxml=out.xml", *args.split())

    assert outcomes == run.outcomes
    assert SECRET[:10] not in run.text + run.errors + (shop.path / "out.xml").read_text(encoding="utf-8")


@pytest.mark.parametrize("workers", ["", "-n1"], ids=["alone", "xdist"])
@pytest.mark.parametrize(
    ("flow", "first", "frame"),
    [
        (
            "fixtures: [broken]\nsteps: [{action: t.note}]",
            r"sub/a\.yaml:\d+: fixture broken: RuntimeError: no database at \*\*\*",
            r"sub/conftest\.py:\d+: in broken\n    raise RuntimeError",
        ),
        (
            "fixtures: [lost]\nsteps: [{action: t.note}]",
            r"sub/a\.yaml:\d+: .*FixtureLookupError: fixture 'nowhere_to_be_found' not found",
            r"sub/conftest\.py:\d+: in lost",
        ),
        (
            "steps:\n  - {action: t.note}\n  - {id: out, action: u.act, config: {do: exit}}",
            r'sub/a\.yaml:5: step 2/2 "out" \(u\.act\): SystemExit: gone \*\*\*',
            r"sub/conftest\.py:\d+: in act\n    sys\.exit",
        ),
        (
            "teardown: [{id: out, action: u.act, config: {do: fail}}]\nsteps: [{action: t.note}]",
            r'sub/a\.yaml:3: teardown step 1/1 "out" \(u\.act\): Failed: no luck \*\*\*',
            r"sub/conftest\.py:\d+: in act\n    pytest\.fail",
        ),
        (
            "marks: [{timeout: {timeout: 2, func_only: true}}]\nsteps: [{id: out, action: u.act, config: {do: hang}}]",
            r'sub/a\.yaml:4: step 1/1 "out" \(u\.act\): Failed: Timeout',
            r"sub/conftest\.py:\d+: in act\n    time\.sleep",
        ),
    ],
    ids=["fixture", "no fixture", "exit", "teardown", "timeout"],
)
def test_somebody_elses_exception_is_told_like_a_failure(
    shop: Workbench, flow: str, first: str, frame: str, workers: str
) -> None:
    shop.flow("sub/a", flow)

    run = shop.run_apart(*workers.split())

    assert re.search(rf"(?m)^(E +)?{first}", run.text), run.text
    assert re.search(frame, run.text), run.text
    assert re.search(rf"(FAILED|ERROR) sub/a\.yaml::a - {first}", run.text), run.text
    told = re.split(r"Captured std|\+ Timeout \+", run.text)[0]  # pytest-timeout prints the stacks of other threads
    assert shop.shows_internals(told) is None
    assert len(told.splitlines()) < 40


def test_errors_of_steps_and_of_fixtures_in_one_teardown_are_both_told(shop: Workbench) -> None:
    shop.flow(
        "sub/a",
        "fixtures: [falls]\nsteps: [{action: t.note}]\nteardown: [{id: clean, action: t.note, assert: [1 == 2]}]",
    )

    problem = shop.run().problem

    assert '"clean" (t.note) failed' in problem
    assert "RuntimeError: while leaving ***" in problem


def test_a_template_that_fails_does_not_end_the_search_for_secrets(shop: Workbench) -> None:
    shop.flow(
        "sub/a",
        """
        steps:
          - {id: a, action: t.note, config: {x: "${nope}"}, on_error: continue}
          - {id: b, action: t.note, config: {token: tok-0123456789}}
          - {id: c, action: log, config: {message: "so ${b.token}"}}
          - {id: d, action: t.note, assert: [1 == 2]}
        """,
    )

    run = shop.run()

    assert "so ***" in run.text
    assert "tok-0123456789" not in run.text


def test_what_an_action_calls_a_secret_is_masked(shop: Workbench) -> None:
    shop.flow("sub/a", "steps: [{id: a, action: u.act, config: {do: told, value: otp-556677}}]")

    run = shop.run()

    assert "echo ***" in run.cause
    assert "otp-556677" not in run.problem.split("|")[0] + repr(run.problems[0].testmesh)


def test_a_huge_message_is_cut(shop: Workbench) -> None:
    shop.flow("sub/a", "steps: [{id: a, action: u.act, config: {do: long}}]")

    run = shop.run("-rA", "-v")

    assert len(run.cause) <= 300
    assert len(run.problem) < 5000
    assert "code      A B" in run.problem
    assert len(run.text) < 20_000


def test_of_many_failed_assertions_the_first_are_shown(mesh: Workbench) -> None:
    asserts = ", ".join(f"n == {number}" for number in range(1, 201))
    mesh.flow("a", f"steps: [{{id: a, action: t.note, config: {{n: 0}}, assert: [{asserts}]}}]")

    problem = mesh.run().problem

    assert "200 of 200 assertions failed" in problem
    assert "0 == 10\n" in problem
    assert "... 190 more" in problem
    assert len(problem.splitlines()) <= 40


def test_a_step_of_a_rerun_is_counted_once(mesh: Workbench) -> None:
    mesh.flow(
        "a",
        """
        steps:
          - {id: soft, action: t.note, on_error: continue, assert: [1 == 2]}
          - {id: hard, action: t.note, assert: [1 == 3]}
        """,
    )

    text = mesh.run_apart("--reruns=2").text

    assert "2 rerun" in text
    assert "1 step failed, continued" in text


def test_junit_has_a_property_for_each_step_of_every_phase(mesh: Workbench) -> None:
    step = "[{id: %s, action: t.note}]"
    mesh.flow("a", f"setup: {step % 'open'}\nsteps: {step % 'pay'}\nteardown: {step % 'close'}")

    mesh.run_apart("--junitxml=out.xml")

    names = [each.get("name") for each in ET.parse(mesh.path / "out.xml").getroot().iter("property")]
    assert [f"testmesh.step.{name}" for name in ("open", "pay", "close")] == names


def test_the_first_line_tells_the_near_match(mesh: Workbench) -> None:
    mesh.flow("a", "steps: [{action: t.notee}]")

    run = mesh.run()

    assert re.search(r": did you mean t\.note\b.*\?$", run.cause)
    assert "hint: did you mean" not in run.problem
    assert run.cause in run.text.partition("short test summary info")[2]
