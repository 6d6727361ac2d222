"""A Tempo that replays what a real one answered, the real Jaeger, a real Tempo if there is one; traces in each."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from replayed_tempo import ANSWERS, ReplayedTempo, replayed

from pytest_testmesh.integrations import otel as actions
from pytest_testmesh.polling import NEVER, Deadline

SENT = (ANSWERS / "otlp-sent.json").read_text(encoding="utf-8")
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
FIRST_START_NS = 1795364936862344419
TEMPO_URL = os.environ.get("TESTMESH_TEMPO_URL")
TEMPO_OTLP_URL = os.environ.get("TESTMESH_TEMPO_OTLP_URL")
"""Where a real Tempo takes OTLP over HTTP, such as http://127.0.0.1:4318."""


@pytest.fixture
def tempo() -> Iterator[ReplayedTempo]:
    """A Tempo of recorded answers."""
    with replayed() as server:
        yield server


@pytest.fixture
def step(make_context: Callable[..., Any]) -> Callable[..., Any]:
    """``step(trace_id=..., backend_url=...)`` runs one ``otel.assert``."""

    def run(deadline: Deadline = NEVER, settings: Mapping[str, str] | None = None, **config: Any) -> Any:
        return actions.otel_assert(config, make_context(deadline, **(settings or {})))

    return run


@dataclass(frozen=True)
class Stored:
    """The recorded trace in a backend: its URL, the trace's id, the names of the two services, and how long to wait."""

    url: str
    trace_id: str
    orders: str
    payments: str
    searchable_s: float

    @property
    def variables(self) -> dict[str, str]:
        """The same for a flow."""
        return {
            "BACKEND_URL": self.url,
            "TRACE_ID": self.trace_id,
            "ORDERS": self.orders,
            "PAYMENTS": self.payments,
            "WITHIN": f"{self.searchable_s}s",
        }


def post(url: str, body: Any) -> None:
    """Send OTLP as JSON."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/v1/traces", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        response.read()


def moved(value: Any, by_ns: int) -> Any:
    """Return OTLP with all its times *by_ns* later."""
    if isinstance(value, dict):
        return {
            key: str(int(each) + by_ns) if key.endswith("UnixNano") else moved(each, by_ns)
            for key, each in value.items()
        }
    return [moved(each, by_ns) for each in value] if isinstance(value, list) else value


def send(server: Any, unique: str, by_ns: int = 0) -> tuple[str, str, str]:
    """Send the recorded trace under another id and for services of this test alone; return these."""
    trace_id = secrets.token_hex(16)
    text = SENT.replace(TRACE_ID, trace_id).replace("-service", f"-{unique}")
    kept = json.loads(text)
    kept["resourceSpans"] = kept["resourceSpans"][:2]
    post(server["otlp_http"], moved(kept, by_ns))
    return trace_id, f"order-{unique}", f"payment-{unique}"


def real_tempo(service: Any) -> Mapping[str, str]:
    """Return where a real Tempo is, or skip the test."""
    if TEMPO_URL:
        if not TEMPO_OTLP_URL:
            pytest.skip("TESTMESH_TEMPO_URL is set, but not TESTMESH_TEMPO_OTLP_URL, where the traces are to be sent")
        return {"url": TEMPO_URL, "otlp_http": TEMPO_OTLP_URL}
    pytest.skip("TESTMESH_TEMPO_URL names no real Tempo")


def now_ns() -> int:
    """Return by how much the recorded trace must be moved to have ended a moment ago."""
    return time.time_ns() - FIRST_START_NS - 2_000_000_000


@pytest.fixture
def jaeger(service: Any) -> Mapping[str, Any]:
    """The facts of the common Jaeger."""
    found: Mapping[str, Any] = service("jaeger").facts
    return found


@pytest.fixture(params=["recorded tempo", "jaeger", "tempo"])
def stored(request: pytest.FixtureRequest, service: Any, unique: str) -> Stored:
    """The recorded trace in each backend."""
    if request.param == "recorded tempo":
        url = request.getfixturevalue("tempo").url
        return Stored(url, TRACE_ID, "order-service", "payment-service", 30)
    server = service("jaeger").facts if request.param == "jaeger" else real_tempo(service)
    return Stored(server["url"], *send(server, unique, now_ns()), 60 if request.param == "jaeger" else 120)


@pytest.fixture
def send_recorded(jaeger: Mapping[str, Any], unique: str) -> Callable[[], tuple[str, str, str]]:
    """``send_recorded()`` sends the recorded trace, with its times, to Jaeger; see `send`."""
    return lambda: send(jaeger, unique)


@pytest.fixture
def closed_url() -> Iterator[str]:
    """An address that nothing listens on; it is held, so that nobody else does either."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def send_spans(jaeger: Mapping[str, Any], unique: str) -> Callable[..., str]:
    """``send_spans({"spanId": ..., "name": ...})`` sends spans of a new trace to Jaeger and returns its id."""

    def send_all(*spans: Mapping[str, Any]) -> str:
        trace_id = secrets.token_hex(16)
        now = {"startTimeUnixNano": str(time.time_ns()), "endTimeUnixNano": str(time.time_ns())}
        whole = [{"traceId": trace_id, **now, **span} for span in spans]
        text = json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": whole}]}]})
        post(jaeger["otlp_http"], json.loads(text.replace("THE TRACE", trace_id)))
        return trace_id

    return send_all
