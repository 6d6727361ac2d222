"""``minio.*`` while a real MinIO stops, starts, freezes and gets another password."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dying_servers import dies_when_asked
from fault_runs import fault_run
from soon import soon

from pytest_testmesh.errors import ActionTimeoutError, TargetUnavailableError
from pytest_testmesh.polling import Deadline

Step = Callable[..., Any]


@pytest.fixture
def server(own_minio: Any) -> Any:
    """A MinIO for this test alone."""
    return own_minio


def test_a_stopped_server_is_told_and_a_started_one_is_used(server: Any, step: Step) -> None:
    step("put", object="a", data="before")
    server.stop()
    with pytest.raises(TargetUnavailableError, match=r"GET t\w+/a at 127\.0\.0\.1:\d+: connection refused"):
        step("get", object="a")
    server.start()

    assert "before" == step("get", object="a")["body"]


def test_a_server_that_was_restarted_between_two_steps_is_used(server: Any, step: Step) -> None:
    step("put", object="a", data="before")
    server.restart()

    assert "before" == step("get", object="a")["body"]


@pytest.mark.parametrize("config", [{"action": "get"}, {"action": "put", "data": "x"}, {"action": "assert"}])
def test_a_frozen_server_ends_the_step_at_its_deadline(server: Any, step: Step, config: dict[str, str]) -> None:
    step("put", object="a", data="v")
    with server.frozen(), pytest.raises(ActionTimeoutError, match=r"waiting for the response headers \(step timeout"):
        step(deadline=Deadline.after(1, "step timeout 1s"), object="a", **config)

    assert "v" == step("get", object="a")["body"]


def test_a_frozen_server_ends_an_upload_in_parts(server: Any, step: Step, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(4 * 1024 * 1024 * 1024)  # a hole, more than can be sent before the server freezes
    pid = server.facts["pid"]
    with (
        pytest.raises(ActionTimeoutError, match=r"waiting for the (server to take the request|response headers)"),
        soon(0.3, lambda: os.kill(pid, signal.SIGSTOP)),
    ):
        step("put", Deadline.after(2, "step timeout"), object="a", file="large")
    os.kill(pid, signal.SIGCONT)

    assert not step("assert", object="a", exists=False)["exists"]


def test_a_server_that_dies_in_the_middle_of_a_step_is_told(server: Any, step: Step) -> None:
    step("put", object="a", data="v")
    with (
        dies_when_asked(server, server.facts["port"], lambda: server.stop(signal.SIGKILL)),
        pytest.raises(TargetUnavailableError, match=r"the server closed the connection|the connection broke"),
    ):
        step("get", object="a")
    server.start()


_KNOWN_CAUSES = re.compile(
    r"connection refused|the connection broke before|the server closed the connection|the server is not ready"
    r"|timed out after .* waiting for .* \(the step's timeout of 0.50s\)|the secret key is not accepted"
)


def test_fault_run(flows: Any, server: Any, bucket: str, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While flows run one after the other the server freezes, stops, starts and changes its password."""
    settle(server)
    with fault_run(flows, "minio", 11, BUCKET=bucket) as run:
        run.go(2)
        with server.frozen():
            run.go(2)
        run.let(1)
        server.stop()
        run.go(3)
        monkeypatch.setenv("MINIO_ROOT_PASSWORD", "other-secret")
        server.start()
        run.go(3)
        monkeypatch.setenv("MINIO_ROOT_PASSWORD", "first-secret")
        server.restart()
        done = run.finish()

    assert [] == [cause for cause in done.causes if not _KNOWN_CAUSES.search(cause)]
    for fault in ("timed out", "connection refused", "the secret key is not accepted"):
        assert fault in "".join(done.causes)
    assert "flow_z" not in "".join(done.causes)
    assert 12 == done.outcomes["passed"] + done.outcomes["failed"]
