"""Tracing that is set up wrongly, and collectors that are dead: one line each, no failed test, no long wait."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

SAY = "steps: [{id: say, action: t.note, config: {say: hello}}]"
BROKEN = "steps: [{id: sell, action: t.script, config: {say: s, answers: [broken]}}]"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith(("TESTMESH_", "OTEL_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def deaf_url() -> Iterator[str]:
    """A collector that takes connections, as the kernel does for it, and reads nothing from them."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("OTEL_TRACES_SAMPLER", "nonsense", "Couldn't recognize sampler nonsense"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "abc", "Unable to parse value for OTEL_BSP_EXPORT_TIMEOUT as integer"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "abc", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT must be a non-negative integer"),
        ("OTEL_RESOURCE_ATTRIBUTES", "broken", "Invalid key value resource attribute pair broken"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "sekret-token", r"Header format invalid! .*: \*{3} \(in OTEL_EXP"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "Authorization: Bearer sekret-token",
            r"Header format invalid! .*: \*{3} \(in OTEL_EXP",
        ),
    ],
)
def test_a_variable_that_is_not_understood_is_one_line(
    mesh: Any, closed_port: int, variable: str, value: str, told: str
) -> None:
    mesh.flow("house", SAY)

    run = mesh.run_apart(f"--testmesh-otel=http://127.0.0.1:{closed_port}", env={variable: value})

    lines = [each for each in run.text.splitlines() if each.startswith("testmesh:") and "did not reach" not in each]
    assert {"passed": 1} == run.outcomes, run.text
    assert 1 == len(lines), run.text
    assert re.search(told, lines[0])
    assert "sekret" not in run.text + run.errors
    assert "Traceback" not in run.text + run.errors


def test_a_dead_collector_costs_two_seconds_in_total(mesh: Any, deaf_url: str) -> None:
    for number in range(20):
        mesh.flow(f"flow{number}", BROKEN)

    run = mesh.run_apart(f"--testmesh-otel={deaf_url}")

    took_s = [float(each) for each in re.findall(r"in ([\d.]+)s", run.text.splitlines()[-1])]
    assert {"failed": 20} == run.outcomes
    assert 1 == run.text.count("testmesh: 40 of 40 spans did not reach"), run.text
    assert took_s[0] < 30  # twenty failures that waited, each for its own spans, would take forty
