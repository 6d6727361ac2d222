"""Nothing is missed and nothing is met twice, however much others write to the same topic."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Producer

ROUNDS = int(os.environ.get("TESTMESH_TEST_KAFKA_ROUNDS", "200"))

ROUND = """\
    - action: kafka.produce
      config: {{topic: "${{TOPIC}}", key: "round-{n}", value: {{round: {n}}}}}
    - action: kafka.consume
      config: {{topic: "${{TOPIC}}", filter: "key startsWith 'round-'"}}
      assert: [value.round == {n}]
"""

NONE_LEFT = """\
    - action: kafka.consume
      config: {topic: "${TOPIC}", filter: "key startsWith 'round-'", count: 0, timeout: 200ms}
"""


@pytest.mark.parametrize("brokers", ["kafka"], indirect=True)
def test_every_round_gets_its_own_message(
    flows: Any, brokers: str, topic: str, look: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = "".join(ROUND.format(n=n) for n in range(ROUNDS))
    flow = flows.write("rounds.yaml", f"flow:\n  name: rounds\n  steps:\n{steps}{NONE_LEFT}")
    monkeypatch.setenv("TESTMESH_KAFKA_BROKERS", brokers)
    with noise(brokers, topic) as written:
        done = flows.run(str(flow), TOPIC=topic)

    assert {"passed": 1} == done.outcomes, done.text
    assert ROUNDS + written() == sum(look.ends(topic))


@contextmanager
def noise(brokers: str, topic: str) -> Iterator[Callable[[], int]]:
    """Let a neighbour write to all partitions; gives how many messages it wrote, which is final after the block."""
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 0, "log_level": 0})
    ended = threading.Event()
    count = 0

    def write() -> None:
        nonlocal count
        while not ended.wait(0.005):
            producer.produce(topic, key=f"noise-{count}", value=b'{"noise": true}')
            producer.poll(0)
            count += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield lambda: count
    finally:
        ended.set()
        thread.join()
        assert 0 == producer.flush(60)
