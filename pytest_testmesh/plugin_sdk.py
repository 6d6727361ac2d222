"""All of a plugin in Python but what it does: manifest, HTTP, errors, logs.

    from pytest_testmesh.plugin_sdk import Plugin, PluginError

    plugin = Plugin()

    @plugin.action("my-plugin.hello", schema={"type": "object", "required": ["name"]})
    def hello(config, context, log):
        if not config["name"]:
            raise PluginError("EMPTY_NAME", "there is nobody to greet")
        log(f"greeting {config['name']}")
        return {"greeting": f"Hello, {config['name']}!"}

    if __name__ == "__main__":
        plugin.run()

One file of standard Python, 3.8 or newer: copy it beside a plugin that runs where pytest-testmesh is not installed.
It reads HTTP itself, because `http.server` takes longer to load than Python takes to start.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time

TYPE_CHECKING = False  # type checkers know the name; importing `typing` would take as long as half of the above
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from io import BufferedReader
    from typing import Any, TypeVar

    Handler = TypeVar("Handler", bound=Callable[..., dict[str, Any]])

_MAX_HEAD_BYTES = 64 * 1024
_MAX_BODY_BYTES = 64 * 1024 * 1024
_EMPTY_CONTEXT = {"execution_id": "", "flow_id": "", "step_id": "", "variables": {}, "step_outputs": {}}


class PluginError(Exception):
    """Fails the step: *code* is what ``${error.code}`` and ``retry_on`` see, *details* stand in the report."""

    def __init__(self, code: str, message: str, /, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


class Log:
    """What one run of an action tells beside its result."""

    def __init__(self) -> None:
        self.entries: list[dict[str, str]] = []
        self.metrics: dict[str, float] = {}

    def __call__(self, message: object, level: str = "info") -> None:
        """Add a line to the step's log; *level* is debug, info, warning or error."""
        now = time.time()
        timestamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        self.entries.append({"level": str(level), "message": str(message), "timestamp": timestamp})

    def metric(self, name: str, value: float) -> None:
        """Add a number to the step's metrics, which have ``duration_ms`` in any case."""
        self.metrics[name] = value


