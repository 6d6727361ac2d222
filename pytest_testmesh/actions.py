"""What an action is, what it receives while it runs, and the registry that finds it by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pytest_testmesh.errors import ActionError, FlowSchemaError, UnknownActionError
from pytest_testmesh.model import EMPTY
from pytest_testmesh.polling import NEVER, Deadline
from pytest_testmesh.schemas import ConfigSchema
from pytest_testmesh.values import near_matches, shorten

if TYPE_CHECKING:
    from pytest_testmesh.scope import Scope

_MAX_DEPTH = 100

T = TypeVar("T")
Check = Callable[[Mapping[str, Any]], None]
Before = Callable[[Mapping[str, Any], "ActionContext"], None]

BUILTIN = "pytest_testmesh"
"""The provider of the actions that come with this package."""

Run = Callable[[Mapping[str, Any], "ActionContext"], "Mapping[str, Any] | None"]


@dataclass(frozen=True, kw_only=True)
class Action:
    """One action that steps may name.

    *schema* is the JSON Schema of the step's ``config`` (None: any mapping). *result* describes each key of
    the result in words, for documentation. *provider* is who offers it, for messages. *check* finds at collection,
    in a config without placeholders, what a schema cannot say; it raises `ActionConfigError`. *expressions* are
    keys of the config that the action gets as written, since it evaluates them itself. *before* is called once for
    each step of the action before the flow's first step, or as soon as the step's config can be filled in; its errors
    are the step's own. *trusted* is code of this package: it prints nothing, and its results need no check.
    """

    name: str
    run: Run
    summary: str = ""
    schema: Mapping[str, Any] | None = None
    result: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    provider: str = ""
    check: Check | None = None
    expressions: tuple[str, ...] = ()
    before: Before | None = None
    trusted: bool = False

    @cached_property
    def config_schema(self) -> ConfigSchema:
        """The schema, compiled once for all steps that use it."""
        return ConfigSchema(self.schema or {})

    @cached_property
    def key_schema(self) -> ConfigSchema:
        """The schema of the config's keys alone: all that is known before its placeholders are filled in."""
        return self.config_schema.of_keys()


class Described(Protocol):
    """Formats one side of an exchange: in one line, or with everything there is."""

    def __call__(self, verbose: bool = False) -> str:
        """Return the text; secrets are masked later, by whoever prints it."""


@dataclass(slots=True)
class Exchange:
    """What one attempt sent and received, as functions that format it when a report needs it."""

    sent: Described | None = None
    received: Described | None = None


class Resources:
    """Things made once and closed together: connection pools of a session, cookie jars of an item run."""

    def __init__(self) -> None:
        self._made: dict[object, Any] = {}
        self._closers: list[Callable[[], object]] = []

    def get(self, key: object, make: Callable[[], T], close: Callable[[T], object] | None = None) -> T:
        """Return the resource of *key*, made by *make* at the first call and closed by *close* at the end."""
        try:
            made: T = self._made[key]
        except KeyError:
            made = self._made[key] = make()
            if close is not None:
                self._closers.append(lambda: close(made))
        return made

    def close(self) -> None:
        """Close everything, the newest first; each is tried even if another fails.

        Raises:
            Exception: The first error a closer raised, after all were called.
        """
        self._made.clear()
        first: Exception | None = None
        while self._closers:
            try:
                self._closers.pop()()
            except Exception as exc:  # noqa: BLE001 - the others must still be closed
                first = first or exc
        if first is not None:
            raise first


@dataclass(slots=True, kw_only=True)
class ActionContext:
    """What an action may use while it runs one attempt of one step.

    *deadline* is the earliest of the step's, the flow's and the phase's; an action adds its own ``timeout``
    with ``deadline.earlier(...)`` and must not outlast it. *session* lives as long as the pytest process,
    *item* as long as one run of the flow. Paths in a config are relative to *flow_dir*, the flow file's folder.
    *settings* are the connection settings given once for all flows, by name: ``{"redis_url": ...}``. *raw* says
    that the step's config is not to be filled in, which concerns actions that fill in a part of it themselves.
    *logs* (``{"level", "message"}``) and *metrics* go to the reports. Texts put into *secrets* are masked in every
    report. *traceparent* is the W3C header of the step's own span while runs are traced. *own_result* is the object
    that the action itself returned; what a hook puts in its place is checked.
    """

    flow_id: str
    execution_id: str
    step_id: str
    scope: Scope
    flow_dir: Path = field(default_factory=Path)
    deadline: Deadline = NEVER
    session: Resources = field(default_factory=Resources)
    item: Resources = field(default_factory=Resources)
    settings: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    raw: bool = False
    exchange: Exchange = field(default_factory=Exchange)
    logs: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    sections: list[tuple[str, str]] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    traceparent: str | None = None
    own_result: Any = None

    def hide(self, secret: str | None) -> None:
        """Mask *secret* in every report from now on; None is no secret."""
        if secret is not None and secret not in self.secrets:
            self.secrets.append(secret)

    def log(self, message: str, level: str = "info") -> None:
        """Add a line to the step's part of the report."""
        self.logs.append({"level": level, "message": message})


