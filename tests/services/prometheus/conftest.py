"""A real Prometheus that scrapes an exporter of ours, and the other side of it by plain urllib."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def prometheus(service: Any) -> Any:
    """The common Prometheus."""
    return service("prometheus")


@dataclass
class Exporter:
    """Shows *text* at ``/metrics``, as a service of the label *app* would."""

    app: str
    text: str = ""
    scrapes: list[float] = field(default_factory=list)


@pytest.fixture
def exporter(prometheus: Any, unique: str) -> Iterator[Exporter]:
    """An exporter that the common Prometheus scrapes each second, with the label ``app`` = `unique`."""
    folder = prometheus.facts.get("targets_dir")
    if folder is None:
        pytest.skip(f"{prometheus.source} names no targets_dir of its prometheus")
    made = Exporter(unique)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    target = Path(folder, f"{unique}.json")
    target.write_text(
        json.dumps([{"targets": [f"127.0.0.1:{server.server_port}"], "labels": {"app": unique}}]), encoding="utf-8"
    )
    yield made
    target.unlink()
    server.shutdown()
    server.server_close()
    thread.join()


def _handler(exporter: Exporter) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            exporter.scrapes.append(time.time())
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(exporter.text.encode())

    return Handler


@pytest.fixture
def on_server(prometheus: Any) -> Callable[..., list[Any]]:
    """``on_server("up", time="2026-11-23T00:45:55Z")`` returns what Prometheus tells urllib."""

    def run(query: str, **params: str) -> list[Any]:
        url = f"{prometheus.url}/api/v1/query?{urllib.parse.urlencode({'query': query, **params})}"
        with urllib.request.urlopen(url, timeout=60) as response:
            result: list[Any] = json.load(response)["data"]["result"]
        return result

    return run