class Plugin:
    """A plugin: its actions and the server that runs them.

    Who it is stands in ``manifest.json`` beside the file that calls this; *fields* (id, name, version, description,
    config) win over what stands there, and replace it where there is none.
    """

    def __init__(self, **fields: Any) -> None:
        caller = os.path.abspath(sys._getframe(1).f_globals.get("__file__", sys.argv[0]))
        manifest = os.path.join(os.path.dirname(caller), "manifest.json")
        with contextlib.suppress(FileNotFoundError), open(manifest, encoding="utf-8-sig") as file:
            fields = {**json.load(file), **fields}
        self.id: str = os.environ.get("PLUGIN_ID") or fields.get("id", "")
        if not self.id:
            raise ValueError(f"there is no {manifest}: call Plugin() in a file beside it, or pass id=")
        self._info: dict[str, Any] = {key: fields.get(key, "") for key in ("name", "version", "description")}
        self._info.update(id=self.id, actions=[])
        self._defaults: dict[str, Any] = fields.get("config") or {}
        self._handlers: dict[str, Callable[..., dict[str, Any]]] = {}
        self._began_s = time.monotonic()

    def action(
        self, id: str, *, schema: dict[str, Any] | None = None, name: str = "", description: str = ""
    ) -> Callable[[Handler], Handler]:
        """Register a function ``(config, context, log) -> dict``; the dict is the step's result and must be JSON.

        *config* is the step's over the manifest's, and was checked against *schema* (JSON Schema) by pytest-testmesh.
        *context* is a dict: execution_id, flow_id, step_id, variables, step_outputs. *log* is a `Log`. *name* and
        *description* come from the function where they are left out. Steps may run at once, each in a thread.
        """
        if id in self._handlers:
            raise ValueError(f"action {id} is registered twice")
        if _json_problem(schema) is not None:
            raise TypeError(f"the schema of action {id} is not JSON: {_json_problem(schema)}")

        def register(function: Handler) -> Handler:
            _require_signature(id, function)
            title = name or getattr(function, "__name__", id).replace("_", " ").capitalize()
            summary = description or (function.__doc__ or "").strip().partition("\n")[0]
            optional = {} if schema is None else {"schema": schema}
            self._info["actions"].append({"id": id, "name": title, "description": summary, **optional})
            self._handlers[id] = function
            return function

        return register

    def run(self) -> None:
        """Serve 127.0.0.1 at port ``PLUGIN_PORT``; return after ``POST /shutdown``, SIGTERM or Ctrl-C."""
        port = int(os.environ.get("PLUGIN_PORT", "8080"))
        ended, end = os.pipe()
        # A signal that raised an exception could strike anywhere, also where a thread is half started.
        signal.signal(signal.SIGTERM, lambda *_: os.write(end, b"\0"))
        signal.signal(signal.SIGINT, lambda *_: os.write(end, b"\0"))
        with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
            if "PLUGIN_PORT" not in os.environ:
                request = json.dumps({"action": next(iter(self._handlers), self.id), "config": {}})
                print(f"{self.id} listens; Ctrl-C ends it. Try:")  # noqa: T201 - for whoever starts it by hand
                print(f"  curl 127.0.0.1:{port}/execute -d '{request}'", flush=True)  # noqa: T201
            while ended not in select.select([listener.fileno(), ended], [], [])[0]:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(connection, end), daemon=True).start()

    def _serve(self, connection: socket.socket, end: int) -> None:
        """Answer the requests of one connection, one after another."""
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for asked, body, closes in _requests(connection, stream):
                    _send(connection, *self._answer(asked, body), closes=closes)
                    if asked == "POST /shutdown":
                        os.write(end, b"\0")
            except _RefusedError as exc:
                _send(connection, exc.args[0], _failure(PluginError("BAD_REQUEST", exc.args[1])), closes=True)
                # Closing with bytes unread would reset the connection before the client has read the answer.
                connection.settimeout(1)
                while connection.recv(_MAX_HEAD_BYTES):
                    pass

    def _answer(self, asked: str, body: bytes) -> tuple[int, bytes]:
        if asked == "POST /execute":
            return self._execute(*_parse(body))
        if asked == "GET /health":
            uptime_s = int(time.monotonic() - self._began_s)
            return 200, _encode({"status": "healthy", "version": self._info["version"], "uptime_seconds": uptime_s})
        if asked == "GET /info":
            return 200, _encode(self._info)
        if asked == "POST /shutdown":
            return 200, _encode({"message": "shutting down"})
        return 404, _encode({"error": "not found"})

    def _execute(self, action: str, config: dict[str, Any], context: dict[str, Any]) -> tuple[int, bytes]:
        if action not in self._handlers:
            return 400, _failure(PluginError("UNKNOWN_ACTION", f"plugin {self.id} has no action {action}"))
        log = Log()
        began_s = time.monotonic()
        try:
            output = self._handlers[action]({**self._defaults, **config}, {**_EMPTY_CONTEXT, **context}, log)
            if not isinstance(output, dict):
                raise PluginError("BAD_RESULT", f"{action} returned {type(output).__name__}, not a dict")
            metrics = {"duration_ms": (time.monotonic() - began_s) * 1000, **log.metrics}
            return 200, _encode({"success": True, "output": output, "logs": log.entries, "metrics": metrics})
        except PluginError as exc:
            return 200, _failure(exc, log.entries)
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - a bug in an action fails its step, not the plugin
            import traceback  # slow to load

            own = exc.__traceback__ and exc.__traceback__.tb_next  # without the frame of this file
            traceback.print_exception(type(exc), exc, own)
            return 200, _failure(PluginError(type(exc).__name__, str(exc)), log.entries)


class _RefusedError(Exception):
    """HTTP status and message for what cannot be answered as asked; the connection closes."""


def _require_signature(action: str, function: Callable[..., object]) -> None:
    code = getattr(function, "__code__", None)
    if code is None or code.co_argcount != 3 or code.co_kwonlyargcount:
        import inspect  # slow to load, and nearly never needed

        try:
            inspect.signature(function).bind("config", "context", "log")
        except (TypeError, ValueError) as exc:
            raise TypeError(f"action {action}: the function must take (config, context, log): {exc}") from None


def _require(holds: object, status: int, message: str) -> None:
    if not holds:
        raise _RefusedError(status, message)


