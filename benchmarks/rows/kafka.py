"""``kafka.produce`` and ``kafka.consume`` steps against confluent-kafka doing the same calls.

Both send one message at a time, wait in slices of 0.1 s until all replicas have acknowledged it, look at the errors of
both ways and commit no offsets.
"""

from __future__ import annotations

import uuid
from pathlib import Path

from calls import measure_calls, server
from harness import Figure

WHAT = "1,000 rounds of kafka.produce and kafka.consume / confluent-kafka doing the same calls"
UNIT = "x"
TARGET = 1.2

STEP = """\
    - action: kafka.produce
      config: {{topic: "${{TOPIC}}", value: "value {n}"}}
    - action: kafka.consume
      config: {{topic: "${{TOPIC}}"}}
      assert: ["value == 'value {n}'"]
"""
BEFORE = """\
from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

brokers, topic = os.environ["TESTMESH_KAFKA_BROKERS"], os.environ["TOPIC"]
producer = Producer({"bootstrap.servers": brokers, "acks": "all", "linger.ms": 0})
options = {"group.id": "bench", "fetch.wait.max.ms": 50, "enable.auto.commit": False}
consumer = Consumer({"bootstrap.servers": brokers, **options})
there = consumer.list_topics(topic, timeout=10).topics[topic].partitions
ends = [TopicPartition(topic, each, consumer.get_watermark_offsets(TopicPartition(topic, each))[1]) for each in there]
consumer.assign(ends)
def round_trip(text):
    acknowledged = []
    producer.produce(topic, value=text, on_delivery=lambda error, message: acknowledged.append(error))
    while not acknowledged:
        producer.poll(0.1)
    assert acknowledged == [None]
    message = None
    while message is None:
        message = consumer.poll(0.1)
    assert message.error() is None
    return message.value().decode()
round_trip("warm up")
"""
CALL = """\
    assert round_trip(f"value {n}") == f"value {n}"
"""


def measure(folder: Path, quick: bool) -> Figure:
    """Time them on a topic of their own."""
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    topic = f"bench-{uuid.uuid4().hex[:12]}"
    with server("kafka") as found:
        admin = AdminClient({"bootstrap.servers": found.url})
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
        try:
            return measure_calls(
                folder,
                quick,
                client="confluent-kafka",
                step=STEP,
                before=BEFORE,
                call=CALL,
                after="consumer.close()",
                TESTMESH_KAFKA_BROKERS=found.url,
                TOPIC=topic,
            ).ratio()
        finally:
            admin.delete_topics([topic])[topic].result(20)
