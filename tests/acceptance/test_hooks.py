"""Actions come from any ``conftest.py``; every step goes through one hook that can trace, fake or veto it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Workbench

FIVE_LINES = """
import pytest
@pytest.hookimpl(optionalhook=True)
def pytest_testmesh_actions(registry):
    registry.add("shop.restock", lambda config, context: {"count": config["count"] + 1})
"""


def _hook(body: str) -> str:
    return f"import json, pathlib, pytest\n\n{_JOURNAL}\n\n{body}"


_JOURNAL = """
def write(entry):
    with (pathlib.Path(__file__).parents[1] / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps(entry) + "\\n")
"""


def test_five_lines_of_conftest_make_an_action(mesh: Workbench) -> None:
    mesh.file("shop/conftest.py", FIVE_LINES)
    mesh.flow("shop/restock", "steps: [{action: shop.restock, config: {count: 1}, assert: [count == 2]}]")

    assert 5 == len(FIVE_LINES.strip().splitlines()) + 1
    assert {"passed": 1} == mesh.run().outcomes


def test_an_action_of_a_folder_is_not_seen_in_its_sibling(mesh: Workbench) -> None:
    mesh.file("shop/conftest.py", FIVE_LINES)
    mesh.file("bank/conftest.py", FIVE_LINES.replace("shop.restock", "bank.pay").replace("+ 1", "+ 2"))
    mesh.flow("shop/deep/good", "steps: [{action: shop.restock, config: {count: 1}, assert: [count == 2]}]")
    mesh.flow("bank/good", "steps: [{action: bank.pay, config: {count: 1}, assert: [count == 3]}]")
    mesh.flow("bank/bad", "steps: [{action: shop.restock, config: {count: 1}}]")

    run = mesh.run()

    assert {"passed": 2, "errors": 1} == run.outcomes
    assert "unknown action shop.restock" in run.cause
    assert "bad.yaml" == mesh.place(run.cause)[0]


def test_two_folders_may_use_one_name_for_two_actions(mesh: Workbench) -> None:
    for folder, more in (("a", 1), ("b", 2)):
        mesh.file(f"{folder}/conftest.py", FIVE_LINES.replace("+ 1", f"+ {more}"))
        mesh.flow(
            f"{folder}/good",
            f"steps: [{{action: shop.restock, config: {{count: 1}}, assert: [count == {1 + more}]}}]",
        )

    assert {"passed": 2} == mesh.run().outcomes


@pytest.mark.parametrize(
    ("name", "other"), [("t.note", "conftest.py"), ("log", "pytest_testmesh")], ids=["conftest", "built-in"]
)
def test_two_providers_of_one_name_are_an_error_that_names_both(mesh: Workbench, name: str, other: str) -> None:
    mesh.file("shop/conftest.py", FIVE_LINES.replace("shop.restock", name))
    mesh.flow("shop/bad", "steps: [{action: t.script, config: {say: never, answers: [{}]}}]")
    mesh.flow("good", "steps: [{action: t.note}]")

    collected = mesh.run("--collect-only")
    run = mesh.run()

    assert 0 == collected.exit_code
    assert {"errors": 1, "passed": 1} == run.outcomes
    assert name in run.problem
    assert "shop/conftest.py" in run.problem
    assert other in run.problem.replace("shop/conftest.py", "")
    assert "INTERNALERROR" not in run.text
    assert [None] == mesh.journal


def test_a_hook_that_raises_is_shown_with_its_place(mesh: Workbench) -> None:
    mesh.file("shop/conftest.py", "def pytest_testmesh_actions(registry):\n    raise KeyError('oops')\n")
    mesh.flow("shop/bad", "steps: [{action: t.note}]")
    mesh.flow("good", "steps: [{action: t.note}]")

    run = mesh.run()

    assert 1 == run.outcomes["errors"]
    assert re.search(r"shop/conftest\.py:2\b", run.text)
    assert "KeyError: 'oops'" in run.text
    assert "INTERNALERROR" not in run.text


def test_a_wrapper_traces_every_attempt_of_every_step(mesh: Workbench) -> None:
    mesh.file(
        "shop/conftest.py",
        _hook(
            """
@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_testmesh_execute_step(step, action, config, context):
    write(["before", step.id, action.name, config.get("say"), context.step_id])
    result = yield
    write(["after", step.id, result.get("n")])
    return result
"""
        ),
    )
    mesh.flow(
        "shop/traced",
        """
        setup: [{id: open, action: log, config: {message: hello}}]
        steps:
          - id: pay
            action: t.script
            config: {say: pay, answers: [{n: 1}, {n: 2}]}
            eventually: {within: 20s, every: 10ms}
            assert: [n == 2]
        teardown: [{id: close, action: log, config: {message: bye}}]
        """,
    )

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert [
        ["before", "open", "log", None, "open"],
        ["after", "open", None],
        ["before", "pay", "t.script", "pay", "pay"],
        "pay",
        ["after", "pay", 1],
        ["before", "pay", "t.script", "pay", "pay"],
        "pay",
        ["after", "pay", 2],
        ["before", "close", "log", None, "close"],
        ["after", "close", None],
    ] == mesh.journal


def test_a_hook_can_fake_an_action(mesh: Workbench) -> None:
    mesh.file(
        "shop/conftest.py",
        _hook(
            """
@pytest.hookimpl(optionalhook=True)
def pytest_testmesh_execute_step(step, action, config, context):
    return {"status": 200, "asked": config["url"]} if action.name == "http_request" else None
