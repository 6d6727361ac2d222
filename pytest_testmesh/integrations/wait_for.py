"""The action ``wait_for``: polls a URL or a TCP port until it answers as wanted."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, Protocol

from pytest_testmesh.actions import BUILTIN
from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    ActionTimeoutError,
    ExpressionSyntaxError,
    MeshError,
)
from pytest_testmesh.integrations._durations import DURATION, duration_s, own_deadline
from pytest_testmesh.integrations._hosts import check_host
from pytest_testmesh.integrations.http import TLS_PROPERTIES
from pytest_testmesh.polling import Deadline, attempts
from pytest_testmesh.scope import ResultNames
from pytest_testmesh.units import format_duration
from pytest_testmesh.values import Missing

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionContext, ActionRegistry
    from pytest_testmesh.expressions import Expression

_HOST_PORT = re.compile(r"(?:[a-z]+://)?(?P<host>\[[^\]]+\]|[^:/]+):(?P<port>\d+)/?")
_LAST_TRY_S = 0.25
"""What the last try gets, so that it can still succeed before the deadline."""
_FOREVER_S = 3600.0
_MAX_PORT = 65535

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "type": {"type": "string", "description": "http or tcp; by default from what is given"},
        "url": {"type": "string", "description": "http: URL to poll"},
        "method": {"type": "string", "default": "GET", "description": "http: method"},
        "headers": {"type": "object", "description": "http: request headers"},
        "status_code": {
            "type": ["integer", "array"],
            "items": {"type": "integer"},
            "description": "http: status to wait for, or a list of them; by default any from 200 to 399",
        },
        "body_contains": {"type": "string", "description": "http: text that the body must hold"},
        "json_path": {"type": "string", "description": "http: path in the JSON body that must be there"},
        "json_value": {"description": "http: what must be at json_path"},
        "host": {"type": "string", "default": "localhost", "description": "tcp: host"},
        "port": {
            "type": "integer",
            "minimum": 1,
            "maximum": _MAX_PORT,
            "description": "tcp: port that must accept a connection",
        },
        "timeout": {**DURATION, "default": "30s", "description": "how long to wait"},
        "interval": {**DURATION, "default": "1s", "description": "pause between two tries"},
        "max_attempts": {"type": "integer", "minimum": 1, "description": "give up after so many tries"},
        **TLS_PROPERTIES,
    },
}

RESULT = {
    "attempts": "number of tries, the successful one included",
    "duration_ms": "milliseconds until it was ready",
    "status": "http: status code of the last try",
}


def register(registry: ActionRegistry) -> None:
    """Add ``wait_for``."""
    registry.add(
        "wait_for",
        wait_for,
        summary="Wait until a URL or a TCP port answers",
        schema=SCHEMA,
        result=RESULT,
        provider=BUILTIN,
    )


def wait_for(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Poll until the target is ready.

    Raises:
        ActionConfigError: Neither ``url`` nor ``port``, or one that cannot be used.
        ActionTimeoutError: Not ready in time; tells the last cause and the number of tries.
    """
    probe = _probe(config, context)
    deadline = own_deadline(config, context.deadline, "wait_for")
    started = time.monotonic()
    number, problem = 0, ""
    for number in attempts(_pauses(config), _before(deadline)):
        try:
            found = probe.problem(deadline)
        except ActionTimeoutError as exc:
            # the deadline cut this try short; what an earlier one saw says more
            found = problem or exc.message.removeprefix(f"{probe.name}: ")
        if found is None:
            duration_ms = round((time.monotonic() - started) * 1000)
            return {"attempts": number, "duration_ms": duration_ms, **probe.facts}
        problem = found
    raise _not_ready(probe, problem, number, started, deadline)


def _not_ready(probe: Probe, problem: str, number: int, started: float, deadline: Deadline) -> ActionTimeoutError:
    waited = format_duration(time.monotonic() - started)
    tries = f"{number} attempt{'s' * (number != 1)}"
    return ActionTimeoutError(
        f"waited {waited} for {probe.name}: {problem} ({tries}; {deadline.cause})",
        hint="did it start? its log may say; a slow start needs a longer `timeout`",
    )


class Probe(Protocol):
    """One way to see whether a target is ready. *facts* are further keys of the result."""

    name: str
    facts: dict[str, Any]

    def problem(self, deadline: Deadline) -> str | None:
        """Try once, until *deadline*; say why it is not ready, or None when it is.

        Raises:
            ActionConfigError: No further try can help.
            ActionTimeoutError: The deadline came first.
        """


