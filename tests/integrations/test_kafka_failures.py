"""The table of errors of ``kafka.*`` against everything that confluent-kafka can raise."""

from __future__ import annotations

from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException

from pytest_testmesh.errors import ActionConfigError, ActionError, TargetError, TargetUnavailableError
from pytest_testmesh.integrations.kafka.address import Cluster
from pytest_testmesh.integrations.kafka.failures import MAPPED, OF_BROKERS, OF_CLIENT, TABLE, Asking, failure, row_of
from pytest_testmesh.polling import NEVER

CODES = sorted(
    name for name in dir(KafkaError) if name.lstrip("_").isupper() and isinstance(getattr(KafkaError, name), int)
)
ASKING = Asking(what="produce to t", cluster=Cluster(brokers=("host:9092",)), deadline=NEVER, topic="t")


def test_there_are_codes_to_walk() -> None:
    assert len(CODES) > 150


@pytest.mark.parametrize("name", CODES)
def test_each_code_has_a_row_or_falls_into_a_default(name: str) -> None:
    error = KafkaError(getattr(KafkaError, name))
    row = row_of(error.name(), error.str())

    assert row is TABLE.get(error.name(), OF_CLIENT if name.startswith("_") else OF_BROKERS)
    made = failure(KafkaException(error), ASKING)
    assert str(made).startswith("produce to t at host:9092: ")
    assert "{" not in str(made)


def test_each_row_is_of_a_code_that_there_is() -> None:
    assert [] == sorted(TABLE.keys() - set(CODES))


@pytest.mark.parametrize(
    "kind",
    [each for each in vars(confluent_kafka).values() if isinstance(each, type) and issubclass(each, Exception)]
    + [BufferError, ValueError, TypeError],
    ids=lambda kind: kind.__name__,
)
def test_each_exception_is_mapped(kind: type[BaseException]) -> None:
    assert issubclass(kind, MAPPED)


@pytest.mark.parametrize(
    ("code", "text", "error", "told"),
    [
        pytest.param(
            KafkaError._TRANSPORT,
            "h:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
            TargetUnavailableError,
            "connection refused",
            id="refused",
        ),
        pytest.param(
            KafkaError._TRANSPORT,
            "ssl://h:1/2: SSL handshake failed: Disconnected: a PLAINTEXT broker listener? (after 1ms in state X)",
            TargetUnavailableError,
            "no TLS: SSL handshake failed: Disconnected: a PLAINTEXT broker listener?",
            id="no TLS",
        ),
        pytest.param(
            KafkaError._TRANSPORT,
            "h:1/1: Disconnected (after 500ms in state UP)",
            TargetUnavailableError,
            "the connection broke before the answer came",
            id="broken",
        ),
        pytest.param(
            KafkaError._RESOLVE,
            "nobody:1/bootstrap: Failed to resolve 'nobody:1': Name or service not known (after 1ms in state CONNECT)",
            TargetUnavailableError,
            "unknown host nobody",
            id="host",
        ),
        pytest.param(
            KafkaError._AUTHENTICATION,
            "sasl_ssl://h:1/bootstrap: SASL authentication error: no (after 3ms in state AUTH_REQ)",
            TargetError,
            "the login of a client without a login is refused: SASL authentication error: no",
            id="login",
        ),
        pytest.param(KafkaError._INVALID_ARG, "ssl.ca", ActionConfigError, "refuses its settings: ssl.ca", id="config"),
        pytest.param(KafkaError.POLICY_VIOLATION, "no", TargetError, "the broker said: no", id="default"),
    ],
)
def test_texts(code: int, text: str, error: type[ActionError], told: str) -> None:
    made: Any = failure(KafkaException(KafkaError(code, text)), ASKING)

    assert error is type(made)
    assert str(made).endswith(told)
