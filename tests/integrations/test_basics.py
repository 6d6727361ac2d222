"""``log``, ``delay``, ``assert``, and how built-in actions are declared."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from typing import Any

import pytest

from pytest_testmesh.actions import ActionRegistry
from pytest_testmesh.errors import (
    ActionConfigError,
    ActionTimeoutError,
    MissingDependencyError,
    StepAssertionError,
)
from pytest_testmesh.integrations import register_builtins
from pytest_testmesh.integrations._optional import require
from pytest_testmesh.integrations.basics import assert_, check_assert_config, delay, log
from pytest_testmesh.polling import Deadline


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

    assert ["assert", "delay", "http_request", "log", "wait_for"] == [each.name for each in registry.actions()]
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


def test_log_of_an_unknown_level(steps: Any) -> None:
    with pytest.raises(ActionConfigError, match="'loud' is not a level"):
        log({"message": "x", "level": "loud"}, steps.context())


@pytest.mark.parametrize(("duration", "duration_ms"), [("20ms", 20), (0.02, 20), ("0", 0), (0, 0)])
def test_delay(steps: Any, duration: Any, duration_ms: int) -> None:
    started = time.monotonic()
    result = delay({"duration": duration}, steps.context())

    assert {"duration": duration, "duration_ms": duration_ms, "completed": True} == result
    assert time.monotonic() - started >= duration_ms / 1000


def test_delay_ends_at_the_deadline(steps: Any) -> None:
    started = time.monotonic()
    with pytest.raises(ActionTimeoutError, match=r"^delay of 1h was cut short after 0\.\d\ds \(step timeout 100ms\)$"):
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
        pytest.param({"expression": True}, id="placeholder-that-became-true"),
    ],
)
def test_assert_passes(steps: Any, scope: Any, config: dict[str, Any]) -> None:
    scope.define_env("total", 25, "env")

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
            "2 of 3 assertions failed:\n  total < 5 is false: total is 25\n  more: total > 30 is false: total is 25",
            id="several",
        ),
        pytest.param({"expression": False}, "config.expression is false", id="placeholder-that-became-false"),
        pytest.param({"expression": "data.x == 1", "data": {}}, "data.x == 1: ", id="missing-path"),
    ],
)
def test_assert_fails(steps: Any, scope: Any, config: dict[str, Any], message: str) -> None:
    scope.define_env("total", 25, "env")
    with pytest.raises(StepAssertionError) as caught:
        assert_(config, steps.context())

    assert caught.value.message.startswith(message)


def test_assert_must_give_a_boolean(steps: Any, scope: Any) -> None:
    scope.define_env("total", 25, "env")
    with pytest.raises(StepAssertionError, match=r"^total: "):
        assert_({"expression": "total"}, steps.context())


def test_undefined_name_in_an_assert(steps: Any) -> None:
    with pytest.raises(StepAssertionError, match="bob is not defined"):
        assert_({"expression": "bob == 'bob'"}, steps.context())


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


@pytest.mark.parametrize("config", [{"expression": "a =="}, {"assertions": ["1 == 1", {"expression": "a =="}]}])
def test_bad_expression_is_found_before_the_run(config: dict[str, Any]) -> None:
    with pytest.raises(ActionConfigError):
        check_assert_config(config)


@pytest.mark.parametrize(
    "config", [{"expression": "${a} =="}, {"assertions": ["{{a}} ==", 5]}, {"assertions": "${list}"}, {}]
)
def test_placeholders_are_not_checked_before_the_run(config: Any) -> None:
    check_assert_config(config)


def test_missing_library_names_the_install() -> None:
    with pytest.raises(MissingDependencyError, match="needs the library no_such_library") as caught:
        require("no_such_library.part", extra="otel")

    assert "pip install 'pytest-testmesh[otel]'" == caught.value.hint
    assert "pip install 'some-lib'" == _hint(package="some-lib")


def _hint(**needed: str) -> str | None:
    with pytest.raises(MissingDependencyError) as caught:
        require("no_such_library", **needed)
    return caught.value.hint


def test_library_that_fails_inside_is_not_called_missing(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_library.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_library", raising=False)

    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        require("broken_library", extra="otel")
