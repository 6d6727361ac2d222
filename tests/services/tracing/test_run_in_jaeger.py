"""The run's own trace, read back from the real Jaeger: its shape, its times, and what a failure's report shows."""

from __future__ import annotations

import json
import re
import secrets
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest

FIVE = """
flow:
  name: {name}
  steps:
    - {{id: one, action: log, config: {{message: hello}}}}
    - {{id: two, action: delay, config: {{duration: 30ms}}}}
    - {{id: three, action: delay, config: {{duration: 60ms}}}}
    - {{id: four, action: log, config: {{message: hello}}}}
    - {{id: five, action: delay, config: {{duration: 10ms}}}}
"""
TELL = """
import json, pathlib

def pytest_runtest_logreport(report):
    if report.when == "call":
        pathlib.Path("steps.json").write_text(json.dumps(report.testmesh["steps"]))
"""


@pytest.fixture
def jaeger(service: Any) -> Mapping[str, Any]:
    """The facts of the common Jaeger."""
    found: Mapping[str, Any] = service("jaeger").facts
    return found


@pytest.fixture
def folder(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder for flows, without settings of the developer's own."""
    for name in ("TESTMESH_JAEGER_URL", "TESTMESH_TEMPO_URL", "TESTMESH_LOKI_URL", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    return pytester


def spans(jaeger: Mapping[str, Any], service: str, count: int) -> list[dict[str, Any]]:
    """The spans of the only trace of *service*, by Jaeger's own API for its page, as soon as there are *count*."""
    end = time.monotonic() + 10
    while True:
        with urllib.request.urlopen(f"{jaeger['url']}/api/traces?service={service}&lookback=1h", timeout=10) as answer:
            traces = json.load(answer)["data"]
        if traces and len(traces[0]["spans"]) >= count:
            (trace,) = traces
            found: list[dict[str, Any]] = trace["spans"]
            return found
        assert time.monotonic() < end, f"Jaeger has {traces} of {service}"
        time.sleep(0.1)


def parent(span: dict[str, Any]) -> str | None:
    return next((each["spanID"] for each in span["references"] if each["refType"] == "CHILD_OF"), None)


def test_a_flow_of_five_steps_is_six_spans(
    folder: pytest.Pytester, jaeger: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"run-{secrets.token_hex(4)}"
    monkeypatch.setenv("OTEL_SERVICE_NAME", name)
    folder.path.joinpath("five.yaml").write_text(FIVE.format(name=name), encoding="utf-8")
    folder.makeconftest(TELL)

    done = folder.runpytest_subprocess("-p", "no:randomly", "-W", "error", f"--testmesh-otel={jaeger['otlp_http']}")

    done.assert_outcomes(passed=1)
    found = {span["operationName"]: span for span in spans(jaeger, name, 6)}
    reported = json.loads(folder.path.joinpath("steps.json").read_text(encoding="utf-8"))
    assert {name, "one", "two", "three", "four", "five"} == found.keys()
    assert None is parent(found[name])
    assert {found[name]["spanID"]} == {parent(found[step["id"]]) for step in reported}
    late_ms = {step["id"]: abs(found[step["id"]]["duration"] / 1e3 - step["duration_s"] * 1e3) for step in reported}
    assert {} == {step: ms for step, ms in late_ms.items() if ms > 5}


def test_a_failure_shows_the_spans_of_its_step(folder: pytest.Pytester, jaeger: Mapping[str, Any]) -> None:
    folder.path.joinpath("shop.yaml").write_text(
        "flow:\n  name: shop\n  steps:\n    - {id: early, action: log, config: {message: hi}}\n"
        "    - {id: order, action: http_request, config: {url: 'http://127.0.0.1:1/orders'}}\n",
        encoding="utf-8",
    )
    folder.makeini(f"[pytest]\ntestmesh_jaeger_url = {jaeger['url']}\n")

    done = folder.runpytest_subprocess("-p", "no:randomly", "-W", "error", f"--testmesh-otel={jaeger['otlp_http']}")

    done.assert_outcomes(failed=1)
    text = done.stdout.str()
    assert re.search(r"\n  trace     [0-9a-f]{32}\n  spans     pytest-testmesh order [\d.]+ ms error: .*refused", text)
    assert "pytest-testmesh early" not in text


WRITES_LOG = """
import json, time, urllib.request, pytest

def write(config, context):
    line = f"card declined trace_id={context.traceparent.split('-')[1]}"
    stream = {"stream": {"service_name": "payments"}, "values": [[str(time.time_ns()), line]]}
    request = urllib.request.Request(
        f"{config['loki']}/loki/api/v1/push", json.dumps({"streams": [stream]}).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()
    return {}

@pytest.hookimpl(optionalhook=True)
def pytest_testmesh_actions(registry):
    registry.add("shop.write", write)
"""


def test_a_failure_shows_the_log_lines_of_its_trace(
    folder: pytest.Pytester, service: Any, jaeger: Mapping[str, Any]
) -> None:
    loki = service("loki").facts["url"]
    folder.makeconftest(WRITES_LOG)
    folder.path.joinpath("shop.yaml").write_text(
        f"flow:\n  name: shop\n  steps:\n    - {{id: pay, action: shop.write, config: {{loki: '{loki}'}}}}\n"
        "    - {id: wait, action: delay, config: {duration: 1s}}\n"
        "    - {id: order, action: log, config: {message: hi}, assert: [1 == 2]}\n",
        encoding="utf-8",
    )
    folder.makeini(f"[pytest]\ntestmesh_loki_url = {loki}\ntestmesh_jaeger_url = {jaeger['url']}\n")

    done = folder.runpytest_subprocess("-p", "no:randomly", "-W", "error", f"--testmesh-otel={jaeger['otlp_http']}")

    trace_id = re.search(r"\n  trace     ([0-9a-f]{32})\n", done.stdout.str())
    assert trace_id is not None
    assert re.search(rf"\n  logs      \S+ card declined trace_id={trace_id[1]}\n", done.stdout.str())


def test_otel_assert_sees_no_spans_of_the_run_itself(folder: pytest.Pytester, jaeger: Mapping[str, Any]) -> None:
    folder.path.joinpath("traced.yaml").write_text(
        "flow:\n  name: traced\n  steps:\n    - {id: trace, action: otel.inject}\n"
        "    - {action: delay, config: {duration: 1200ms}}\n"
        "    - {action: otel.assert, config: {trace_id: '${trace.trace_id}', min_spans: 1, within: 1s}}\n",
        encoding="utf-8",
    )
    folder.makeini(f"[pytest]\ntestmesh_jaeger_url = {jaeger['url']}\n")

    done = folder.runpytest_subprocess("-p", "no:randomly", "-W", "error", f"--testmesh-otel={jaeger['otlp_http']}")

    done.assert_outcomes(failed=1)
    assert "count >= 1 is false: count is 0" in done.stdout.str()
