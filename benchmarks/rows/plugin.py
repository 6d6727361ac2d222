"""A step of an external plugin against a bare POST to the same plugin."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from harness import TIMER, Figure, items_spent, make_suite, measure_pairs, run_pytest

WHAT = "plugin /execute step / bare keep-alive POST to the same plugin"
UNIT = "x"
TARGET = 1.2

MANIFEST = {"id": "greeter", "name": "Greeter", "version": "1.0.0", "type": "action", "entry_point": "server.py"}

# Written as the plugin page shows it: the standard library's server, one thread for each connection. It sends each
# answer in one piece, since two would wait for each other's acknowledgement (Nagle) and hide every other cost.
PLUGIN = """
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/health":
            self.answer({"status": "healthy", "version": "1.0.0"})
        else:
            actions = [{"id": "greeter.greet", "name": "Greet"}]
            self.answer({"id": "greeter", "name": "Greeter", "version": "1.0.0", "actions": actions})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        if self.path == "/shutdown":
            self.answer({"status": "shutting_down"})
            os._exit(0)
        name = body["config"]["name"]
        self.answer({"success": True, "output": {"message": f"Hello, {name}!"}, "logs": [], "metrics": {}})

    def answer(self, value):
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: {len(body)}\\r\\n\\r\\n"
        self.wfile.write(head.encode() + body)


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PLUGIN_PORT"])), Handler).serve_forever()
"""
FLOW = """\
flow:
  name: {name}
  steps:
"""
STEPS = 20
PORT_TRIES = 3
STEP = """\
    - action: greeter.greet
      config: {{name: customer {n}}}
"""


def measure(folder: Path, quick: bool) -> Figure:
    """Time the steps of flows of 20, and as many POSTs over one connection that carry the same config.

    Not one long flow: by the protocol each call carries the outputs of all steps before it.
    """
    calls = 200 if quick else 1000
    steps = "".join(STEP.format(n=n) for n in range(STEPS))
    suite = make_suite(
        folder,
        {
            "conftest.py": TIMER,
            "plugins/greeter/manifest.json": json.dumps(MANIFEST),
            "plugins/greeter/server.py": PLUGIN,
            "flows/a.yaml": FLOW.format(name="warm up") + STEP.format(n=0),
            **{f"flows/b{n}.yaml": FLOW.format(name=f"calls {n}") + steps for n in range(calls // STEPS)},
        },
    )

    def ours() -> float:
        run_pytest(suite, "flows")
        return sum(spent.call_s for name, spent in items_spent(suite).items() if name != "warm up")

    with _plugin_process(suite / "plugins" / "greeter") as port:
        pairs = measure_pairs(lambda: _post(port, calls), ours, count=3 if quick else 9)
    theirs_s, ours_s = pairs.medians()
    return pairs.ratio(
        a_call=f"{theirs_s / calls * 1e6:.0f} µs bare, {ours_s / calls * 1e6:.0f} µs a step "
        f"({(ours_s - theirs_s) / calls * 1e6:+.0f} µs)"
    )


def _post(port: int, calls: int) -> float:
    context = {"execution_id": "0" * 36, "flow_id": "0" * 36, "step_id": "step_1", "variables": {}, "step_outputs": {}}
    connection = http.client.HTTPConnection("127.0.0.1", port)
    started = time.perf_counter()
    for n in range(calls):
        request = {"action": "greeter.greet", "config": {"name": f"customer {n}"}, "context": context}
        connection.request("POST", "/execute", json.dumps(request), {"Content-Type": "application/json"})
        assert json.loads(connection.getresponse().read())["success"]
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


@contextmanager
def _plugin_process(folder: Path) -> Iterator[int]:
    """Run the plugin and give its port; again on another one if that was taken meanwhile."""
    for _ in range(PORT_TRIES):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        environ = {**os.environ, "PLUGIN_PORT": str(port), "PLUGIN_ID": "greeter"}
        with subprocess.Popen([sys.executable, "server.py"], cwd=folder, env=environ) as process:
            try:
                if _listens(process, limit_s=60.0):
                    yield port
                    return
            finally:
                process.kill()
    raise SystemExit(f"the plugin in {folder} does not listen")


def _listens(process: subprocess.Popen[bytes], limit_s: float) -> bool:
    """Wait until it does; False when it has ended before that."""
    end = time.monotonic() + limit_s
    while process.poll() is None and time.monotonic() < end:
        with suppress(psutil.Error):
            if any(each.status == psutil.CONN_LISTEN for each in psutil.Process(process.pid).net_connections()):
                return True
        time.sleep(0.02)
    return False
