"""The actions that talk to nobody: ``log``, ``delay`` and ``assert``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pytest_testmesh.actions import BUILTIN
from pytest_testmesh.errors import ActionConfigError, ActionTimeoutError
from pytest_testmesh.integrations._assertions import (
    ASSERTIONS,
    Check,
    as_text,
    compile_check,
    read_checks,
    require,
    with_hyphens,
)
from pytest_testmesh.integrations._durations import DURATION, duration_s
from pytest_testmesh.polling import pause
from pytest_testmesh.units import format_duration

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionContext, ActionRegistry
    from pytest_testmesh.scope import Scope

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
        expressions=("expression", "assertions"),
        provider=BUILTIN,
    )


LOG = {
    "type": "object",
    "required": ["message"],
    "additionalProperties": False,
    "properties": {
        "message": {"description": "what to write; anything but text is written as JSON"},
        "level": {
            "type": "string",
            "enum": [*_LEVELS, *map(str.upper, _LEVELS)],
            "description": "debug, info, warning or error",
            "default": "info",
        },
        "data": {"description": "written as JSON after the message"},
    },
}
LOG_RESULT = {"message": "the message as given", "level": "the level it was written at"}


def log(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Write to the logger ``pytest_testmesh.flow`` and to the step's part of the report."""
    level = config.get("level", "info").lower()
    level = "warning" if level == "warn" else level
    text = as_text(config["message"])
    if "data" in config:
        text = f"{text}  {as_text(config['data'])}"
    FLOW_LOGGER.log(_LEVELS[level], "%s", text)
    context.log(text, level)
    return {"message": config["message"], "level": level}


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
    pause(min(seconds, remaining))
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
        "assertions": ASSERTIONS,
        "expression": {"type": ["string", "boolean"], "description": "one expression that must hold"},
        "message": {"type": "string", "description": "shown when `expression` does not hold"},
        "data": {"description": "what the names in the expressions mean: its keys; `data` is all of it"},
    },
}
ASSERT_RESULT = {"passed": "true: a false assertion fails the step"}


def assert_(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Evaluate every assertion, then fail if one was false.

    ``expression`` and ``assertions`` come as the flow has them: what a placeholder in them stands for is a value,
    never a piece of the expression.

    Raises:
        ActionConfigError: Nothing to check, or a text that is no expression.
        UndefinedNameError: A text names what does not exist.
        StepAssertionError: At least one does not hold; lists each with the values of its parts.
    """
    checks = list(_checks(config, context.scope.hyphenated_ids()))
    if not checks:
        raise ActionConfigError(
            "there is nothing to check", hint='write `assertions: ["total == 30"]` or `expression: "total == 30"`'
        )
    require(checks, _DataNames(config, context.scope))
    return {"passed": True}


class _DataNames:
    """What the expressions of an ``assert`` step see: the keys of its data, then the variables of the author."""

    def __init__(self, config: Mapping[str, Any], scope: Scope) -> None:
        self._config = config
        self._scope = scope
        data = config.get("data")
        self._known: Mapping[str, Any] = {
            **({"data": data} if "data" in config else {}),
            **(data if isinstance(data, Mapping) else {}),
        }

    @property
    def placeholders(self) -> Scope:
        """Inside ``${}`` a name is always a variable."""
        return self._scope

    def root(self) -> Any:
        """The data, which ``$.path`` searches."""
        return self._config["data"] if "data" in self._config else self._scope.root()

    def lookup(self, name: str) -> Any:
        """Return the value of a bare name.

        Raises:
            UndefinedNameError: Neither the data nor the author has it.
        """
        if name in self._known:
            return self._known[name]
        try:
            return self._scope.author_value(name)
        except KeyError:
            raise self._scope.undefined(name, self._known) from None


def _checks(config: Mapping[str, Any], ids: frozenset[str]) -> Iterator[Check]:
    if "expression" in config:
        # unlike those of `assertions`, this message was filled in by the runner
        yield compile_check(config["expression"], config.get("message"), ("expression",), ids, raw=True)
    yield from read_checks(config, "assertions", ids)


def check_assert_config(config: Mapping[str, Any]) -> None:
    """Refuse, before anything runs, texts of an ``assert`` step that are no expressions.

    Raises:
        ActionConfigError: A text is no expression.
    """
    with_hyphens(lambda ids: list(_checks(config, ids)), config)
