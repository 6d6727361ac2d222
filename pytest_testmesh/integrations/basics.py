"""The actions that talk to nobody: ``log``, ``delay`` and ``assert``."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_testmesh.actions import BUILTIN
from pytest_testmesh.errors import (
    ActionConfigError,
    ActionTimeoutError,
    ExpressionSyntaxError,
    MeshError,
    StepAssertionError,
    UndefinedNameError,
)
from pytest_testmesh.integrations._durations import DURATION, duration_s
from pytest_testmesh.scope import ResultNames
from pytest_testmesh.units import format_duration

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionContext, ActionRegistry
    from pytest_testmesh.expressions import Expression

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
FLOW_LOGGER = logging.getLogger("pytest_testmesh.flow")


def register(registry: ActionRegistry) -> None:
    """Add the three actions."""
    registry.add(
        "log", log, summary="Write a line to the log and the report", schema=LOG, result=LOG_RESULT, provider=BUILTIN
    )
    registry.add("delay", delay, summary="Wait for a fixed time", schema=DELAY, result=DELAY_RESULT, provider=BUILTIN)
    registry.add(
        "assert",
        assert_,
        summary="Check conditions over variables or given data",
        schema=ASSERT,
        result=ASSERT_RESULT,
        check=check_assert_config,
        provider=BUILTIN,
    )


LOG = {
    "type": "object",
    "required": ["message"],
    "additionalProperties": False,
    "properties": {
        "message": {"description": "what to write; anything but text is written as JSON"},
        "level": {"type": "string", "description": "debug, info, warning or error", "default": "info"},
        "data": {"description": "written as JSON after the message"},
    },
}
LOG_RESULT = {"message": "the message as given", "level": "the level it was written at"}


def log(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Write to the logger ``pytest_testmesh.flow`` and to the step's part of the report.

    Raises:
        ActionConfigError: Unknown level.
    """
    level = str(config.get("level", "info")).lower()
    if level not in _LEVELS:
        raise ActionConfigError(
            f"config.level: {config['level']!r} is not a level", hint="write debug, info, warning or error"
        )
    level = "warning" if level == "warn" else level
    text = _as_text(config["message"])
    if "data" in config:
        text = f"{text}  {_as_text(config['data'])}"
    FLOW_LOGGER.log(_LEVELS[level], "%s", text)
    context.log(text, level)
    return {"message": config["message"], "level": level}


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


DELAY = {
    "type": "object",
    "required": ["duration"],
    "additionalProperties": False,
    "properties": {"duration": {**DURATION, "description": 'how long: "500ms", "2s", or a number of seconds'}},
}
DELAY_RESULT = {
    "duration": "the duration as given",
    "duration_ms": "the same in milliseconds",
    "completed": "true: it was not cut short",
}


