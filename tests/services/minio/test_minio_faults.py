"""``minio.*`` while a real MinIO stops, starts, freezes and gets another password."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dying_servers import dies_when_asked
from faults import Fallible, run_through_faults
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


def test_fault_run(flows: Any, server: Any, bucket: str, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While flows run one after the other the server freezes, stops, starts and changes its password."""

    def change_password(old: str, new: str) -> None:
        monkeypatch.setenv("MINIO_ROOT_PASSWORD", new)
        server.restart()

    settle(server)
    minio = Fallible(
        service="minio",
        frozen=server.frozen,
        stop=server.stop,
        start=server.start,
        change_password=change_password,
        passwords=("first-secret", "other-secret"),
        login_refused="the secret key is not accepted",
        also_told="the server (is not ready|gave the request up)",
    )
    assert [] == run_through_faults(flows, minio, BUCKET=bucket)
