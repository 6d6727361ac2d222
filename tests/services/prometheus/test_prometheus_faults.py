"""``prometheus.*`` while a real Prometheus freezes, dies and starts again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from faults import Fallible, run_through_faults
from fragile_servers import FragileServer, fragile_server
from meanwhile import after_a_look

from pytest_testmesh.errors import ActionTimeoutError, StepAssertionError, TargetUnavailableError
from pytest_testmesh.integrations.prometheus import prometheus_assert, prometheus_query
from pytest_testmesh.polling import NEVER, Deadline

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def fragile(prometheus: Any) -> Iterator[FragileServer]:
    """The common Prometheus, which runs again afterwards."""
    with fragile_server(prometheus, f"{prometheus.url}/api/v1/query?query=1") as server:
        yield server


@pytest.fixture
def step(fragile: FragileServer, make_context: Callable[..., Any]) -> Callable[..., Any]:
    """``step(prometheus_query)`` runs one step."""

    def run(action: Callable[..., Any], deadline: Deadline = NEVER, **config: Any) -> Any:
        return action({"query": "vector(1)", "url": fragile.url, **config}, make_context(deadline))

    return run


def test_a_frozen_prometheus_ends_a_step_in_time(step: Callable[..., Any], fragile: FragileServer) -> None:
    step(prometheus_query)
    with fragile.frozen():
        with pytest.raises(ActionTimeoutError, match=r"timed out after .* waiting for .* \(step timeout 1s\)"):
            step(prometheus_query, Deadline.after(1, "step timeout 1s"))
        with pytest.raises(ActionTimeoutError, match=r"timed out after .* waiting for .* \(timeout 1s\)"):
            step(prometheus_query, timeout="1s")
        with pytest.raises(ActionTimeoutError, match=r"timed out after .* waiting for .* \(within 200ms\)"):
            step(prometheus_assert, within="200ms")

    assert 1 == step(prometheus_query)["value"]


def test_a_prometheus_that_freezes_while_a_step_waits_is_told(
    fragile: FragileServer, make_context: Callable[..., Any]
) -> None:
    context = make_context()
    config = {"query": "vector(1)", "url": fragile.url, "within": "5s", "timeout": "2s", "assert": ["count == 5"]}
    with ExitStack() as stack:
        with (
            pytest.raises(StepAssertionError, match="count == 5 is false") as caught,
            after_a_look(context, lambda: stack.enter_context(fragile.frozen())),
        ):
            prometheus_assert(config, context)

    assert "but the last look got no answer: GET" in str(caught.value.hint)


def test_a_prometheus_that_restarted_between_two_steps_is_used(
    step: Callable[..., Any], fragile: FragileServer
) -> None:
    step(prometheus_query)
    fragile.kill()
    with pytest.raises(TargetUnavailableError, match=r"query: (connection refused|the server closed|the conn)"):
        step(prometheus_query)
    fragile.restart()

    assert 1 == step(prometheus_assert, within="60s")["value"]


def test_fault_run(flows: Any, fragile: FragileServer, exporter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While flows run one after the other Prometheus freezes, dies and starts again."""
    monkeypatch.setenv("TESTMESH_PROMETHEUS_URL", fragile.url)
    exporter.text = "orders_total 42\n"
    prometheus = Fallible(
        service="prometheus",
        frozen=fragile.frozen,
        stop=fragile.kill,
        start=fragile.restart,
        also_told="Prometheus is (not ready: |there but not ready)|query: (500|503) |Prometheus gave the query up",
    )
    assert [] == run_through_faults(flows, prometheus, APP=exporter.app)
