"""A small HTTP server that gives the answers which a real Tempo gave; what is recorded stands in ``index.json``."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ANSWERS = Path(__file__).parents[1] / "otel" / "tempo_answers"
INDEX: Mapping[str, Any] = json.loads((ANSWERS / "index.json").read_text(encoding="utf-8"))
TIMES = frozenset({"start", "end", "spss", "limit"})
"""Parameters that say how much is wanted; what was recorded is given whatever they are."""


@dataclass(frozen=True)
class Answer:
    """A status, a content type and a body."""

    status: int
    content_type: str
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass
class Heard:
    """One request that came in."""

    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]


def recorded(name: str) -> Answer:
    """Return the answer *name*."""
    found = next(each for each in INDEX["answers"] if each["name"] == name)
    return Answer(found["status"], found["content_type"] or "", (ANSWERS / found["body_file"]).read_bytes())


def _key(url: str, accept: str) -> tuple[Any, ...]:
    parts = urlsplit(url)
    *folders, last = parts.path.split("/")
    last = last.lstrip("0") if folders[-1] == "traces" else last  # Tempo fills short ids up itself
    pairs = dict(parse_qsl(parts.query))
    asked = sorted((name, value) for name, value in pairs.items() if name not in TIMES)
    return (*folders, last, *asked, pairs.get("limit") == "-1", accept)


_BY_REQUEST = {_key(each["path"], each["accept"]): each["name"] for each in reversed(INDEX["answers"])}


@dataclass
class ReplayedTempo:
    """*change* may give another answer for a path than the recorded one; *given* are the names that were given."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    change: Callable[[Heard], Answer | None] = lambda heard: None
    kind: str = "application/json"

    def answer(self, target: str, headers: Mapping[str, str]) -> Answer:
        """Return what to answer."""
        parts = urlsplit(target)
        heard = Heard(parts.path, dict(parse_qsl(parts.query)), headers)
        self.heard.append(heard)
        return self.change(heard) or recorded(self._named(target))

    def _named(self, target: str) -> str:
        nothing = "search-none" if urlsplit(target).path == "/api/search" else "unknown"
        nothing = "trace-v2-missing" if target.startswith("/api/v2/traces/") else nothing
        name = _BY_REQUEST.get(_key(target, self.kind), nothing)
        self.given.append(name)
        return name


@contextmanager
def replayed() -> Iterator[ReplayedTempo]:
    """Serve the recorded answers on a loopback port."""
    tempo = ReplayedTempo()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = tempo.answer(self.path, dict(self.headers.items()))
            self.send_response(answer.status)
            if answer.content_type:
                self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        tempo.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield tempo
        server.shutdown()