def delay(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Sleep for ``config.duration``.

    Raises:
        ActionConfigError: Not a duration.
        ActionTimeoutError: The deadline comes first; raised when it does.
    """
    seconds = duration_s(config, "duration", "0")
    remaining = context.deadline.remaining()
    time.sleep(min(seconds, remaining))
    if remaining < seconds:
        raise ActionTimeoutError(
            f"delay of {config['duration']} was cut short after {format_duration(remaining)}"
            f" ({context.deadline.cause})",
            hint="shorten the delay or raise that timeout",
        )
    return {"duration": config["duration"], "duration_ms": round(seconds * 1000), "completed": True}


ASSERT = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "assertions": {
            "type": "array",
            "description": "expressions that must hold, as text or as {expression, message}",
            "items": {
                "type": ["string", "object", "boolean"],
                "required": ["expression"],
                "additionalProperties": False,
                "properties": {
                    "expression": {"type": ["string", "boolean"], "description": "what must hold"},
                    "message": {"type": "string", "description": "shown when it does not"},
                },
            },
        },
        "expression": {"type": ["string", "boolean"], "description": "one expression that must hold"},
        "message": {"type": "string", "description": "shown when `expression` does not hold"},
        "data": {"description": "what the names in the expressions mean: its keys; `data` is all of it"},
    },
}
ASSERT_RESULT = {"passed": "true: a false assertion fails the step"}


def assert_(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Evaluate every assertion, then fail if one was false.

    Raises:
        ActionConfigError: Nothing to check, or a text that is no expression.
        StepAssertionError: At least one does not hold; lists each with the values of its parts.
    """
    checks = list(_checks(config))
    if not checks:
        raise ActionConfigError(
            "there is nothing to check", hint='write `assertions: ["total == 30"]` or `expression: "total == 30"`'
        )
    names = _names(config, context)
    problems = [problem for check in checks if (problem := check.problem(names))]
    if len(problems) == 1:
        raise StepAssertionError(problems[0], total=len(checks))
    if problems:
        shown = "".join(f"\n  {problem}" for problem in problems)
        raise StepAssertionError(f"{len(problems)} of {len(checks)} assertions failed:{shown}", total=len(checks))
    return {"passed": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One assertion as the config gives it: an expression, or the boolean that a placeholder became."""

    text: str
    expression: Expression | None
    holds: bool = False
    message: str | None = None

    def problem(self, names: Any) -> str | None:
        """Say in one line why it does not hold, or None if it does.

        Raises:
            UndefinedNameError: It names what does not exist.
        """
        said = self._said(names)
        return f"{self.message}: {said}" if said and self.message else said

    def _said(self, names: Any) -> str | None:
        if self.expression is None:
            return None if self.holds else f"{self.text} is false"
        try:
            if self.expression.test(names):
                return None
        except UndefinedNameError as exc:
            exc.hint = f"{exc.hint or ''}; placeholders are filled in before: write names without ${{}}".lstrip("; ")
            raise
        except MeshError as exc:
            return f"{self.text}: {exc.message}"
        parts = ", ".join(f"{part.text} is {part.shown()}" for part in self.expression.parts(names))
        return f"{self.text} is false" + (f": {parts}" if parts else "")


def _checks(config: Mapping[str, Any]) -> Iterator[Check]:
    if "expression" in config:
        yield _check(config["expression"], config.get("message"), "config.expression")
    for index, each in enumerate(config.get("assertions", ())):
        where = f"config.assertions[{index}]"
        if isinstance(each, Mapping):
            yield _check(each["expression"], each.get("message"), where)
        else:
            yield _check(each, None, where)


def _check(expression: str | bool, message: str | None, where: str) -> Check:
    if isinstance(expression, bool):
        return Check(text=where, expression=None, holds=expression, message=message)
    from pytest_testmesh.expressions import compile_expression

    try:
        return Check(text=expression, expression=compile_expression(expression), message=message)
    except ExpressionSyntaxError as exc:
        raise ActionConfigError(f"{where}: {exc.message}", hint=exc.hint) from exc


def _names(config: Mapping[str, Any], context: ActionContext) -> ResultNames:
    if "data" not in config:
        return ResultNames({}, context.scope)
    data = config["data"]
    return ResultNames({"data": data, **data} if isinstance(data, Mapping) else {"data": data}, context.scope)


def check_assert_config(config: Mapping[str, Any]) -> None:
    """Refuse, before anything runs, texts of an ``assert`` step that are no expressions.

    Texts with placeholders are left alone: what they say is known only once they are filled in.

    Raises:
        ActionConfigError: A text is no expression.
    """
    texts = [config.get("expression"), *_listed(config.get("assertions"))]
    for text in texts:
        if isinstance(text, str) and "${" not in text and "{{" not in text:
            _check(text, None, "config")


def _listed(assertions: Any) -> Iterator[Any]:
    for each in assertions if isinstance(assertions, list) else ():
        yield each.get("expression") if isinstance(each, Mapping) else each
