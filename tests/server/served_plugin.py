"""A plugin for the tests of the server; its id says how it behaves, words joined by ``-``.

``held`` starts once its folder has a file ``go``, ``broken`` exits at once, ``detaching`` leaves a process in a session
of its own, ``never`` does not even listen, ``deaf`` does not know ``/shutdown`` and ignores SIGTERM.
"""

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

PLUGIN_ID = os.environ["PLUGIN_ID"]
MANNERS = PLUGIN_ID.split("-")

if "broken" in MANNERS:
    sys.exit("ValueError: this plugin is broken")
if "detaching" in MANNERS:
    left = [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"]
    # Its environment, by which it is found, can be read only a moment after the start.
    subprocess.Popen(left, stdout=subprocess.PIPE, start_new_session=True).stdout.readline()
if "deaf" in MANNERS:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
while "held" in MANNERS and not os.path.exists("go"):
    time.sleep(0.01)
if "never" in MANNERS:
    time.sleep(600)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        actions = [{"id": f"{PLUGIN_ID}.run", "name": "Run", "schema": {"type": "object"}}]
        self.answer({"status": "healthy", "id": PLUGIN_ID, "actions": actions})

    def do_POST(self):
        if self.path != "/shutdown" or "deaf" in MANNERS:
            self.send_error(404)
            return
        self.answer({})
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
