"""What a flow file says, as immutable data; no behaviour. Durations are float seconds.

Named tuples rather than frozen dataclasses, since every run makes thousands while it collects: a step takes 0.7 us
instead of 2.7 us, and its class 0.3 ms instead of 1.1 ms. Their fields are given by keyword.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from pytest_testmesh.expressions import Expression
    from pytest_testmesh.extraction import Extraction
    from pytest_testmesh.template import Template

Phase = Literal["setup", "steps", "teardown"]
OnErrorAction = Literal["fail", "continue", "retry"]

EMPTY: Mapping[str, Any] = MappingProxyType({})


class Location(NamedTuple):
    """A place in a flow file; *line* and *column* count from 1."""

    path: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


class Mark(NamedTuple):
    """A pytest mark with its arguments; *condition* is ours to evaluate, never pytest's."""

    name: str
    location: Location
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = EMPTY
    condition: Expression | None = None


class Assertion(NamedTuple):
    """One line of ``assert``, ``assert_any``, ``assert_none``, ``fail_if`` or ``retry_on``."""

    expression: Expression
    location: Location
    message: str | None = None


class Output(NamedTuple):
    """One name under ``output:`` and how its value is found in the step's result."""

    name: str
    extraction: Extraction
    location: Location


class Retry(NamedTuple):
    """``retry:``; *retry_on* and *retry_on_not* hold assertions and the words for causes apart.

    Causes are in lower case (``timeout``, ``connection_error``): compare with an error's code in lower case.
    """

    max_attempts: int = 3
    delay_s: float = 1.0
    backoff: Literal["constant", "linear", "exponential"] = "constant"
    max_delay_s: float | None = None
    retry_on: tuple[Assertion, ...] = ()
    retry_on_causes: frozenset[str] = frozenset()
    retry_on_not: tuple[Assertion, ...] = ()
    retry_on_not_causes: frozenset[str] = frozenset()


class Eventually(NamedTuple):
    """``eventually:``"""

    within_s: float
    every_s: float = 0.5
    fail_if: tuple[Assertion, ...] = ()


class Places(Protocol):
    """Where the parts of a mapping stand in the file; found when a report asks, not before."""

    def at(self, path: Sequence[str | int]) -> Location:
        """Return the place of ``("headers", "Accept")``, or of the nearest part above it that is there."""


class Step(NamedTuple):
    """One step. *config* is a compiled tree: filled in anew for each attempt.

    *config_lines* finds the place of a part of it.
    """

    id: str
    action: str
    location: Location
    action_location: Location
    config: Template
    config_lines: Places
    name: str | None = None
    description: str | None = None
    raw: bool = False
    outputs: tuple[Output, ...] = ()
    asserts: tuple[Assertion, ...] = ()
    assert_any: tuple[Assertion, ...] = ()
    assert_none: tuple[Assertion, ...] = ()
    when: Assertion | None = None
    disabled: bool = False
    tags: tuple[str, ...] = ()
    retry: Retry | None = None
    eventually: Eventually | None = None
    timeout_s: float | None = None
    on_error: OnErrorAction = "fail"
    error_steps: tuple[Step, ...] = ()


class EnvEntry(NamedTuple):
    """One name of ``env:``."""

    name: str
    value: Template
    location: Location


class FlowOutput(NamedTuple):
    """One name of the flow's ``output:``."""

    name: str
    value: Template
    location: Location


class Flow(NamedTuple):
    """One flow file."""

    name: str
    location: Location
    steps: tuple[Step, ...]
    setup: tuple[Step, ...] = ()
    teardown: tuple[Step, ...] = ()
    description: str | None = None
    version: str | None = None
    author: str | None = None
    suite: str | None = None
    tags: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    env: tuple[EnvEntry, ...] = ()
    fixtures: tuple[tuple[str, Location], ...] = ()
    timeout_s: float | None = None
    faker: Mapping[str, Any] = EMPTY
    output: tuple[FlowOutput, ...] = ()

    def all_steps(self) -> tuple[Step, ...]:
        """Every step of the three phases with the error steps among them, in file order."""
        return _with_error_steps((*self.setup, *self.steps, *self.teardown))


def _with_error_steps(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    if not any(step.error_steps for step in steps):
        return steps
    return tuple(each for step in steps for each in (step, *_with_error_steps(step.error_steps)))
