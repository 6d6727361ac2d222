"""``log``, ``delay``, ``assert``, and how built-in actions are declared."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from typing import Any

import pytest

from pytest_testmesh.actions import ActionRegistry
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import (
    ActionConfigError,
    ActionTimeoutError,
    StepAssertionError,
    UndefinedNameError,
)
from pytest_testmesh.integrations import register_builtins
from pytest_testmesh.integrations.basics import LOG, assert_, check_assert_config, delay, log
from pytest_testmesh.polling import Deadline
from pytest_testmesh.schemas import ConfigSchema
from pytest_testmesh.scope import Scope


def test_declaring_all_actions_and_logging_loads_no_client() -> None:
    code = """
import sys
from pytest_testmesh.actions import ActionContext, ActionRegistry
from pytest_testmesh.integrations import register_builtins
registry = ActionRegistry()
register_builtins(registry)
context = ActionContext(flow_id="f", execution_id="e", step_id="s", scope=None)
registry.find("log").run({"message": "hello"}, context)
loaded = {"urllib3", "requests", "http.client", "ssl", "jsonschema", "yaml"} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_built_in_actions_say_who_offers_them() -> None:
    registry = ActionRegistry()
    register_builtins(registry)

    assert {"assert", "delay", "http_request", "log", "wait_for"} <= {each.name for each in registry.actions()}
    assert all(each.provider == "pytest_testmesh" and each.summary and each.result for each in registry.actions())


@pytest.mark.parametrize(
    ("level", "number"),
    [
        ("debug", logging.DEBUG),
        ("info", logging.INFO),
        ("warn", logging.WARNING),
        ("warning", logging.WARNING),
        ("ERROR", logging.ERROR),
    ],
)
def test_log_level(steps: Any, caplog: pytest.LogCaptureFixture, level: str, number: int) -> None:
    caplog.set_level(logging.DEBUG, "pytest_testmesh.flow")
    log({"message": "hello", "level": level}, steps.context())

    assert [("pytest_testmesh.flow", number, "hello")] == caplog.record_tuples


@pytest.mark.parametrize(
    ("config", "text"),
    [
        pytest.param({"message": "100% sure"}, "100% sure", id="text"),
        pytest.param({"message": {"a": ["ä", None]}}, '{"a": ["ä", null]}', id="mapping"),
        pytest.param({"message": 5}, "5", id="number"),
        pytest.param({"message": "got", "data": {"a": 1}}, 'got  {"a": 1}', id="data"),
    ],
)
def test_log_text(steps: Any, caplog: pytest.LogCaptureFixture, config: dict[str, Any], text: str) -> None:
    caplog.set_level(logging.INFO, "pytest_testmesh.flow")
    context = steps.context()

    assert {"message": config["message"], "level": "info"} == log(config, context)
    assert [text] == caplog.messages
    assert [{"level": "info", "message": text}] == context.logs


@pytest.mark.parametrize(("level", "fits"), [("INFO", True), ("warn", True), ("loud", False), (5, False)])
def test_log_level_is_checked_by_the_schema(level: Any, fits: bool) -> None:
    violation = ConfigSchema(LOG).violation({"message": "x", "level": level})

    assert fits == (violation is None)


@pytest.mark.parametrize(("duration", "duration_ms"), [("20ms", 20), (0.02, 20), ("0", 0), (0, 0)])
def test_delay(steps: Any, duration: Any, duration_ms: int) -> None:
    started = time.monotonic()
    result = delay({"duration": duration}, steps.context())

    assert {"duration": duration, "duration_ms": duration_ms, "completed": True} == result
    assert time.monotonic() - started >= duration_ms / 1000


def test_delay_ends_at_the_deadline(steps: Any) -> None:
    started = time.monotonic()
    with pytest.raises(ActionTimeoutError, match=r"^delay of 1h was cut short after \S+s \(step timeout 100ms\)$"):
        delay({"duration": "1h"}, steps.context(Deadline.after(0.1, "step timeout 100ms")))

    assert 0.1 <= time.monotonic() - started < 10


