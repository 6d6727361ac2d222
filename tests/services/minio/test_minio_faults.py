"""``minio.*`` while a real MinIO stops, starts, freezes and gets another password."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
        step(deadline=Deadline.after(0.3, "step timeout 300ms"), object="a", **config)

    assert "v" == step("get", object="a")["body"]


def test_a_frozen_server_ends_an_upload_in_parts(server: Any, step: Step, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(300 * 1024 * 1024)
    timer = threading.Timer(0.3, os.kill, [server.facts["pid"], signal.SIGSTOP])
    timer.start()
    with pytest.raises(ActionTimeoutError, match=r"waiting for the (server to take the request|response headers)"):
        step("put", Deadline.after(0.8, "step timeout"), object="a", file="large")
    timer.join()
    os.kill(server.facts["pid"], signal.SIGCONT)

    assert not step("assert", object="a", exists=False)["exists"]


def test_a_server_that_dies_in_the_middle_of_a_step_is_told(server: Any, step: Step) -> None:
    step("put", object="a", data="v")
    os.kill(server.facts["pid"], signal.SIGSTOP)
    timer = threading.Timer(0.3, server.stop, [signal.SIGKILL])
    timer.start()
    with pytest.raises(TargetUnavailableError, match=r"the server closed the connection|the connection broke"):
        step("get", object="a")
    timer.join()
    server.start()


_KNOWN_CAUSES = re.compile(
    r"connection refused|the connection broke before|the server closed the connection|the server is not ready"
    r"|timed out after .* waiting for .* \(the step's timeout of 0.50s\)|the secret key is not accepted"
)


def test_fault_run(flows: Any, server: Any, bucket: str, settle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """While flows run one after the other the server freezes, stops, starts and changes its password."""
    settle(server)
    steady = flows.add("minio/steady.yaml")
    for number in range(30):
        shutil.copy(steady, steady.with_name(f"flow_{number:02}.yaml"))
    flows.add("minio/afterwards.yaml").rename(steady.with_name("flow_z.yaml"))
    gate = _free_port()
    running = flows.start("minio", BUCKET=bucket, GATE=gate)
    running.wait_for_flows(2)
    with server.frozen():
        running.wait_for_flows(2)
    server.stop()
    running.wait_for_flows(3)
    monkeypatch.setenv("MINIO_ROOT_PASSWORD", "other-secret")
    server.start()
    running.wait_for_flows(3)
    monkeypatch.setenv("MINIO_ROOT_PASSWORD", "first-secret")
    server.restart()
    with socket.create_server(("127.0.0.1", gate)):
        done = flows.finish(running)

    assert [] == [cause for cause in done.causes if not _KNOWN_CAUSES.search(cause)]
    for fault in ("timed out", "connection refused", "the secret key is not accepted"):
        assert fault in "".join(done.causes)
    assert "flow_z" not in "".join(done.causes)
    assert 32 == done.outcomes["passed"] + done.outcomes["failed"]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