def _probe(config: Mapping[str, Any], context: ActionContext) -> Probe:
    kind = config.get("type") or ("http" if "url" in config else "tcp")
    if kind == "http" and "url" in config:
        return HttpProbe(config, context)
    if kind == "tcp" and ("port" in config or "url" in config):
        return TcpProbe(config)
    if kind not in ("http", "tcp"):
        raise ActionConfigError(f"config.type: {kind!r} cannot be waited for", hint="write http or tcp")
    raise ActionConfigError(
        f"nothing to wait for: type {kind} needs {'`url`' if kind == 'http' else '`port`'}",
        hint="write `url: http://localhost:8080/health`, or `host` and `port`",
    )


class HttpProbe:
    """Ready when a request gets the wanted status and body."""

    def __init__(self, config: Mapping[str, Any], context: ActionContext) -> None:
        self._config = config
        self._context = context
        self._request = {
            "method": config.get("method", "GET"),
            **{key: config[key] for key in ("url", "headers", *TLS_PROPERTIES) if key in config},
        }
        self._path = _compiled(config["json_path"]) if "json_path" in config else None
        if "json_value" in config and self._path is None:
            raise ActionConfigError("json_value without json_path", hint="add `json_path: $.status`")
        self.name = f"{self._request['method']} {config['url']}"
        self.facts: dict[str, Any] = {}

    def problem(self, deadline: Deadline) -> str | None:
        """Send the request once."""
        from pytest_testmesh.integrations.http.action import perform

        try:
            result = perform(self._request, self._context, deadline)
        except (ActionConfigError, ActionTimeoutError):
            raise
        except ActionError as exc:
            return exc.message.removeprefix(f"{self.name}: ")
        self.facts["status"] = result["status"]
        return self._wrong_status(result["status"]) or self._wrong_body(result["body"])

    def _wrong_status(self, status: int) -> str | None:
        wanted = self._config.get("status_code")
        if wanted is None:
            return None if 200 <= status < 400 else f"status {status}, not 200 to 399"
        accepted = wanted if isinstance(wanted, list) else [wanted]
        return None if status in accepted else f"status {status}, not {' or '.join(map(str, accepted))}"

    def _wrong_body(self, body: Any) -> str | None:
        text = self._config.get("body_contains")
        if text is not None:
            shown = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
            if text not in shown:
                return f"the body does not contain {text!r}: {_cut(shown)}"
        return None if self._path is None else self._wrong_value(body)

    def _wrong_value(self, body: Any) -> str | None:
        from pytest_testmesh.expressions.operators import same

        assert self._path is not None
        path = self._config["json_path"]
        try:
            found = self._path.evaluate(ResultNames(body, self._context.scope))
        except MeshError as exc:
            return exc.message
        if isinstance(found, Missing):
            return found.error().message
        if "json_value" not in self._config or same(found, self._config["json_value"]):
            return None
        return f"{path} is {json.dumps(found)}, not {json.dumps(self._config['json_value'])}"


class TcpProbe:
    """Ready when the port accepts a connection."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._host, self._port = _address(config)
        check_host(self._host, "config.host" if "port" in config else "config.url")
        self.name = f"tcp {self._host}:{self._port}"
        self.facts: dict[str, Any] = {}

    def problem(self, deadline: Deadline) -> str | None:
        """Connect once."""
        # 0 would mean "do not wait at all", and NEVER is infinite
        remaining = min(max(deadline.remaining(), 0.001), _FOREVER_S)
        try:
            socket.create_connection((self._host, self._port), timeout=remaining).close()
        except TimeoutError as exc:
            raise ActionTimeoutError("no answer") from exc
        except socket.gaierror as exc:
            return f"unknown host ({exc.strerror})"
        except OSError as exc:
            return (exc.strerror or str(exc)).lower()
        return None


def _address(config: Mapping[str, Any]) -> tuple[str, int]:
    if "port" in config:
        return str(config.get("host", "localhost")), int(config["port"])
    found = _HOST_PORT.fullmatch(config["url"])
    if found is None or not 1 <= int(found["port"]) <= _MAX_PORT:
        raise ActionConfigError(
            f"config.url: {config['url']!r} names no host and port", hint="write tcp://localhost:5432"
        )
    return found["host"].strip("[]"), int(found["port"])


def _pauses(config: Mapping[str, Any]) -> Iterator[float]:
    interval_s = duration_s(config, "interval", "1s")
    return repeat(interval_s, config["max_attempts"] - 1) if "max_attempts" in config else repeat(interval_s)


def _before(deadline: Deadline) -> Deadline:
    """Return when the last try must start to have `_LAST_TRY_S`, or a tenth of a short wait."""
    return replace(deadline, at=deadline.at - min(_LAST_TRY_S, deadline.remaining() / 10))


def _compiled(path: str) -> Expression:
    from pytest_testmesh.expressions import compile_expression

    try:
        return compile_expression(path if path.startswith("$") else f"$.{path}")
    except ExpressionSyntaxError as exc:
        raise ActionConfigError(f"config.json_path: {exc.message}", hint=exc.hint) from exc


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."
