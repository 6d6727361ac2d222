"""A real Loki, and the other side of it by plain urllib."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

Push = Callable[..., int]


@pytest.fixture
def loki(service: Any) -> Any:
    """The common Loki."""
    return service("loki")


@pytest.fixture
def push(loki: Any, unique: str) -> Push:
    """``push("line", {"trace_id": "t"}, level="info")`` writes a line of app `unique`; returns its time in ns."""

    def run(line: str, metadata: dict[str, str] | None = None, ahead_s: float = 0, **labels: str) -> int:
        time_ns = time.time_ns() + round(ahead_s * 1e9)
        value = [str(time_ns), line, *([metadata] if metadata else [])]
        body = json.dumps({"streams": [{"stream": {"app": unique, **labels}, "values": [value]}]}).encode()
        request = urllib.request.Request(
            f"{loki.url}/loki/api/v1/push", body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert 204 == response.status
        return time_ns

    return run


@pytest.fixture
def on_server(loki: Any, unique: str) -> Callable[[], list[str]]:
    """``on_server()`` returns the lines of app `unique`, oldest first, as Loki tells them to urllib."""

    def run() -> list[str]:
        params = urllib.parse.urlencode({"query": f'{{app="{unique}"}}', "direction": "forward"})
        with urllib.request.urlopen(f"{loki.url}/loki/api/v1/query_range?{params}", timeout=10) as response:
            streams = json.load(response)["data"]["result"]
        return [line for _, line in sorted(value for stream in streams for value in stream["values"])]

    return run


@pytest.fixture
def wait_until_ready(loki: Any) -> Callable[[], None]:
    """``wait_until_ready()`` returns when Loki answers queries again, after a fault."""

    def run() -> None:
        url = f"{loki.url}/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D"
        end = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return
            except (urllib.error.URLError, OSError) as exc:
                if time.monotonic() > end:
                    pytest.fail(f"Loki does not come back: {exc}")
                time.sleep(0.05)

    return run
