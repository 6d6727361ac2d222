"""How the root of a driver's error is found, and what a refused connection to a server that nobody named says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from confluent_kafka import KafkaError, KafkaException

from pytest_testmesh.integrations._failures import chain, chain_since, default_fact
from pytest_testmesh.integrations.http.failures import Sending
from pytest_testmesh.integrations.kafka import failures as kafka
from pytest_testmesh.integrations.kafka.address import parse_cluster
from pytest_testmesh.integrations.minio import failures as minio
from pytest_testmesh.integrations.minio.address import parse_address as minio_address
from pytest_testmesh.integrations.minio.names import Place
from pytest_testmesh.integrations.neo4j import failures as neo4j
from pytest_testmesh.integrations.neo4j.address import parse_address as neo4j_address
from pytest_testmesh.integrations.postgresql import failures as postgresql
from pytest_testmesh.integrations.postgresql.target import find_target
from pytest_testmesh.integrations.redis import failures as redis
from pytest_testmesh.integrations.redis.address import parse_address as redis_address
from pytest_testmesh.integrations.redis.command import get_command
from pytest_testmesh.polling import NEVER

REFUSED = ConnectionRefusedError(111, "Connection refused")


def raised_while(handled: BaseException) -> Exception:
    """Return an error whose context is *handled*."""
    try:
        try:
            raise handled
        except type(handled):
            raise LookupError("of the driver")  # noqa: B904
    except LookupError as exc:
        return exc


def test_a_chain_goes_by_cause_and_into_arguments() -> None:
    root, middle = OSError("root"), LookupError("middle")
    middle.__cause__ = root
    top = ValueError("top", middle)

    assert [top, middle, root] == list(chain(top))
    assert [ValueError] == [type(each) for each in chain(ValueError(raised_while(root).args[0]))]


def test_a_chain_by_context_ends_before_what_was_handled_earlier() -> None:
    root, earlier = OSError("root"), TimeoutError("of an earlier step")
    root.__context__ = earlier
    top = raised_while(root)

    assert [top] == list(chain(top))
    assert [top, root] == list(chain_since(earlier, top))
    assert [top, root, earlier] == list(chain_since(None, top))


def test_a_chain_ends_where_it_began_anew() -> None:
    one, other = OSError("one"), OSError("other")
    one.__cause__, other.__cause__ = other, one

    assert [one, other] == list(chain(one))


def test_a_group_is_entered_by_its_first_error() -> None:
    group = OSError("several servers")
    group.exceptions = (REFUSED, TimeoutError())  # type: ignore[attr-defined]  # as ExceptionGroup, from Python 3.11

    assert [group, REFUSED] == list(chain_since(None, group))


def test_nothing_is_added_of_a_server_that_somebody_named() -> None:
    assert "" == default_fact(False, "`url`")


def _redis(config: Any, context: Any) -> Exception:
    asking = redis.Asking(
        command=get_command({"key": "k"}),
        address=redis_address(config, context.settings),
        deadline=NEVER,
        waited="1s",
        first=True,
        handled=None,
    )
    return redis.failure(REFUSED, asking)


def _neo4j(config: Any, context: Any) -> Exception:
    address = neo4j_address(config, context.settings)
    asking = neo4j.Asking(
        text="", address=address, database=None, deadline=NEVER, waited="1s", first=False, handled=None
    )
    return neo4j.failure(REFUSED, asking)


def _kafka(config: Any, context: Any) -> Exception:
    cluster = parse_cluster(config, context.settings, Path())
    error = KafkaError(KafkaError._TRANSPORT, f"{cluster.shown}/bootstrap: Connect failed: Connection refused")
    return kafka.failure(KafkaException(error), kafka.Asking(what="consume", cluster=cluster, deadline=NEVER))


def _minio(config: Any, context: Any) -> Exception:
    address = minio_address(config, context.settings)
    sending = Sending(
        what="GET",
        host="localhost",
        origin=address.origin,
        proxy=None,
        deadline=NEVER,
        waiting_for="a connection",
        waited="1s",
    )
    return minio.failure(REFUSED, minio.Asking(place=Place("b", "o"), address=address, sending=sending))


def _postgresql(config: Any, context: Any) -> Exception:
    return postgresql.failure(
        psycopg2.OperationalError("connection to server failed: Connection refused"),
        find_target(config, context),
        NEVER,
        "1s",
    )


@pytest.mark.parametrize(
    ("fail", "key", "setting", "server", "named"),
    [
        pytest.param(_redis, "url", "redis_url", "redis://localhost", "`url`", id="redis"),
        pytest.param(_neo4j, "url", "neo4j_url", "bolt://localhost", "`url`", id="neo4j"),
        pytest.param(_kafka, "brokers", "kafka_brokers", "localhost:9092", "`brokers`", id="kafka"),
        pytest.param(_minio, "endpoint", "minio_endpoint", "localhost:9000", "`endpoint`", id="minio"),
        pytest.param(
            _postgresql,
            "connectionString",
            "postgresql_url",
            "postgresql://localhost",
            "the step's connection",
            id="postgresql",
        ),
    ],
)
def test_a_refused_default_is_told_as_such(
    steps: Any,
    monkeypatch: pytest.MonkeyPatch,
    fail: Callable[..., Any],
    key: str,
    setting: str,
    server: str,
    named: str,
) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    context = steps.context()
    by_default, by_config = fail({}, context), fail({key: server}, context)
    context.settings = {setting: server}
    by_setting = fail({}, context)

    assert by_default.hint.endswith(f", which is the default: {named} or testmesh_{setting} names another")
    assert "default" not in by_config.hint + by_setting.hint
