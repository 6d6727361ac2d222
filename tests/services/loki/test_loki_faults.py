"""``loki.*`` while a real Loki freezes, dies and starts again."""

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
from pytest_testmesh.integrations.loki import loki_assert, loki_query
from pytest_testmesh.polling import NEVER, Deadline

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def fragile(loki: Any, wait_until_ready: Callable[[], None]) -> Iterator[Any]:
    """The common Loki, which runs again afterwards."""
    pid = loki.facts.get("pid")
    if pid is None:
        pytest.skip(f"the pid of loki is not known to {loki.source}")
    yield loki
    if not os.path.exists(f"/proc/{loki.facts['pid']}"):
        loki.restart()
    wait_until_ready()


@pytest.fixture
def step(fragile: Any, make_context: Callable[..., Any]) -> Callable[..., Any]:
    """``step(loki_query)`` runs one step."""

    def run(action: Callable[..., Any], deadline: Deadline = NEVER, **config: Any) -> Any:
        return action({"query": '{a="b"}', "url": fragile.url, **config}, make_context(deadline))

    return run


def test_a_frozen_loki_ends_a_step_in_time(step: Callable[..., Any], fragile: Any) -> None:
    step(loki_query)
    with fragile.frozen():
        with pytest.raises(ActionTimeoutError, match=r"waiting for the response headers \(step timeout 300ms\)"):
            step(loki_query, Deadline.after(0.3, "step timeout 300ms"))
        with pytest.raises(ActionTimeoutError, match=r"waiting for the response headers \(timeout 0\.2s\)"):
            step(loki_query, timeout="0.2s")
        with pytest.raises(ActionTimeoutError, match=r"waiting for the response headers \(within 200ms\)"):
            step(loki_assert, within="200ms")

    assert 0 == step(loki_query)["count"]


def test_a_loki_that_restarted_between_two_steps_is_used(
    step: Callable[..., Any], fragile: Any, push: Callable[..., int], unique: str
) -> None:
    step(loki_query)
    os.kill(fragile.facts["pid"], signal.SIGKILL)
    with pytest.raises(TargetUnavailableError, match=r"query_range: (connection refused|the server closed|the conn)"):
        step(loki_query)
    fragile.restart()
    push("after the restart")

    assert ["after the restart"] == step(loki_assert, query=f'{{app="{unique}"}}', within="20s")["lines"]


_KNOWN_CAUSES = re.compile(
    r"connection refused|the server closed the connection|the connection broke"
    r"|Loki is not ready: |query_range: (500|503) |Loki is there but not ready|Loki gave the query up"
    r"|timed out after .* waiting for (the response headers|the rest of the body|a connection)"
)


def test_fault_run(
    flows: Any, fragile: Any, push: Callable[..., int], unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While flows run one after the other Loki freezes, dies and starts again."""
    monkeypatch.setenv("TESTMESH_LOKI_URL", fragile.url)
    push("before")
    steady = flows.add("loki/steady.yaml")
    for number in range(40):
        shutil.copy(steady, steady.with_name(f"flow_{number:02}.yaml"))
    flows.add("loki/afterwards.yaml").rename(steady.with_name("flow_z.yaml"))
    gate = free_port()
    running = flows.start("loki", APP=unique, GATE=gate)
    running.wait_for_flows(2)
    with fragile.frozen():
        running.wait_for_flows(2)
    os.kill(fragile.facts["pid"], signal.SIGKILL)
    running.wait_for_flows(3)
    fragile.restart()
    push("afterwards")
    with socket.create_server(("127.0.0.1", gate)):
        done = flows.finish(running)

    assert [] == [cause for cause in done.causes if not _KNOWN_CAUSES.search(cause)]
    for fault in ("timed out", "connection refused"):
        assert fault in "".join(done.causes)
    assert "flow_z" not in "".join(done.causes)
    assert 42 == done.outcomes["passed"] + done.outcomes["failed"], done.text
