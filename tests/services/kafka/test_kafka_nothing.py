"""That nothing came is only said where the broker was asked: ``count: 0``, and ``max_messages`` without a match."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_testmesh.errors import ActionTimeoutError, StepAssertionError
from pytest_testmesh.integrations.kafka.consume import consume
from pytest_testmesh.integrations.kafka.watch import record_end
from pytest_testmesh.polling import Deadline


@pytest.fixture
def reads(make_context: Callable[..., Any], brokers: str, topic: str) -> Callable[..., Any]:
    """Consume steps of one flow that began before the test wrote anything."""
    context = make_context()
    config = {"brokers": brokers, "topic": topic}
    record_end(config, context)

    def read(deadline_s: float = 60, **more: Any) -> Any:
        context.deadline = Deadline.after(deadline_s, "step timeout")
        return consume({**config, **more}, context)

    return read


def test_however_short_the_wait_what_lies_on_the_topic_is_seen(reads: Any, look: Any, topic: str) -> None:
    look.produce(topic, "paid", "refunded")
    with pytest.raises(StepAssertionError, match="a message came, and none was to: "):
        reads(count=0, timeout="1ms")

    assert 2 == reads(max_messages=5, timeout="1ms")["count"]


def test_what_was_seen_before_does_not_hide_what_came_since(reads: Any, look: Any, topic: str) -> None:
    look.produce(topic, "paid")
    reads()
    assert 0 == reads(count=0, timeout="1ms")["count"]

    look.produce(topic, "refunded")
    with pytest.raises(StepAssertionError, match="refunded"):
        reads(count=0, timeout="1ms")


def test_a_time_out_tells_what_an_earlier_step_took(reads: Any, look: Any, topic: str) -> None:
    look.produce(topic, "paid", "paid", "refunded")
    reads(count=3)
    with pytest.raises(ActionTimeoutError) as caught:
        reads(filter='value == "paid"', timeout="100ms")

    told = "; none came, and 2 messages that would match taken earlier in this flow, the last: 0@1 paid"
    assert caught.value.message.endswith(told)
    assert "a message is given out once" in str(caught.value.hint)


def test_a_topic_that_ends_in_something_else_than_a_message_is_read_to_its_end(
    reads: Any, look: Any, topic: str
) -> None:
    look.produce_in_transaction(topic, "paid")
    reads()

    assert 0 == reads(count=0, timeout="1ms")["count"]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("brokers", ["kafka"], indirect=True)
@pytest.mark.parametrize("config", [{"count": 0}, {"max_messages": 5}], ids=["none", "as many as come"])
def test_a_frozen_broker_does_not_mean_that_nothing_came(
    reads: Any, look: Any, kafka: Any, topic: str, config: dict[str, Any]
) -> None:
    look.produce(topic, "paid")
    reads()
    with (
        kafka.frozen(),
        pytest.raises(ActionTimeoutError, match=r"the broker did not answer, so that nothing could come$"),
    ):
        reads(deadline_s=1, timeout="100ms", **config)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("brokers", ["kafka"], indirect=True)
def test_a_frozen_broker_is_the_reason_why_too_few_came(reads: Any, look: Any, kafka: Any, topic: str) -> None:
    look.produce(topic, "paid")
    reads()
    with kafka.frozen(), pytest.raises(ActionTimeoutError, match=r"; the broker does not answer$") as caught:
        reads(timeout="4s")

    assert "is it frozen?" == caught.value.hint


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("brokers", ["kafka"], indirect=True)
def test_a_broker_that_told_nothing_does_not_mean_that_there_is_no_topic(
    reads: Any, look: Any, kafka: Any, topic: str
) -> None:
    look.produce(topic, "paid")
    reads()
    with kafka.frozen(), pytest.raises(ActionTimeoutError, match=r"; the broker did not answer in that time$"):
        reads(timeout="400ms", from_beginning=True)
