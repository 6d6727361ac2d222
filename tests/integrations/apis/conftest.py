"""An HTTP API on loopback that gives the answers it is told, for what real servers of one version cannot show."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest


@dataclass
class Asked:
    """One request as the server saw it; header names in lower case."""

    method: str
    path: str
    query: str
    params: dict[str, list[str]]
    headers: dict[str, str]


@dataclass
class ScriptedApi:
    """Gives *answers* one after the other, the last one again and again."""

    port: int = 0
    answers: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, body: object, status: int = 200, **headers: str) -> None:
        """Add an answer: JSON, or text as it is."""
        text = body if isinstance(body, str) else json.dumps(body)
        self.answers.append((status, text.encode(), {name.replace("_", "-"): each for name, each in headers.items()}))

    def next_answer(self) -> tuple[int, bytes, dict[str, str]]:
        """Return what comes now."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def _handler(api: ScriptedApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            api.asked.append(Asked(self.command, parts.path, parts.query, parse_qs(parts.query or body), headers))
            status, answer, more = api.next_answer()
            self.send_response_only(status)  # no date: a test that cares for it gives its own
            for name, value in {"Content-Length": str(len(answer)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET

    return Handler


@pytest.fixture
def api(steps: Any) -> Iterator[ScriptedApi]:
    """A scripted API; the connections of `steps` are closed before it."""
    scripted = ScriptedApi()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(scripted))
    server.daemon_threads = True
    scripted.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield scripted
    steps.session.close()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def ask(api: ScriptedApi, steps: Any) -> Callable[..., Any]:
    """``ask("/path", params, auth=...)`` asks `api` as a service of the name Thing."""
    from pytest_testmesh.integrations._http_api import Access, HttpApi
    from pytest_testmesh.integrations._within import look_deadline

    def run(path: str = "/api", params: Any = None, url: str | None = None, form: bool = False, **config: Any) -> Any:
        context = steps.context()
        thing = HttpApi("Thing", url or api.url, Access.of(config, context))
        return thing.ask(path, params or {}, deadline=look_deadline(config, context.deadline), form=form)

    return run
