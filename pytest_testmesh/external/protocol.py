"""The shapes of the plugin protocol, and the checks that an answer has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from pytest_testmesh.errors import PluginProtocolError
from pytest_testmesh.model import EMPTY

if TYPE_CHECKING:
    from pytest_testmesh.external.answer import Answer


class ExecuteContext(TypedDict):
    """``context`` of ``POST /execute``. *variables* never hold the process environment."""

    execution_id: str
    flow_id: str
    step_id: str
    variables: Mapping[str, Any]
    step_outputs: Mapping[str, Any]


class ExecuteRequest(TypedDict):
    """The body of ``POST /execute``."""

    action: str
    config: Mapping[str, Any]
    context: ExecuteContext


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredAction:
    """One entry of ``actions`` in the answer to ``GET /info``."""

    id: str
    name: str = ""
    description: str = ""
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFailure:
    """``error`` of an answer with ``success: false``."""

    code: str
    message: str
    details: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuteResult:
    """The answer to ``POST /execute``; *failure* is None on success."""

    output: Mapping[str, Any]
    failure: PluginFailure | None
    logs: tuple[Mapping[str, Any], ...]
    metrics: Mapping[str, Any]


class _Fields:
    """Takes the fields of one JSON object and says which one is wrong; null counts as left out."""

    def __init__(self, plugin_id: str, asked: str, answer: Answer) -> None:
        self._plugin_id = plugin_id
        self._asked = asked
        self._answer = answer

    def body(self) -> dict[str, Any]:
        """Return the answer's body as an object; an HTTP error or redirect without one is told as such."""
        try:
            value = self._answer.json()
        except ValueError as exc:
            raise self._not_json(exc) from exc
        if not isinstance(value, dict):
            raise self.wrong(f"the answer is {_kind(value)}, not an object")
        return value

    def wrong(self, problem: str) -> PluginProtocolError:
        """Return the error for an answer that is not in the shape of the protocol."""
        if not 200 <= self._answer.status < 300:
            return self._http_error()
        return self._error(f"{self._asked}: {problem}: {self._answer.excerpt()}")

    def text(self, values: Mapping[str, Any], key: str, where: str = "") -> str:
        """Return a text, empty where it is left out."""
        value: str = self._typed(values, key, where, str, "a text", "")
        return value

    def mapping(self, values: Mapping[str, Any], key: str, where: str = "") -> dict[str, Any]:
        """Return an object, empty where it is left out."""
        value: dict[str, Any] = self._typed(values, key, where, dict, "an object", {})
        return value

    def objects(self, values: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
        """Return a list of objects, empty where it is left out."""
        items: list[Any] = self._typed(values, key, "", list, "a list", [])
        for index, item in enumerate(items):
            if not isinstance(item, dict):
                raise self.wrong(f"{key}[{index}] is {_kind(item)}, not an object")
        return items

    def _typed(self, values: Mapping[str, Any], key: str, where: str, kind: type, words: str, default: Any) -> Any:
        value = values.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise self.wrong(f"{where}{key} is {_kind(value)}, not {words}")
        return value

    def _not_json(self, cause: ValueError) -> PluginProtocolError:
        if not 200 <= self._answer.status < 300:
            return self._http_error()
        shown = self._answer.excerpt() or "an empty body"
        return self._error(f"{self._asked}: the answer is not JSON: {shown}", hint=f"the parser says: {cause}")

    def _http_error(self) -> PluginProtocolError:
        status = self._answer.status
        if 300 <= status < 400:
            to = f" to {self._answer.location}" if self._answer.location else ""
            return self._error(f"{self._asked}: HTTP {status}, a redirect{to}", hint="the protocol has no redirects")
        shown = self._answer.excerpt()
        return self._error(f"{self._asked}: HTTP {status}{': ' if shown else ''}{shown}")

    def _error(self, message: str, hint: str | None = None) -> PluginProtocolError:
        return PluginProtocolError(f"plugin {self._plugin_id}: {message}", plugin_id=self._plugin_id, hint=hint)


def health_problem(plugin_id: str, answer: Answer) -> str | None:
    """Return why the answer to ``GET /health`` is not ``{"status": "healthy"}``, or None if it is."""
    fields = _Fields(plugin_id, "GET /health", answer)
    try:
        status = fields.body().get("status")
    except PluginProtocolError as exc:
        return exc.message.removeprefix(f"plugin {plugin_id}: ")
    if status == "healthy":
        return None
    if status is None:
        return f'GET /health: the answer has no "status": {answer.excerpt()}'
    return f'GET /health: status is {status!r}, not "healthy"'


def parse_info(plugin_id: str, answer: Answer) -> tuple[DeclaredAction, ...]:
    """Return the actions that the answer to ``GET /info`` lists; a plugin may list none.

    Raises:
        PluginProtocolError: The answer is not in the shape of the protocol.
    """
    fields = _Fields(plugin_id, "GET /info", answer)
    body = fields.body()
    if not body.keys() & {"id", "name", "version", "actions"}:
        raise fields.wrong('the answer has no "id" and no "actions"')
    return tuple(_declared(fields, each, f"actions[{i}].") for i, each in enumerate(fields.objects(body, "actions")))


def _declared(fields: _Fields, entry: Mapping[str, Any], where: str) -> DeclaredAction:
    action_id = fields.text(entry, "id", where)
    if not action_id:
        raise fields.wrong(f"{where}id is missing")
    return DeclaredAction(
        id=action_id,
        name=fields.text(entry, "name", where),
        description=fields.text(entry, "description", where),
        schema=fields.mapping(entry, "schema", where) or None,
    )


def parse_result(plugin_id: str, action: str, answer: Answer) -> ExecuteResult:
    """Return what ``POST /execute`` answered; the protocol's shape counts under any HTTP status.

    Raises:
        PluginProtocolError: The answer is not in that shape.
    """
    fields = _Fields(plugin_id, f"POST /execute of {action}", answer)
    body = fields.body()
    success = body.get("success")
    if not isinstance(success, bool):
        problem = 'the answer has no "success"' if success is None else f'"success" is {_kind(success)}'
        raise fields.wrong(f"{problem}, not true or false" if success is not None else problem)
    return ExecuteResult(
        output=fields.mapping(body, "output"),
        failure=None if success else _failure(fields, body),
        logs=tuple(_log_entry(fields, each, f"logs[{i}].") for i, each in enumerate(fields.objects(body, "logs"))),
        metrics=fields.mapping(body, "metrics"),
    )


def _failure(fields: _Fields, body: Mapping[str, Any]) -> PluginFailure:
    error = fields.mapping(body, "error")
    code, message = fields.text(error, "code", "error."), fields.text(error, "message", "error.")
    if not code and not message:
        raise fields.wrong('"success" is false, but there is no "error" with a code and a message')
    return PluginFailure(
        code=code or "PLUGIN_FAILED",
        message=message or code,
        details=fields.mapping(error, "details", "error."),
    )


def _log_entry(fields: _Fields, entry: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    found = {
        "level": fields.text(entry, "level", where) or "info",
        "message": fields.text(entry, "message", where),
    }
    timestamp = entry.get("timestamp")
    return found if timestamp is None else {**found, "timestamp": timestamp}


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    return "a number"
