"""A plugin that lists the actions of ``actions.json`` and answers what it was sent."""

import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

ACTIONS = json.loads(Path(__file__).with_name("actions.json").read_text())


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"/health": {"status": "healthy"}}.get(self.path, {"id": "x", "actions": ACTIONS}))

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        self.answer({"success": True, "output": {"got": body.get("config", {})}})
        if self.path == "/shutdown":
            os._exit(0)

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


HTTPServer(("127.0.0.1", int(os.environ["PLUGIN_PORT"])), Handler).serve_forever()
