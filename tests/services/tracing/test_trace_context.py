"""``traceparent`` of a traced run, as whoever gets a request or a message sees it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from run_spans import spans_of

from pytest_testmesh.polling import Deadline, attempts

FLOW = """
flow:
  name: {name}
  steps:
    - {{id: ask, action: http_request, config: {{url: '{url}', proxy: false}}}}
    - {{id: tell, action: kafka.produce, config: {{brokers: '{brokers}', topic: {topic}, value: v, headers: {{a: b}}}}}}
"""


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[str | None]]]:
    """The URL of a service, and the ``traceparent`` of each request that reached it."""
    heard: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["traceparent"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()


@pytest.fixture
def topic(service: Any, unique: str) -> Iterator[str]:
    """A topic of one partition, which can be written to."""
    admin = AdminClient({"bootstrap.servers": service("kafka").url, "log_level": 0})
    admin.create_topics([NewTopic(unique, 1, 1)])[unique].result(60)
    for _ in attempts(repeat(0.02), Deadline.after(60, "")):
        partitions = admin.list_topics(unique, timeout=60).topics[unique].partitions
        if partitions and all(each.leader >= 0 for each in partitions.values()):
            break
    yield unique
    admin.delete_topics([unique])[unique].result(60)


def headers_of_the_only_message(brokers: str, topic: str) -> dict[str, str]:
    """Read it by confluent-kafka itself, from the beginning."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": topic, "log_level": 0})
    consumer.assign([TopicPartition(topic, 0, 0)])
    (message,) = consumer.consume(1, timeout=60)
    consumer.close()
    return {name: value.decode() for name, value in message.headers()}


def test_a_request_and_a_message_carry_the_spans_of_their_steps(
    flows: Any, service: Any, topic: str, receiver: tuple[str, list[str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    jaeger, brokers = service("jaeger").facts, service("kafka").url
    url, heard = receiver
    monkeypatch.setenv("OTEL_SERVICE_NAME", topic)
    flow = flows.write("context.yaml", FLOW.format(name=topic, url=url, brokers=brokers, topic=topic))

    done = flows.finish(flows.start(str(flow), f"--testmesh-otel={jaeger['otlp_http']}"), 120)

    assert {"passed": 1} == done.outcomes, done.text
    message = headers_of_the_only_message(brokers, topic)
    sent = {span["operationName"]: f"{span['traceID']}-{span['spanID']}" for span in spans_of(jaeger, topic, 3)}
    assert [sent["ask"]] == [f"{each}"[3:52] for each in heard]
    assert (sent["tell"], "b") == (message["traceparent"][3:52], message["a"])
