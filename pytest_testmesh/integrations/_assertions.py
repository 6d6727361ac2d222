"""Expressions in a step's config that must hold: of data, of a result, of what a service answered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pytest_testmesh.errors import (
    ActionConfigError,
    ExpressionSyntaxError,
    MeshError,
    StepAssertionError,
    UndefinedNameError,
)
from pytest_testmesh.integrations._places import Path, refused

if TYPE_CHECKING:
    from pytest_testmesh.expressions import Expression
    from pytest_testmesh.scope import Scope
    from pytest_testmesh.template import Template

ASSERTIONS: dict[str, Any] = {
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
}
"""The JSON Schema of such a list; the action names the key in ``expressions``, so that it comes as written."""

_MAYBE_ID = re.compile(r"[^\W\d]\w*(?:-\w+)+")


class Names(Protocol):
    """What the names in an expression mean: `pytest_testmesh.scope.ResultNames` is one."""

    @property
    def placeholders(self) -> Scope:
        """Where ``${}`` looks."""

    def root(self) -> Any:
        """What ``$.path`` searches."""

    def lookup(self, name: str) -> Any:
        """Return the value of a bare name."""


class Problem(NamedTuple):
    """What does not hold, in one line, and where in the config that was demanded."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One assertion; *message* is shown when it does not hold."""

    expression: Expression
    message: Template | None = None
    path: Path

    def problem(self, names: Names) -> str | None:
        """Say in one line why it does not hold, or None if it does.

        Raises:
            UndefinedNameError: It names what does not exist.
        """
        try:
            # also where it holds, so that a wrong name in a message is not first seen in the failure it should explain
            message = as_text(self.message.fill(names.placeholders)) if self.message else ""
            said = self._said(names)
        except UndefinedNameError as exc:
            exc.path = self.path
            raise
        return f"{message}: {said}" if said and message else said

    def _said(self, names: Names) -> str | None:
        text = self.expression.text
        try:
            if self.expression.test(names):
                return None
        except UndefinedNameError:
            raise
        except MeshError as exc:
            return f"{text}: {exc.message}" + (f"; {exc.hint}" if exc.hint else "")
        parts = ", ".join(f"{part.text} is {part.shown()}" for part in self.expression.parts(names))
        return f"{text} is false" + (f": {parts}" if parts else "")


def compile_check(
    expression: str | bool, message: str | None, path: Path, ids: frozenset[str], *, raw: bool = False
) -> Check:
    """Compile one assertion; *ids* are step ids with hyphens, *raw* says that the message is filled in already.

    Raises:
        ActionConfigError: A text is no expression, or the message no template; where it stands begins the message.
    """
    from pytest_testmesh.expressions import compile_expression
    from pytest_testmesh.template import compile_template

    text = expression if isinstance(expression, str) else json.dumps(expression)
    try:
        return Check(
            expression=compile_expression(text, ids),
            message=None if message is None else compile_template(message, ids, raw=raw),
            path=path,
        )
    except ExpressionSyntaxError as exc:
        raise refused(path, exc.message, exc.hint) from exc


def read_checks(config: Mapping[str, Any], key: str, ids: frozenset[str]) -> Iterator[Check]:
    """Compile the list of assertions ``config[key]`` as it is written; see `ASSERTIONS`.

    Raises:
        ActionConfigError: As for `compile_check`.
    """
    written = config.get(key)
    for index, each in enumerate(written if isinstance(written, list) else ()):
        expression, message = (each["expression"], each.get("message")) if isinstance(each, Mapping) else (each, None)
        yield compile_check(expression, message, (key, index), ids)


def check_texts(config: Mapping[str, Any], key: str) -> None:
    """Refuse, before anything runs, texts in the list ``config[key]`` that are no expressions.

    Raises:
        ActionConfigError: A text is no expression.
    """
    with_hyphens(lambda ids: list(read_checks(config, key, ids)), config)


def with_hyphens(read: Callable[[frozenset[str]], object], config: Mapping[str, Any]) -> None:
    """Call *read* with no step ids, and where that fails with whatever in *config* may be one that has hyphens.

    Which steps there are is not known at collection: `sign-in.status` may be a name, or `in` without a left side.
    """
    try:
        read(frozenset())
    except ActionConfigError:
        ids = frozenset(_MAYBE_ID.findall(str(config)))
        if not ids:
            raise
        read(ids)


def require(checks: Sequence[Check], names: Names) -> None:
    """Evaluate all *checks*.

    Raises:
        StepAssertionError: At least one does not hold; tells each, with the values of its parts.
        UndefinedNameError: One names what does not exist.
    """
    raise_problems(problems_of(checks, names), len(checks))


def problems_of(checks: Sequence[Check], names: Names) -> list[Problem]:
    """Return what does not hold.

    Raises:
        UndefinedNameError: One names what does not exist.
    """
    return [Problem(text, check.path) for check in checks if (text := check.problem(names))]


def raise_problems(problems: Sequence[Problem], total: int, of: str = "") -> None:
    """Raise what was found wrong by *total* assertions, if anything; *of* what begins the message.

    Raises:
        StepAssertionError: There are problems.
    """
    if problems:
        several = f"{len(problems)} of {total} assertions failed" if len(problems) > 1 else ""
        message = ": ".join(filter(None, [of, several, problems[0].text]))
        error = StepAssertionError(message, problems=tuple([each.text for each in problems]), total=total)
        error.path = problems[0].path
        raise error


def as_text(value: Any) -> str:
    """Text stays as it is, anything else becomes JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
