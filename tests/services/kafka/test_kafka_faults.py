"""``kafka.*`` while a real Kafka freezes, stops and starts again."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from fault_runs import fault_run
from soon import soon

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
            with pytest.raises(ActionTimeoutError, match="step timeout 400ms") as caught:
                step(action, Deadline.after(0.4, "step timeout 400ms"), brokers=brokers, **config)
            assert "frozen" in str(caught.value.hint)

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

        assert time.monotonic() - started < 10


def test_a_broker_that_was_restarted_between_two_steps_is_used(
    step: Step, kafka: Any, brokers: str, topic: str, look: Any
) -> None:
    step("produce", brokers=brokers, topic=topic, value="before")
    step("consume", brokers=brokers, topic=topic, from_beginning=True)
    kafka.restart()
    look.wait_until_usable(topic, 6)

    assert 1 == step("produce", brokers=brokers, topic=topic, value="after")["messages_sent"]
    found = step("consume", brokers=brokers, topic=topic, from_beginning=True, count=2)
    assert {"before", "after"} == {each["value"] for each in found["messages"]}


def test_ctrl_c_ends_a_wait(step: Step, kafka: Any, brokers: str, topic: str) -> None:
    with pytest.raises(KeyboardInterrupt), soon(0.5, lambda: signal.raise_signal(signal.SIGINT)):
        step("consume", brokers=brokers, topic=topic, timeout="60s")


_KNOWN_CAUSES = re.compile(
    r"connection refused|the connection broke before the answer came|closed the connection|the step's timeout"
    r"|the login of alice is refused|(no message of 1|timed out) after |no leader right now"
)


def test_fault_run(
    flows: Any, kafka: Any, brokers: str, topic: str, look: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While flows run one after the other the broker freezes and restarts; one logs in by a wrong password."""
    monkeypatch.setenv("TESTMESH_KAFKA_BROKERS", kafka.facts["urls"]["sasl_plaintext"])
    flows.add("kafka/wrong_password.yaml").rename(flows.folder / "kafka" / "flow_01_wrong.yaml")
    password = kafka.facts["sasl_users"]["alice"]
    with fault_run(flows, "kafka", 12, TOPIC=topic, PASSWORD=password) as run:
        run.go(4)
        with kafka.frozen():
            run.go(1)
        run.let(7)
        kafka.restart()
        look.wait_until_usable(topic, 6)
        done = run.finish()

    assert [] == [cause for cause in done.causes if not _KNOWN_CAUSES.search(cause)]
    assert "the login of alice is refused" in done.failed["flow_01_wrong"]  # one that starts may refuse others, too
    assert "flow_z" not in "".join(done.causes), done.text
    assert 14 == done.outcomes["passed"] + done.outcomes["failed"]
