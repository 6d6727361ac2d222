#!/usr/bin/env bash
# A plugin in bash. The actions are bash functions; bash cannot listen on a port, so a few lines of Python at the
# end do that part: for each step they run this file again, as `server.sh run ACTION`.
set -euo pipefail

info() {
  cat <<'JSON'
{
  "id": "my-bash-plugin", "name": "Text statistics in bash", "version": "1.0.0",
  "actions": [
    {
      "id": "my-bash-plugin.count", "name": "Count", "description": "Counts lines, words and bytes of a text",
      "schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    },
    {
      "id": "my-bash-plugin.grep", "name": "Grep", "description": "Counts the lines that match a pattern",
      "schema": {
        "type": "object",
        "properties": {"text": {"type": "string"}, "pattern": {"type": "string"}},
        "required": ["text", "pattern"]
      }
    }
  ]
}
JSON
}

# An action finds its config in CONFIG_<key> and prints its output as a JSON object. What it prints to stderr is
# logged; an exit code other than 0 fails the step, with the last line of stderr as the message.
count() {
  local lines words bytes
  read -r lines words bytes < <(printf '%s' "$CONFIG_text" | wc)
  echo "counted $bytes bytes" >&2
  printf '{"lines": %d, "words": %d, "bytes": %d}' "$lines" "$words" "$bytes"
}

grep_lines() {
  local matches
  matches=$(printf '%s\n' "$CONFIG_text" | grep -c -- "$CONFIG_pattern") || {
    echo "no line matches $CONFIG_pattern" >&2
    exit 4
  }
  printf '{"matches": %d}' "$matches"
}

case "${1:-serve}" in
  info) info; exit ;;
  run)
    case "$2" in
      my-bash-plugin.count) count ;;
      my-bash-plugin.grep) grep_lines ;;
      *) echo "there is no action $2" >&2; exit 2 ;;
    esac
    exit ;;
esac

command -v python3 >/dev/null || { echo "my-bash-plugin needs python3 on PATH, to listen on a port" >&2; exit 1; }
exec python3 - "$0" <<'PYTHON'
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

SCRIPT = sys.argv[1]
INFO = json.loads(subprocess.check_output(["bash", SCRIPT, "info"]))


def execute(request):
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in request["config"].items()}
    environment = {**os.environ, **{f"CONFIG_{key}": text for key, text in texts.items()}}
    done = subprocess.run(
        ["bash", SCRIPT, "run", request["action"]], env=environment, capture_output=True, text=True, errors="replace"
    )
    said = done.stderr.strip().splitlines()
    answer = {"logs": [{"level": "info", "message": line} for line in said]}
    if done.returncode == 0:
        return {**answer, "success": True, "output": json.loads(done.stdout or "{}")}
    message = said[-1] if said else "the script failed without a message"
    error = {"code": f"EXIT_{done.returncode}", "message": message, "details": {"action": request["action"]}}
    return {**answer, "success": False, "output": {}, "error": error}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        pages = {"/health": {"status": "healthy", "version": INFO["version"]}, "/info": INFO}
        self.answer(pages.get(self.path))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/shutdown":
            self.answer({"message": "shutting down"})
            os._exit(0)
        self.answer(execute(json.loads(body)) if self.path == "/execute" else None)

    def answer(self, data):
        body = json.dumps(data or {"error": "not found"}).encode()
        self.send_response(200 if data else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *args):
        pass


HTTPServer(("127.0.0.1", int(os.environ["PLUGIN_PORT"])), Handler).serve_forever()
PYTHON
