"""Where a name is looked up, what it says when nobody has it, and where a value came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import ExpressionError, MissingPathError, StepNotCompletedError, UndefinedNameError
from pytest_testmesh.scope import ResultNames, Scope

CONSTANTS = {"FLOW_ID": "f", "FLOW_NAME": "Checkout", "EXECUTION_ID": "e", "FLOW_STATUS": "running", "STEP_ID": "pay"}


def make_scope(*, options: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Scope:
    return Scope(
        options=options,
        builtins=BuiltinValues(CONSTANTS),
        step_ids=["create", "pay"],
        output_steps={"order_id": "create"},
        environ=environ or {},
    )


def test_the_nearer_definition_wins_each_time() -> None:
    """From the far end to the near one: process environment, built-in, env, option, step, a loop's or error's own."""
    names = {"create": "the environment", "DATE": "the environment", "total": "the environment"}
    scope = make_scope(options={"total": "an option"}, environ=names)

    assert "the environment" != scope.lookup("DATE")
    assert "an option" == scope.lookup("total")

    scope.define_env("DATE", "env", "env, line 3")
    scope.define_env("total", "env", "env, line 4")
    assert ("env", "an option") == (scope.lookup("DATE"), scope.lookup("total"))

    scope.complete_step("create", {"status": 201}, {"total": "a step"}, 14)
    assert ("a step", 201) == (scope.lookup("total"), scope.lookup("create")["status"])

    scope.bind("total", "the loop")
    assert "the loop" == scope.lookup("total")
    scope.unbind("total")
    assert "a step" == scope.lookup("total")


@pytest.mark.parametrize(
    ("value", "text"),
    [(8080, "8080"), (29.9, "29.9"), (True, "true"), (-3, "-3"), ("01234", "01234"), ("1.10", "1.10"), ("1e5", "1e5")],
    ids=str,
)
def test_text_of_the_environment_is_a_value_only_where_nothing_is_lost(value: object, text: str) -> None:
    found = make_scope(environ={"SETTING": text}).lookup("SETTING")

    assert (type(value), value) == (type(found), found)


def test_an_explicit_output_shadows_a_key_of_the_result() -> None:
    scope = make_scope()

    scope.complete_step("create", {"status": 201, "id": 1}, {"id": 42}, 14)

    assert {"status": 201, "id": 42} == scope.lookup("create")
    assert 42 == scope.lookup("id")


def test_a_captured_text_of_digits_stays_text() -> None:
    scope = make_scope()

    scope.complete_step("create", {}, {"order_id": "00123", "five": "5"}, 14)

    assert ("00123", "5") == (scope.lookup("order_id"), scope.lookup("five"))


@pytest.mark.parametrize("name", ["create", "order_id"], ids=["step", "output of it"])
def test_a_step_without_result_says_why_it_has_none(name: str) -> None:
    scope = make_scope()

    with pytest.raises(StepNotCompletedError, match=r"step create.* has not run yet"):
        scope.lookup(name)

    scope.drop_step("create", "was skipped (disabled)")
    with pytest.raises(StepNotCompletedError, match=r"step create.* was skipped \(disabled\)"):
        scope.lookup(name)


def test_an_undefined_name_lists_near_matches() -> None:
    scope = make_scope()
    scope.define_env("api_url", "http://shop", "env, line 3")

    with pytest.raises(UndefinedNameError, match="api_ulr is not defined") as caught:
        scope.lookup("api_ulr")
    assert "did you mean api_url?" == caught.value.hint

    with pytest.raises(UndefinedNameError) as caught:
        scope.lookup("zzz")
    assert "defined here: api_url" == caught.value.hint


def test_where_nothing_is_defined_the_hint_says_how_to_define_a_name() -> None:
    with pytest.raises(UndefinedNameError) as caught:
        make_scope().lookup("zzz")

    assert "set it in env, by --testmesh-var zzz=..., or in the environment" == caught.value.hint


def test_a_bare_name_is_the_result_first_then_what_the_author_defined() -> None:
    scope = make_scope(environ={"HOME": "/root"})
    scope.define_env("status", "env", "env, line 3")
    scope.define_env("total", 30, "env, line 4")
    names = ResultNames({"status": 200}, scope)

    assert (200, 30) == (names.lookup("status"), names.lookup("total"))
    assert "env" == names.placeholders.lookup("status")
    with pytest.raises(MissingPathError):
        names.lookup("HOME")


@pytest.mark.parametrize("name", ["response", "result", "flow"])
def test_the_whole_result_has_names(name: str) -> None:
    result = {"status": 200}

    assert result is ResultNames(result, make_scope()).lookup(name)
    assert result is ResultNames(result, make_scope()).root()


def test_there_is_no_result_outside_assertions() -> None:
    with pytest.raises(ExpressionError, match=r"\$ is a step's result"):
        make_scope().root()


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        ("--testmesh-var", "region"),
        ("env, line 3", "api_url"),
        ("step create", "create"),
        ("step create, line 14", "order_id"),
        ("built-in", "UUID"),
        ("built-in", "$timestamp"),
        ("process environment", "HOME"),
        ("the failed step", "error"),
    ],
)
def test_a_value_knows_where_it_came_from(origin: str, name: str) -> None:
    scope = make_scope(options={"region": "eu"}, environ={"HOME": "/root"})
    scope.define_env("api_url", "http://shop", "env, line 3")
    scope.complete_step("create", {}, {"order_id": 7}, 14)
    scope.bind("error", {"message": "refused"})

    assert origin == scope.origin(name)


def test_variables_never_hold_the_process_environment() -> None:
    scope = make_scope(options={"region": "eu"}, environ={"HOME": "/root"})
    scope.complete_step("create", {"status": 201}, {"order_id": 7}, 14)

    assert {"region": "eu", "order_id": 7} == scope.variables()
    assert {"create": {"status": 201, "order_id": 7}} == scope.step_outputs()
    assert (scope.lookup("create"), None) == (scope.result("create"), scope.result("pay"))


@pytest.mark.parametrize("name", ["UUID", "RANDOM_ID", "RANDOM_STRING", "$uuid", "ISO_TIMESTAMP", "TIMESTAMP"])
def test_random_and_time_values_hold_for_one_attempt(name: str) -> None:
    scope = make_scope()

    first = scope.lookup(name)

    assert first == scope.lookup(name)
    scope.builtins.refresh()
    assert "TIME" in name or first != scope.lookup(name)
