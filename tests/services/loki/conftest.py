"""A real Loki, and the other side of it by plain urllib."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from itertools import repeat
from typing import Any

import pytest

from pytest_testmesh.polling import Deadline, attempts

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
        for _ in attempts(repeat(0.05), Deadline.after(60, "")):  # one that just started says 500 for a moment
            with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=60) as response:
                assert 204 == response.status
                return time_ns
        pytest.fail("Loki takes no lines")

    return run


@pytest.fixture
def on_server(loki: Any, unique: str) -> Callable[[], list[str]]:
    """``on_server()`` returns the lines of app `unique`, oldest first, as Loki tells them to urllib."""

    def run() -> list[str]:
        params = urllib.parse.urlencode({"query": f'{{app="{unique}"}}', "direction": "forward"})
        with urllib.request.urlopen(f"{loki.url}/loki/api/v1/query_range?{params}", timeout=60) as response:
            streams = json.load(response)["data"]["result"]
        return [line for _, line in sorted(value for stream in streams for value in stream["values"])]

    return run
