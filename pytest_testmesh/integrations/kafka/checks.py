"""What is wrong with a config of ``kafka.*`` that a schema cannot say, found at collection; loads no client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations.kafka.address import read_brokers
from pytest_testmesh.integrations.kafka.matching import check_matching
from pytest_testmesh.integrations.kafka.messages import outgoing


def check_produce(config: Mapping[str, Any]) -> None:
    """Refuse what could not be sent.

    Raises:
        ActionConfigError: Brokers that are none, a message without value, base64 that is none.
    """
    _check_brokers(config)
    outgoing(config)


def check_consume(config: Mapping[str, Any]) -> None:
    """Refuse expressions and paths that are none, and keys that contradict each other.

    Raises:
        ActionConfigError: There is one, or brokers that are none.
    """
    _check_brokers(config)
    check_matching(config)
    for one, other in _SPELLINGS:
        if one in config and other in config:
            raise ActionConfigError(f"config has both {one} and {other}", hint="remove one of them")
    most, count = config.get("max_messages", config.get("maxMessages")), config.get("count")
    if isinstance(most, int) and isinstance(count, int) and most < count:
        raise ActionConfigError(f"config.count is {count}, and at most {most} may be taken", hint="remove one of them")


_SPELLINGS = (
    ("max_messages", "maxMessages"),
    ("from_beginning", "fromBeginning"),
    ("from_beginning", "auto_offset_reset"),
    ("fromBeginning", "auto_offset_reset"),
)


def _check_brokers(config: Mapping[str, Any]) -> None:
    if "brokers" in config:
        read_brokers(config["brokers"], "config.brokers")
