"""Runs one step through a plugin: config check, ``/execute``, and what the answer adds to the report."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_testmesh.actions import Action, ActionContext
from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    PluginGoneError,
    PluginProtocolError,
    UnknownActionError,
)
from pytest_testmesh.external.protocol import ExecuteRequest, ExecuteResult, parse_result
from pytest_testmesh.polling import Deadline
from pytest_testmesh.schemas import ConfigSchema, Violation
from pytest_testmesh.units import format_duration
from pytest_testmesh.values import near_matches

if TYPE_CHECKING:
    from pytest_testmesh.external.answer import Answer
    from pytest_testmesh.external.lifecycle import ExternalPlugin
    from pytest_testmesh.external.protocol import DeclaredAction

_BRIEF_CHARACTERS = 300
_VERBOSE_CHARACTERS = 100_000


def plugin_action(plugin: ExternalPlugin, name: str, summary: str = "") -> Action:
    """Return the action *name* of *plugin*.

    Its schema stays with the plugin: it applies once the manifest's defaults are merged in.
    """
    return Action(
        trusted=True,
        name=name,
        run=_PluginStep(plugin, name),
        summary=summary or plugin.manifest.description,
        provider=f"plugin {plugin.id}",
    )


def suggest(name: str, known: Collection[str]) -> str:
    """Return the hint for an action that does not exist: near matches, or all there are."""
    near = near_matches(name, sorted(known))
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known are {', '.join(sorted(known)) or 'none'}"


class _PluginStep:
    """The ``run`` of a plugin's action."""

    def __init__(self, plugin: ExternalPlugin, name: str) -> None:
        self._plugin = plugin
        self._name = name
        self._checked: tuple[DeclaredAction, _DeclaredSchema] | None = None

    def __call__(self, config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
        plugin = self._plugin
        printed = plugin.stdout.position, plugin.stderr.position
        try:
            try:
                answer = self._execute(config, context)
            except PluginGoneError:
                answer = self._execute(config, context)
        finally:
            _add_output(plugin, printed, context)
        result = parse_result(plugin.id, self._name, answer)
        return _report(result, context)

    def _ensure_started(self, context: ActionContext) -> None:
        reason = self._plugin.ensure_started(context.deadline)
        if reason:
            context.log(f"plugin {self._plugin.id} was started again: {reason}", "warning")

    def _merged(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Lay the step's config over the manifest's, key by key, and check it against the declared schema."""
        defaults = self._plugin.manifest.config
        declared = self._declared()
        if declared is not None and declared.schema is not None:
            if self._checked is None or self._checked[0] is not declared:
                self._checked = declared, _DeclaredSchema(self._plugin.id, declared.id, declared.schema)
            self._checked[1].check(config, defaults)
        return {**defaults, **config}

    def _declared(self) -> DeclaredAction | None:
        actions = self._plugin.actions or {}
        if self._name in actions or self._name == self._plugin.id:
            return actions.get(self._name)
        raise UnknownActionError(
            f"unknown action {self._name}: plugin {self._plugin.id} no longer lists it",
            hint=suggest(self._name, actions),
        )

    def _execute(self, config: Mapping[str, Any], context: ActionContext) -> Answer:
        self._ensure_started(context)
        merged = self._merged(config)
        body = self._encode(merged, context)
        context.exchange.sent = partial(_describe_request, self._plugin.id, self._name, merged)
        began = time.monotonic()
        answer = self._plugin.execute(self._name, body, self._deadline(context))
        duration_ms = (time.monotonic() - began) * 1000
        context.exchange.received = partial(_describe_answer, answer, duration_ms)
        return answer

    def _deadline(self, context: ActionContext) -> Deadline:
        if context.deadline.at < math.inf:
            return context.deadline
        limit_s = self._plugin.limits.execute_s
        return Deadline.after(limit_s, f"{format_duration(limit_s)}, the limit of a step without timeout")

    def _encode(self, config: dict[str, Any], context: ActionContext) -> bytes:
        request: ExecuteRequest = {
            "action": self._name,
            "config": config,
            "context": {
                "execution_id": context.execution_id,
                "flow_id": context.flow_id,
                "step_id": context.step_id,
                "variables": context.scope.variables(),
                "step_outputs": context.scope.step_outputs(),
            },
        }
        try:
            return _ENCODER.encode(request).encode()
        except (TypeError, ValueError) as exc:
            raise ActionConfigError(
                f"the step's config or variables cannot be sent as JSON to plugin {self._plugin.id}: {exc}"
            ) from exc


class _DeclaredSchema:
    """A schema that a plugin declared: it may be wrong, and then the plugin's author must act."""

    def __init__(self, plugin_id: str, action: str, schema: Mapping[str, Any]) -> None:
        self._plugin_id = plugin_id
        self._action = action
        self._schema = schema
        self._compiled: ConfigSchema | None = None

    def check(self, config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        """Check what the step gives, with the manifest's defaults for what it leaves out.

        A default that the schema does not name is the plugin's own affair, never held against the step.
        """
        known = self._schema.get("properties")
        used = defaults if not isinstance(known, dict) else {k: v for k, v in defaults.items() if k in known}
        violation = self._violation({**used, **config})
        if violation is not None:
            raise ActionConfigError(
                f"{violation.message} (action {self._action} of plugin {self._plugin_id})",
                hint=violation.hint,
            )

    def _violation(self, value: dict[str, Any]) -> Violation | None:
        try:
            if self._compiled is None:
                self._compiled = ConfigSchema(self._schema)
            violation = self._compiled.violation(value)
        except Exception as exc:  # a plugin's schema can make jsonschema raise anything
            raise self._invalid(exc) from exc
        if violation is not None:
            self._require_valid()
        return violation

    def _require_valid(self) -> None:
        import jsonschema

        validator = jsonschema.validators.validator_for(self._schema, default=jsonschema.Draft202012Validator)
        try:
            validator.check_schema(dict(self._schema))
        except jsonschema.SchemaError as exc:
            raise self._invalid(exc) from exc

    def _invalid(self, exc: Exception) -> PluginProtocolError:
        reason = getattr(exc, "message", None) or f"{type(exc).__name__}: {exc}"
        return PluginProtocolError(
            f"plugin {self._plugin_id}: GET /info: the schema of {self._action} cannot be used: "
            f"{str(reason).splitlines()[0]}",
            plugin_id=self._plugin_id,
            hint="schemas are JSON Schema, draft 2020-12 unless $schema says otherwise; "
            "references to other documents are not fetched",
        )


def _report(result: ExecuteResult, context: ActionContext) -> Mapping[str, Any]:
    """Hand logs and metrics to the report; return the output or raise the plugin's own error."""
    context.logs.extend(dict(entry) for entry in result.logs)
    context.metrics.update(result.metrics)
    if result.failure is not None:
        failure = result.failure
        raise ActionError(f"{failure.code}: {failure.message}", code=failure.code, details=failure.details)
    return result.output


def _add_output(plugin: ExternalPlugin, printed: tuple[int, int], context: ActionContext) -> None:
    plugin.collect_output()
    for tail, position, stream in zip((plugin.stdout, plugin.stderr), printed, ("stdout", "stderr"), strict=True):
        text = tail.since(position)
        if text:
            context.sections.append((f"{plugin.id} {stream}", text))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON type")


_ENCODER = json.JSONEncoder(default=_plain, allow_nan=False)


def _describe_request(plugin_id: str, action: str, config: Mapping[str, Any], verbose: bool = False) -> str:
    body = json.dumps({"action": action, "config": config}, default=_plain, ensure_ascii=False)
    limit = None if verbose else _BRIEF_CHARACTERS
    return f"POST /execute to plugin {plugin_id}  {body[:limit]}"


def _describe_answer(answer: Answer, duration_ms: float, verbose: bool = False) -> str:
    body = answer.excerpt(_VERBOSE_CHARACTERS if verbose else _BRIEF_CHARACTERS)
    return f"{answer.status} in {duration_ms:.0f} ms  {answer.content_type}  {body}"
