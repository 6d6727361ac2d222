"""``prometheus.*`` while a real Prometheus freezes, dies and starts again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from real_server import free_port

from pytest_testmesh.errors import ActionTimeoutError, TargetUnavailableError
from pytest_testmesh.integrations.prometheus import prometheus_assert, prometheus_query
from pytest_testmesh.polling import NEVER, Deadline

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def fragile(prometheus: Any, wait_until_ready: Callable[[], None]) -> Iterator[Any]:
    """The common Prometheus, which runs again afterwards."""
    pid = prometheus.facts.get("pid")
    if pid is None:
        pytest.skip(f"the pid of prometheus is not known to {prometheus.source}")
    yield prometheus
    if not os.path.exists(f"/proc/{prometheus.facts['pid']}"):
        prometheus.restart()
    wait_until_ready()


@pytest.fixture
def step(fragile: Any, make_context: Callable[..., Any]) -> Callable[..., Any]:
    """``step(prometheus_query)`` runs one step."""

    def run(action: Callable[..., Any], deadline: Deadline = NEVER, **config: Any) -> Any:
        return action({"query": "vector(1)", "url": fragile.url, **config}, make_context(deadline))

    return run


def test_a_frozen_prometheus_ends_a_step_in_time(step: Callable[..., Any], fragile: Any) -> None:
    step(prometheus_query)
    with fragile.frozen():
        with pytest.raises(ActionTimeoutError, match=r"waiting for the response headers \(step timeout 300ms\)"):
            step(prometheus_query, Deadline.after(0.3, "step timeout 300ms"))
        with pytest.raises(ActionTimeoutError, match=r"waiting for the response headers \(timeout 0\.2s\)"):
            step(prometheus_query, timeout="0.2s")
        with pytest.raises(ActionTimeoutError, match=r"waiting for the response headers \(within 200ms\)"):
            step(prometheus_assert, within="200ms")

    assert 1 == step(prometheus_query)["value"]


def test_a_prometheus_that_restarted_between_two_steps_is_used(step: Callable[..., Any], fragile: Any) -> None:
    step(prometheus_query)
    os.kill(fragile.facts["pid"], signal.SIGKILL)
    with pytest.raises(TargetUnavailableError, match=r"query: (connection refused|the server closed|the conn)"):
        step(prometheus_query)
    fragile.restart()

    assert 1 == step(prometheus_assert, within="20s")["value"]


_KNOWN_CAUSES = re.compile(
    r"connection refused|the server closed the connection|the connection broke"
    r"|Prometheus is not ready: |query: (500|503) |Prometheus is there but not ready|Prometheus gave the query up"
    r"|timed out after .* waiting for (the response headers|the rest of the body|a connection)"
)


def test_fault_run(flows: Any, fragile: Any, exporter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While flows run one after the other Prometheus freezes, dies and starts again."""
    monkeypatch.setenv("TESTMESH_PROMETHEUS_URL", fragile.url)
    exporter.text = "orders_total 42\n"
    steady = flows.add("prometheus/steady.yaml")
    for number in range(40):
        shutil.copy(steady, steady.with_name(f"flow_{number:02}.yaml"))
    flows.add("prometheus/afterwards.yaml").rename(steady.with_name("flow_z.yaml"))
    gate = free_port()
    running = flows.start("prometheus", APP=exporter.app, GATE=gate)
    running.wait_for_flows(2)
    with fragile.frozen():
        running.wait_for_flows(2)
    os.kill(fragile.facts["pid"], signal.SIGKILL)
    running.wait_for_flows(3)
    fragile.restart()
    with socket.create_server(("127.0.0.1", gate)):
        done = flows.finish(running)

    assert [] == [cause for cause in done.causes if not _KNOWN_CAUSES.search(cause)]
    for fault in ("timed out", "connection refused"):
        assert fault in "".join(done.causes)
    assert "flow_z" not in "".join(done.causes)
    assert 42 == done.outcomes["passed"] + done.outcomes["failed"], done.text
