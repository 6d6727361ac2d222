"""``loki.*`` while a real Loki freezes, dies and starts again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from faults import Fallible, run_through_faults
from fragile_servers import FragileServer, fragile_server
from meanwhile import after_a_look

from pytest_testmesh.errors import ActionTimeoutError, StepAssertionError, TargetUnavailableError
from pytest_testmesh.integrations.loki import loki_assert, loki_query
from pytest_testmesh.polling import NEVER, Deadline

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def fragile(loki: Any) -> Iterator[FragileServer]:
    """The common Loki, which runs again afterwards."""
    with fragile_server(loki, f"{loki.url}/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D") as server:
        yield server


@pytest.fixture
def step(fragile: FragileServer, make_context: Callable[..., Any]) -> Callable[..., Any]:
    """``step(loki_query)`` runs one step."""

    def run(action: Callable[..., Any], deadline: Deadline = NEVER, **config: Any) -> Any:
        return action({"query": '{a="b"}', "url": fragile.url, **config}, make_context(deadline))

    return run


def test_a_frozen_loki_ends_a_step_in_time(step: Callable[..., Any], fragile: FragileServer) -> None:
    step(loki_query)
    with fragile.frozen():
        with pytest.raises(ActionTimeoutError, match=r"timed out after .* waiting for .* \(step timeout 1s\)"):
            step(loki_query, Deadline.after(1, "step timeout 1s"))
        with pytest.raises(ActionTimeoutError, match=r"timed out after .* waiting for .* \(timeout 1s\)"):
            step(loki_query, timeout="1s")
        with pytest.raises(ActionTimeoutError, match=r"timed out after .* waiting for .* \(within 200ms\)"):
            step(loki_assert, within="200ms")

    assert 0 == step(loki_query)["count"]


def test_a_loki_that_freezes_while_a_step_waits_is_told(
    fragile: FragileServer, make_context: Callable[..., Any]
) -> None:
    context = make_context()
    config = {"query": '{a="b"}', "url": fragile.url, "within": "5s", "timeout": "2s", "assert": ["count == 5"]}
    with ExitStack() as stack:
        with (
            pytest.raises(StepAssertionError, match="count == 5 is false") as caught,
            after_a_look(context, lambda: stack.enter_context(fragile.frozen())),
        ):
            loki_assert(config, context)

    assert "but the last look got no answer: GET" in str(caught.value.hint)


def test_a_loki_that_restarted_between_two_steps_is_used(
    step: Callable[..., Any], fragile: FragileServer, push: Callable[..., int], unique: str
) -> None:
    step(loki_query)
    fragile.kill()
    with pytest.raises(TargetUnavailableError, match=r"query_range: (connection refused|the server closed|the conn)"):
        step(loki_query)
    fragile.restart()
    push("after the restart")

    assert ["after the restart"] == step(loki_assert, query=f'{{app="{unique}"}}', within="60s")["lines"]


def test_fault_run(
    flows: Any, fragile: FragileServer, push: Callable[..., int], unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While flows run one after the other Loki freezes, dies and starts again."""
    monkeypatch.setenv("TESTMESH_LOKI_URL", fragile.url)
    push("afterwards")
    loki = Fallible(
        service="loki",
        frozen=fragile.frozen,
        stop=fragile.kill,
        start=fragile.restart,
        also_told="Loki is (not ready: |there but not ready)|query_range: (500|503) |Loki gave the query up",
    )
    assert [] == run_through_faults(flows, loki, APP=unique)
