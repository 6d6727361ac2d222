#!/usr/bin/env python3
"""A plugin in Python, with nothing but the standard library.

It answers GET /health, GET /info, POST /execute and POST /shutdown on the port that PLUGIN_PORT names. What it
prints is shown in the report of the step during which it was printed.
"""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "1.0.0"
STARTED = time.monotonic()


class PluginError(Exception):
    """Fails the step; *code* is what ``${error.code}`` and ``retry_on`` see in the flow."""

    def __init__(self, code, message, **details):
        super().__init__(message)
        self.error = {"code": code, "message": message, "details": details}


def hello(config, context, logs):
    """Greet `name`. `greeting` comes from the manifest unless the step gives its own."""
    name = config["name"].strip()
    if not name:
        raise PluginError("EMPTY_NAME", "there is nobody to greet", step=context["step_id"])
    logs.append({"level": "info", "message": f"greeted {name}"})
    return {"greeting": f"{config.get('greeting', 'Hello')}, {name}!", "timestamp": time.time()}


# Each action: its id, the function that runs it, and the JSON Schema that a step's config is checked against.
ACTIONS = {
    "my-plugin.hello": {
        "run": hello,
        "name": "Say hello",
        "description": "Returns a greeting",
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "greeting": {"type": "string"}},
            "required": ["name"],
        },
    },
}


def health():
    return {
        "status": "healthy",
        "version": VERSION,
        "uptime_seconds": int(time.monotonic() - STARTED),
    }


def info():
    listed = [
        {"id": action_id, **{key: value for key, value in action.items() if key != "run"}}
        for action_id, action in ACTIONS.items()
    ]
    return {"id": "my-plugin", "name": "Hello from Python", "version": VERSION, "actions": listed}


def execute(request):
    began = time.monotonic()
    logs = []
    try:
        action = ACTIONS.get(request["action"])
        if action is None:
            raise PluginError("UNKNOWN_ACTION", f"there is no action {request['action']}")
        output = action["run"](request["config"], request["context"], logs)
    except PluginError as exc:
        return {"success": False, "output": {}, "error": exc.error, "logs": logs}
    duration_ms = (time.monotonic() - began) * 1000
    return {"success": True, "output": output, "logs": logs, "metrics": {"duration_ms": duration_ms}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps the connection open from one step to the next
    wbufsize = -1  # sends headers and body together

    def do_GET(self):
        pages = {"/health": health, "/info": info}
        if self.path in pages:
            self.answer(200, pages[self.path]())
        else:
            self.answer(404, {"error": "not found"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/execute":
            self.answer(200, execute(json.loads(body)))
        elif self.path == "/shutdown":
            self.answer(200, {"message": "shutting down"})
            threading.Thread(target=self.server.shutdown).start()
        else:
            self.answer(404, {"error": "not found"})

    def answer(self, status, data):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Leave out the line per request that http.server would print."""


class Server(ThreadingHTTPServer):
    daemon_threads = True  # an open connection does not keep the process alive after /shutdown


if __name__ == "__main__":
    with Server(("127.0.0.1", int(os.environ["PLUGIN_PORT"])), Handler) as server:
        server.serve_forever(poll_interval=0.05)