"""
        ),
    )
    mesh.flow(
        "shop/faked",
        """
        env: {SHOP: "http://shop.invalid"}
        steps:
          - {id: get, action: http_request, config: {method: GET, url: "${SHOP}/orders"}, assert: [status == 200]}
          - {action: t.note, config: {say: "${get.asked}"}}
        """,
    )

    run = mesh.run()

    assert {"passed": 1} == run.outcomes
    assert ["http://shop.invalid/orders"] == mesh.journal


@pytest.mark.parametrize("how", ["raise", "fail"])
def test_a_wrapper_can_veto_a_step(mesh: Workbench, how: str) -> None:
    veto = (
        "raise ActionError('not in production', code='VETO')" if how == "raise" else "pytest.fail('not in production')"
    )
    mesh.file(
        "shop/conftest.py",
        _hook(
            f"""
from pytest_testmesh.errors import ActionError

@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_testmesh_execute_step(step, action, config, context):
    if step.id == "drop":
        {veto}
    return (yield)
"""
        ),
    )
    mesh.flow(
        "shop/vetoed",
        """
        steps:
          - {id: look, action: t.note, config: {say: look}}
          - {id: drop, action: t.note, config: {say: drop}}
        teardown: [{action: t.note, config: {say: teardown}}]
        """,
    )

    run = mesh.run()

    assert {"failed": 1} == run.outcomes
    assert "not in production" in run.problem
    assert ["look", "teardown"] == mesh.journal


def test_a_hook_can_skip_the_flow(mesh: Workbench) -> None:
    mesh.file(
        "shop/conftest.py",
        _hook(
            """
@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_testmesh_execute_step(step, action, config, context):
    pytest.skip("no till here")
    yield
"""
        ),
    )
    mesh.flow("shop/skipped", "steps: [{action: t.note, config: {say: never}, retry: {delay: 10ms}}]")

    run = mesh.run("-rs")

    assert {"skipped": 1} == run.outcomes
    assert "no till here" in run.text
    assert [] == mesh.journal


def test_a_hook_of_a_folder_sees_only_the_flows_of_that_folder(mesh: Workbench) -> None:
    mesh.file(
        "shop/conftest.py",
        _hook(
            """
@pytest.hookimpl(optionalhook=True)
def pytest_testmesh_execute_step(step, action, config, context):
    write("shop hook")
"""
        ),
    )
    mesh.flow("shop/one", "steps: [{action: t.note, config: {say: shop}}]")
    mesh.flow("two", "steps: [{action: t.note, config: {say: outside}}]")

    run = mesh.run()

    assert {"passed": 2} == run.outcomes
    assert ["shop", "shop hook"] == sorted(entry for entry in mesh.journal if entry != "outside")


def test_steps_announce_their_start_and_end(mesh: Workbench) -> None:
    mesh.file(
        "shop/conftest.py",
        _hook(
            """
@pytest.hookimpl(optionalhook=True)
def pytest_testmesh_step_started(step, context):
    write(["started", step.id])

@pytest.hookimpl(optionalhook=True)
def pytest_testmesh_step_finished(step, record):
    write(["finished", step.id])
"""
        ),
    )
    mesh.flow(
        "shop/told",
        """
        steps:
          - {id: pay, action: t.script, config: {say: pay, answers: [broken, {}]}, retry: {delay: 10ms}}
          - {id: wrap, disabled: true, action: t.note}
          - {id: ship, action: t.script, config: {say: ship, answers: [broken]}}
          - {id: thank, action: t.note}
        """,
    )

    mesh.run()

    assert [
        ["started", "pay"],
        "pay",
        "pay",
        ["finished", "pay"],
        ["finished", "wrap"],
        ["started", "ship"],
        "ship",
        ["finished", "ship"],
    ] == mesh.journal


def test_a_pytest_plugin_offers_actions_too(mesh: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh.file("shop_plugin.py", FIVE_LINES)
    monkeypatch.syspath_prepend(mesh.path)
    mesh.flow("restock", "steps: [{action: shop.restock, config: {count: 1}, assert: [count == 2]}]")

    assert {"passed": 1} == mesh.run("-p", "shop_plugin").outcomes


def test_hooks_marked_optional_do_not_disturb_a_run_without_our_plugin(mesh: Workbench) -> None:
    mesh.file("test_x.py", "def test_x():\n    pass\n")

    run = mesh.run("-p", "no:testmesh")

    assert {"passed": 1} == run.outcomes
    assert "INTERNALERROR" not in run.text


def test_a_misspelt_argument_of_a_hook_fails_loudly(mesh: Workbench) -> None:
    mesh.file("conftest.py", "def pytest_testmesh_actions(registri):\n    pass\n")

    run = mesh.run_apart()

    assert run.exit_code not in (0, 5)
    assert "registri" in run.text + run.errors


@pytest.mark.parametrize(
    ("result", "outcome"),
    [("None", "passed"), ("{}", "passed"), ("5", "failed"), ("{'at': object()}", "failed")],
)
def test_an_action_answers_with_a_json_mapping_or_nothing(mesh: Workbench, result: str, outcome: str) -> None:
    action = f"    registry.add('shop.odd', lambda config, context: {result})\n"
    hook = "@pytest.hookimpl(optionalhook=True)\ndef pytest_testmesh_actions(registry):\n"
    mesh.file("shop/conftest.py", f"import pytest\n\n{hook}{action}")
    mesh.flow("shop/odd", "steps: [{id: odd, action: shop.odd}]")

    run = mesh.run()

    assert {outcome: 1} == run.outcomes
    assert outcome == "passed" or "shop.odd" in run.cause