def _requests(connection: socket.socket, stream: BufferedReader) -> Iterator[tuple[str, bytes, bool]]:
    """Read requests: ``"GET /info"``, the body, and whether the connection closes after the answer."""
    closes = False
    while not closes and (lines := _read_head(stream)):
        asked, _, version = lines[0].rpartition(" ")
        _require(version in ("HTTP/1.0", "HTTP/1.1"), 400, f"not a request in HTTP/1.1: {lines[0][:80]!r}")
        headers = _headers(lines[1:])
        _require("origin" not in headers, 403, "the request has an Origin: web pages may not use a plugin")
        _require("transfer-encoding" not in headers, 411, "send Content-Length, not Transfer-Encoding")
        length = headers.get("content-length", "0")
        _require(length.isascii() and length.isdigit(), 400, f"Content-Length is not a number: {length[:80]!r}")
        large = len(length) > 15 or int(length) > _MAX_BODY_BYTES
        _require(not large, 413, f"the body is larger than {_MAX_BODY_BYTES} bytes")
        if headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = stream.read(int(length))
        if len(body) < int(length):
            return
        wish = headers.get("connection", "").lower()
        # After HEAD a client reads no body: ours must not be taken for the next answer.
        closes = wish == "close" or asked.startswith("HEAD ") or (version == "HTTP/1.0" and wish != "keep-alive")
        yield asked, body, closes


def _read_head(stream: BufferedReader) -> list[str]:
    """Read the lines before the body; none when the connection ends before they are complete."""
    lines: list[str] = []
    left = _MAX_HEAD_BYTES
    while (line := stream.readline(left)).endswith(b"\n"):
        left -= len(line)
        if line in (b"\r\n", b"\n"):
            return lines
        lines.append(line.decode("latin-1").rstrip("\r\n"))
    _require(len(line) < left, 431, f"the head of the request is larger than {_MAX_HEAD_BYTES} bytes")
    return []


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        _require(colon and name and name == name.strip(), 400, f"not a valid header: {line[:80]!r}")
        headers[name.lower()] = ", ".join(filter(None, (headers.get(name.lower()), value.strip())))
    return headers


def _parse(body: bytes) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return action, config and context of the body of ``POST /execute``; the last two may be left out."""
    try:
        request = json.loads(body)
    except (RecursionError, ValueError) as exc:
        raise _RefusedError(400, f"the body is not JSON: {exc}") from None
    found = request if isinstance(request, dict) else {}
    action, config, context = found.get("action"), found.get("config") or {}, found.get("context") or {}
    if not (isinstance(action, str) and isinstance(config, dict) and isinstance(context, dict)):
        raise _RefusedError(400, 'the body is not {"action": text, "config": object, "context": object}')
    return action, config, context


def _send(connection: socket.socket, status: int, body: bytes, *, closes: bool) -> None:
    """Send an answer in one piece: a second one would wait until the client has confirmed the first."""
    start = f"HTTP/1.1 {status} {'OK' if status == 200 else 'Refused'}\r\n"
    headers = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    wish = "Connection: close\r\n" if closes else ""
    connection.sendall(f"{start}{headers}{wish}\r\n".encode() + body)


def _encode(answer: dict[str, Any]) -> bytes:
    try:
        return json.dumps(answer, allow_nan=False).encode()
    except (RecursionError, TypeError, ValueError):
        raise PluginError("BAD_RESULT", f"the result is not JSON: {_json_problem(answer)}") from None


def _failure(error: PluginError, logs: Sequence[dict[str, str]] = ()) -> bytes:
    details = {key: value if _json_problem(value) is None else repr(value) for key, value in error.details.items()}
    told = {"code": str(error.code), "message": str(error.message), "details": details}
    return _encode({"success": False, "output": {}, "error": told, "logs": logs})


def _json_problem(value: object, path: str = "") -> str | None:
    """Return where *value* is not JSON and why: ``output.rows.2.born: Object of type date is not ...``."""
    try:
        json.dumps(value, allow_nan=False)
    except (RecursionError, TypeError, ValueError) as exc:
        parts = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
        )
        inner = (_json_problem(part, f"{path}.{key}") for key, part in parts if len(path) < 200)
        return next(filter(None, inner), f"{path}: {exc}".lstrip(".: "))
    return None