def json_copy(value: Any, path: str, depth: int = 0) -> Any:
    """Return a copy of a value that code of somebody else's made, if it is JSON; tuples become lists.

    Raises:
        ActionError: It is not; says where in it.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and isfinite(value):
        return value
    if depth > _MAX_DEPTH:
        raise _not_json(f"{path}: nested more than {_MAX_DEPTH} deep")
    if isinstance(value, (list, tuple)):
        return [json_copy(each, f"{path}[{index}]", depth + 1) for index, each in enumerate(value)]
    if not isinstance(value, Mapping):
        raise _not_json(f"{path} = {shorten(repr(value), 60)}, of type {type(value).__name__}, is not JSON")
    for key in value:
        if not isinstance(key, str):
            raise _not_json(f"{path} has a key that is not text: {shorten(repr(key), 60)}")
    return {key: json_copy(each, f"{path}.{key}", depth + 1) for key, each in value.items()}


def _not_json(message: str) -> ActionError:
    return ActionError(message, code="BAD_RESULT", hint="JSON is null, bool, int, float, str, list and dict of these")


def checked_result(result: Any) -> dict[str, Any]:
    """Return a copy of what an action of somebody else's answered, if it is a JSON mapping.

    Raises:
        ActionError: It is not.
    """
    if not isinstance(result, Mapping):
        raise _not_json(f"an action must return a mapping, not {type(result).__name__}")
    copy: dict[str, Any] = json_copy(result, "result")
    return copy


def _where(run: Run) -> str:
    code = getattr(run, "__code__", None)
    if code is None:
        return f"{type(run).__module__}.{type(run).__qualname__}"
    return f"{os.path.relpath(code.co_filename)}:{code.co_firstlineno}"


class ActionSource(Protocol):
    """A provider that learns its actions' names only by asking, such as external plugins."""

    def find(self, name: str) -> Action | None:
        """Return the action, or None when this source does not have it; may be slow."""

    def names(self) -> Iterable[str]:
        """Names that are known without asking, for near matches."""

    def doubts(self, name: str) -> Iterable[str]:
        """Say why *name* may be an action of this source after all: who could not be asked for it."""


class ActionRegistry:
    """The actions that one folder's flows may use, filled through ``pytest_testmesh_actions``."""

    def __init__(self) -> None:
        self._actions: dict[str, Action] = {}
        self._sources: list[ActionSource] = []

    def add(
        self,
        name: str,
        run: Run,
        *,
        summary: str = "",
        schema: Mapping[str, Any] | None = None,
        result: Mapping[str, str] = EMPTY,
        aliases: Iterable[str] = (),
        check: Check | None = None,
        expressions: Iterable[str] = (),
        before: Before | None = None,
        provider: str = "",
    ) -> None:
        """Offer the action *name*, run as ``run(config, context)``.

        Raises:
            FlowSchemaError: Another provider already offers it.
        """
        if not provider:
            provider = _where(run)
        for each in (name, *aliases):
            if each in self._actions:
                raise FlowSchemaError(
                    f"action {each} is offered twice: by {self._actions[each].provider} and by {provider}",
                    hint="rename one of the two",
                )
            self._actions[each] = Action(
                name=each,
                run=run,
                summary=summary,
                schema=schema,
                result=result,
                provider=provider,
                check=check,
                expressions=tuple(expressions),
                before=before,
                trusted=provider == BUILTIN,
            )

    def add_source(self, source: ActionSource) -> None:
        """Ask *source* for names that no one added."""
        self._sources.append(source)

    def known(self, name: str) -> Action | None:
        """Return the action if it is known without asking any source."""
        return self._actions.get(name)

    def find(self, name: str) -> Action:
        """Return the action, asking the sources where needed.

        Raises:
            UnknownActionError: Nobody offers it; the hint names near matches.
        """
        action = self._actions.get(name)
        if action is not None:
            return action
        for source in self._sources:
            action = source.find(name)
            if action is not None:
                self._actions[name] = action
                return action
        doubts = [each for source in self._sources for each in source.doubts(name)]
        raise UnknownActionError(f"unknown action {name}", hint="\n  also: ".join([self._near(name), *doubts]))

    def actions(self) -> tuple[Action, ...]:
        """All actions that are known without asking, by name."""
        return tuple(self._actions[name] for name in sorted(self._actions))

    def _near(self, name: str) -> str:
        names = {*self._actions, *(each for source in self._sources for each in source.names())}
        near = near_matches(name, sorted(names))
        if near:
            return f"did you mean {' or '.join(near)}?"
        return f"known actions: {', '.join(sorted(names))}"
