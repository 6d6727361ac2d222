"""The run's own trace, read back from the real Jaeger: its shape, its times, and what a failure's report shows."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from run_spans import spans_of

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
MENDED = """
flow:
  name: {name}
  steps:
    - id: broken
      action: delay
      config: {{duration: 10ms}}
      assert: [1 == 2]
      error_steps:
        - {{id: mend, action: delay, config: {{duration: 60ms}}}}
        - {{id: look, action: delay, config: {{duration: 30ms}}}}
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


def run_until(folder: pytest.Pytester, jaeger: Mapping[str, Any], told: str) -> tuple[re.Match[str], str]:
    """Run a flow that fails until its report tells what is wanted: the look-up ends after two seconds in any case."""
    for _ in range(10):
        done = folder.runpytest_subprocess("-p", "no:randomly", "-W", "error", f"--testmesh-otel={jaeger['otlp_http']}")
        done.assert_outcomes(failed=1)
        found = re.search(told, done.stdout.str())
        if found is not None:
            return found, done.stdout.str()
    pytest.fail(f"ten reports, and none tells {told}:\n{done.stdout}")


@pytest.fixture
def traced(
    folder: pytest.Pytester, jaeger: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[str, dict[str, dict[str, Any]]]]:
    """``traced(flow, 6, passed=1)`` runs it until its six spans go out, and returns its name and the spans by theirs.

    The end of a run does not wait for a collector that says nothing for two seconds, as one on a busy machine may.
    """

    def run(flow: str, count: int, **outcome: int) -> tuple[str, dict[str, dict[str, Any]]]:
        for _ in range(10):
            name = f"run-{secrets.token_hex(4)}"
            monkeypatch.setenv("OTEL_SERVICE_NAME", name)
            folder.path.joinpath("traced.yaml").write_text(flow.format(name=name), encoding="utf-8")
            done = folder.runpytest_subprocess(
                "-p", "no:randomly", "-W", "error", f"--testmesh-otel={jaeger['otlp_http']}"
            )
            if "spans did not reach" not in done.stdout.str():
                done.assert_outcomes(**outcome)
                return name, {span["operationName"]: span for span in spans_of(jaeger, name, count)}
        pytest.fail(f"ten runs, and the spans of none reach Jaeger:\n{done.stdout}")

    return run


def parent(span: dict[str, Any]) -> str | None:
    return next((each["spanID"] for each in span["references"] if each["refType"] == "CHILD_OF"), None)


def test_a_flow_of_five_steps_is_six_spans(folder: pytest.Pytester, traced: Callable[..., Any]) -> None:
    folder.makeconftest(TELL)
    name, found = traced(FIVE, 6, passed=1)

    reported = json.loads(folder.path.joinpath("steps.json").read_text(encoding="utf-8"))
    assert {name, "one", "two", "three", "four", "five"} == found.keys()
    assert None is parent(found[name])
    assert {found[name]["spanID"]} == {parent(found[step["id"]]) for step in reported}
    late_ms = {step["id"]: abs(found[step["id"]]["duration"] / 1e3 - step["duration_s"] * 1e3) for step in reported}
    assert {} == {step: ms for step, ms in late_ms.items() if ms > 0.01}


def test_error_steps_lie_within_the_span_of_their_step(traced: Callable[..., Any]) -> None:
    name, found = traced(MENDED, 4, failed=1)

    begin_us = {each: span["startTime"] for each, span in found.items()}
    end_us = {each: begin_us[each] + span["duration"] for each, span in found.items()}
    assert [name, "broken", "mend", "look"] == sorted(found, key=lambda each: begin_us[each])
    assert end_us["broken"] >= end_us["look"] - 2  # start and duration are both cut to microseconds
    assert end_us[name] >= end_us["broken"] - 2
    assert {found["broken"]["spanID"]} == {parent(found["mend"]), parent(found["look"])}


def test_a_failure_shows_the_spans_of_its_step(folder: pytest.Pytester, jaeger: Mapping[str, Any]) -> None:
    folder.path.joinpath("shop.yaml").write_text(
        "flow:\n  name: shop\n  steps:\n    - {id: early, action: log, config: {message: hi}}\n"
        "    - {id: order, action: http_request, config: {url: 'http://127.0.0.1:1/orders'}}\n",
        encoding="utf-8",
    )
    folder.makeini(f"[pytest]\ntestmesh_jaeger_url = {jaeger['url']}\n")

    told = r"\n  trace     [0-9a-f]{32}\n  spans     pytest-testmesh order [\d.]+ ms error: .*refused"
    _, text = run_until(folder, jaeger, told)

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
    urllib.request.urlopen(request, timeout=60).close()
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
        "    - {id: order, action: log, config: {message: hi}, assert: [1 == 2]}\n",
        encoding="utf-8",
    )
    folder.makeini(f"[pytest]\ntestmesh_loki_url = {loki}\ntestmesh_jaeger_url = {jaeger['url']}\n")

    run_until(folder, jaeger, r"\n  trace     ([0-9a-f]{32})\n(?s:.*)\n  logs      \S+ card declined trace_id=\1\n")


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