def test_delay_of_no_duration(steps: Any) -> None:
    with pytest.raises(ActionConfigError, match=r"config\.duration: 'soon' is not a duration"):
        delay({"duration": "soon"}, steps.context())


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"assertions": ["1 + 1 == 2", {"expression": "total > 20"}]}, id="list"),
        pytest.param({"expression": "total == 25"}, id="expression"),
        pytest.param({"expression": "total == 1 && data.total == 1", "data": {"total": 1}}, id="data"),
        pytest.param({"expression": "data[0].a == total", "data": [{"a": 25}]}, id="data-that-is-a-list"),
        pytest.param({"expression": "$[0].a == total", "data": [{"a": 25}]}, id="path-in-data"),
        pytest.param({"expression": "${total} == 25 && total == 1", "data": {"total": 1}}, id="placeholder-and-data"),
        pytest.param({"expression": "${state} == 'PAID'"}, id="placeholder-that-is-text"),
        pytest.param({"expression": "'{{state}} {{total}}' == 'PAID 25'"}, id="placeholders-in-text"),
        pytest.param({"expression": "${yes}"}, id="placeholder-that-is-true"),
        pytest.param({"expression": True}, id="boolean"),
        pytest.param({"expression": "result == 'mine'"}, id="variable-called-result"),
    ],
)
def test_assert_passes(steps: Any, scope: Any, config: dict[str, Any]) -> None:
    for name, value in {"total": 25, "state": "PAID", "yes": True, "result": "mine"}.items():
        scope.define_env(name, value, "env")

    assert {"passed": True} == assert_(config, steps.context())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param({"expression": "total == 30"}, "total == 30 is false: total is 25", id="parts"),
        pytest.param(
            {"expression": "total == 30", "message": "cart"}, "cart: total == 30 is false: total is 25", id="message"
        ),
        pytest.param(
            {"assertions": ["total == 25", "total < 5", {"expression": "total > 30", "message": "more"}]},
            "2 of 3 assertions failed: total < 5 is false: total is 25",
            id="several",
        ),
        pytest.param({"expression": "${no}"}, "${no} is false: ${no} is false", id="placeholder-that-is-false"),
        pytest.param({"expression": False}, "false is false", id="boolean"),
        pytest.param({"assertions": ["'${n}' == 'bob'"]}, "'${n}' == 'bob' is false: '${n}' is \"x' ==", id="no-code"),
        pytest.param(
            {"assertions": [{"expression": "total > ${total}", "message": "cart of ${n}"}]},
            "cart of x' == 'x' || 'a: total > ${total} is false: ",
            id="placeholder-in-message",
        ),
        pytest.param({"expression": "false", "message": "${n}"}, "${n}: ", id="message-is-filled-in-once"),
        pytest.param({"expression": "data.x == 1", "data": {}}, "data.x == 1: ", id="missing-path"),
    ],
)
def test_assert_fails(steps: Any, scope: Any, config: dict[str, Any], message: str) -> None:
    for name, value in {"total": 25, "no": False, "n": "x' == 'x' || 'a"}.items():
        scope.define_env(name, value, "env")
    with pytest.raises(StepAssertionError) as caught:
        assert_(config, steps.context())

    assert caught.value.message.startswith(message)


def test_all_that_is_false_is_told(steps: Any, scope: Any) -> None:
    scope.define_env("total", 25, "env")
    with pytest.raises(StepAssertionError) as caught:
        assert_({"assertions": ["total < 5", {"expression": "total > 30", "message": "more"}]}, steps.context())

    assert "2 of 2 assertions failed: total < 5 is false: total is 25" == caught.value.message
    assert ("total < 5 is false: total is 25", "more: total > 30 is false: total is 25") == caught.value.problems


def test_assert_must_give_a_boolean(steps: Any, scope: Any) -> None:
    scope.define_env("total", 25, "env")
    with pytest.raises(StepAssertionError, match=r"^total: "):
        assert_({"expression": "total"}, steps.context())


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"expression": "bob == 'bob'"}, id="bare"),
        pytest.param({"expression": "${bob} == 'bob'", "data": {"bob": "bob"}}, id="placeholder"),
        pytest.param({"expression": "result == bob", "data": {"result": 1}}, id="with-data"),
        pytest.param({"assertions": [{"expression": "true", "message": "${bob}"}]}, id="message"),
    ],
)
def test_undefined_name_in_an_assert(steps: Any, config: dict[str, Any]) -> None:
    with pytest.raises(UndefinedNameError, match=r"^bob is not defined$") as caught:
        assert_(config, steps.context())

    assert "${" not in (caught.value.hint or "")


def test_value_of_a_placeholder_is_no_piece_of_the_expression(pytester: pytest.Pytester) -> None:
    (pytester.path / "injected.testmesh.yaml").write_text("""
flow:
  name: injected
  env: {n: "x' == 'x' || 'a", state: PAID}
  steps:
    - {action: assert, config: {expression: "${state} == 'PAID'"}}
    - {action: assert, config: {assertions: ["'${n}' == 'bob'"]}}
""")
    result = pytester.runpytest_inprocess("-p", "no:randomly")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*step 2/2*'${n}' == 'bob' is false: *"])


def test_assert_knows_step_ids_with_hyphens(steps: Any) -> None:
    steps.scope = Scope(builtins=BuiltinValues({}), environ={}, step_ids=["sign-in"])
    steps.scope.complete_step("sign-in", {"status": 200}, {}, 1)

    assert {"passed": True} == assert_({"assertions": ["sign-in.status == ${sign-in.status}"]}, steps.context())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param({}, "there is nothing to check", id="nothing"),
        pytest.param({"assertions": []}, "there is nothing to check", id="empty"),
        pytest.param({"expression": "a =="}, r"^config\.expression: ", id="expression"),
        pytest.param({"assertions": ["1 == 1", "a =="]}, r"^config\.assertions\[1\]: ", id="assertions"),
    ],
)
def test_assert_of_a_bad_config(steps: Any, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ActionConfigError, match=message):
        assert_(config, steps.context())


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"expression": "a =="}, id="expression"),
        pytest.param({"assertions": ["1 == 1", {"expression": "a =="}]}, id="assertions"),
        pytest.param({"expression": "${a} =="}, id="placeholder"),
        pytest.param({"assertions": ["sign-in.status =="]}, id="hyphen"),
        pytest.param({"assertions": [{"expression": "true", "message": "${a b"}]}, id="message"),
    ],
)
def test_bad_expression_is_found_before_the_run(config: dict[str, Any]) -> None:
    with pytest.raises(ActionConfigError):
        check_assert_config(config)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"expression": "${a} == '{{b}}'"}, id="placeholders"),
        pytest.param({"expression": "sign-in.status == 200"}, id="step-id-that-holds-a-word-of-the-language"),
        pytest.param({"assertions": "${list}"}, id="left-to-the-schema"),
        pytest.param({}, id="nothing"),
    ],
)
def test_expression_that_is_right_as_far_as_can_be_known_before_the_run(config: Any) -> None:
    check_assert_config(config)
