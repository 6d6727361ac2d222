"""``kafka.*`` while a real Kafka freezes, stops and starts again."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pytest_testmesh.errors import ActionTimeoutError
from pytest_testmesh.polling import Deadline

pytestmark = [pytest.mark.usefixtures("alone"), pytest.mark.parametrize("brokers", ["kafka"], indirect=True)]

Step = Callable[..., Any]


def test_a_frozen_broker_ends_each_step_at_its_deadline(step: Step, kafka: Any, brokers: str, topic: str) -> None:
    step("produce", brokers=brokers, topic=topic, value="before")
    with kafka.frozen():
        for action, config in (
            ("produce", {"topic": topic, "value": 1}),
            ("topics", {}),
            ("consume", {"topic": topic}),
        ):
            started = time.monotonic()
            with pytest.raises(ActionTimeoutError, match="step timeout 400ms") as caught:
                step(action, Deadline.after(0.4, "step timeout 400ms"), brokers=brokers, **config)
            assert "frozen" in str(caught.value.hint)
            assert time.monotonic() - started < 3

    assert 1 == step("produce", brokers=brokers, topic=topic, value="after")["messages_sent"]


def test_clients_of_a_frozen_broker_are_closed_without_waiting(
    make_context: Callable[..., Any], step: Step, kafka: Any, brokers: str, topic: str
) -> None:
    step("produce", brokers=brokers, topic=topic, value="v")
    step("consume", brokers=brokers, topic=topic, from_beginning=True)
    context = make_context()
    with kafka.frozen():
        started = time.monotonic()
        context.session.close()

        assert time.monotonic() - started < 3


def test_a_broker_that_was_restarted_between_two_steps_is_used(
    make_context: Callable[..., Any], step: Step, kafka: Any, brokers: str, topic: str
) -> None:
    step("produce", brokers=brokers, topic=topic, value="before")
    step("consume", brokers=brokers, topic=topic, from_beginning=True)
    kafka.restart()

    assert 1 == step("produce", brokers=brokers, topic=topic, value="after")["messages_sent"]
    found = step("consume", brokers=brokers, topic=topic, from_beginning=True, count=2)
    assert {"before", "after"} == {each["value"] for each in found["messages"]}


def test_ctrl_c_ends_a_wait(step: Step, kafka: Any, brokers: str, topic: str) -> None:
    timer = threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        step("consume", brokers=brokers, topic=topic, timeout="20s")
    timer.join()

    assert time.monotonic() - started < 3


_KNOWN_CAUSES = re.compile(
    r"connection refused|the connection broke before the answer came|closed the connection|the flow's timeout"
    r"|the login of alice is refused|(no message of 1|timed out) after |no leader right now"
)


def test_fault_run(
    flows: Any,
    kafka: Any,
    brokers: str,
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While flows run one after the other the broker freezes and restarts; one logs in by a wrong password."""
    monkeypatch.setenv("TESTMESH_KAFKA_BROKERS", kafka.facts["urls"]["sasl_plaintext"])
    steady = flows.add("kafka/steady.yaml")
    for number in range(40):
        shutil.copy(steady, steady.with_name(f"flow_{number:02}.yaml"))
    flows.add("kafka/wrong_password.yaml").rename(steady.with_name("flow_05_wrong.yaml"))
    flows.add("kafka/afterwards.yaml").rename(steady.with_name("flow_z.yaml"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gate = listener.getsockname()[1]
    running = flows.start("kafka", TOPIC=topic, GATE=gate, PASSWORD=kafka.facts["sasl_users"]["alice"])
    try:
        running.wait_for_flows(8)
        with kafka.frozen():
            running.wait_for_flows(2)
        kafka.restart()
        with socket.create_server(("127.0.0.1", gate)):
            done = flows.finish(running)
    finally:
        running.process.kill()
        running.process.wait()

    assert [] == [cause for cause in done.causes if not _KNOWN_CAUSES.search(cause)]
    assert 1 == sum("the login of alice is refused" in cause for cause in done.causes)
    assert "flow_z" not in "".join(done.causes), done.text
    assert 43 == done.outcomes["passed"] + done.outcomes["failed"]
