"""``redis.*`` while a real Redis stops, starts, freezes, changes its password, or is not what a step needs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dying_servers import dies_when_asked
from faults import Fallible, run_through_faults

from pytest_testmesh.errors import ActionTimeoutError, MeshError, TargetError, TargetUnavailableError
from pytest_testmesh.integrations import redis as actions
from pytest_testmesh.polling import NEVER, Deadline

Step = Callable[..., Any]


@pytest.fixture
def server(own_redis: Callable[..., Any]) -> Iterator[Any]:
    """A Redis for this test alone, with a password."""
    made = own_redis(requirepass="secret")
    yield made
    made.stop()


@pytest.fixture
def step(server: Any, make_context: Callable[..., Any]) -> Step:
    """``step("get", key="a")`` runs one step against `server`."""

    def run(action: str, deadline: Deadline = NEVER, **config: Any) -> Any:
        context = make_context(deadline, redis_url=server.url)
        return getattr(actions, f"redis_{action}")({"key": "a", **config}, context)

    return run


@pytest.fixture
def admin(server: Any, redis_cli: Callable[..., str]) -> Callable[..., str]:
    """``admin("CONFIG", "SET", ...)`` asks `server` by redis-cli."""
    return lambda *words: redis_cli(server.url, *words)


def test_a_stopped_server_is_told_and_a_started_one_is_used(server: Any, step: Step) -> None:
    step("set", value="before")
    server.stop()
    with pytest.raises(TargetUnavailableError, match=r"GET a at 127\.0\.0\.1:\d+: connection refused"):
        step("get")
    server.start()

    assert not step("get")["exists"]


def test_a_server_that_was_restarted_between_two_steps_is_used(server: Any, step: Step) -> None:
    step("get")
    server.restart()

    assert not step("get")["exists"]


def test_a_connection_that_the_server_closed_is_replaced(step: Step, admin: Callable[..., str]) -> None:
    step("get")
    admin("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    assert not step("get")["exists"]


def test_a_frozen_server_ends_the_step_at_its_deadline(server: Any, step: Step) -> None:
    step("set", value="v")
    with server.frozen(), pytest.raises(ActionTimeoutError, match=r"the response \(step timeout") as caught:
        step("get", Deadline.after(1, "step timeout 1s"))

    assert "is it frozen" in str(caught.value.hint)
    assert "v" == step("get")["value"]


def test_a_frozen_server_ends_a_first_step_at_its_deadline(server: Any, step: Step) -> None:
    """The kernel accepts the connection; the login gets no answer."""
    with server.frozen(), pytest.raises(ActionTimeoutError, match="waiting for the response"):
        step("get", Deadline.after(1, "step timeout 1s"))

    assert not step("get")["exists"]


def test_a_server_that_dies_in_the_middle_of_a_step_is_told(server: Any, step: Step) -> None:
    step("get")
    with (
        dies_when_asked(server, server.facts["port"], lambda: server.stop(signal.SIGKILL)),
        pytest.raises(TargetUnavailableError, match="the connection broke before the answer came"),
    ):
        step("set", value="v")


def test_a_changed_password_is_told_at_once(step: Step, admin: Callable[..., str]) -> None:
    step("get")
    admin("CONFIG", "SET", "requirepass", "changed")
    with pytest.raises(TargetError, match="the login of the default user is refused") as caught:
        step("get", db=1)

    assert "AUTHENTICATION_FAILED" == caught.value.code
    assert not step("get", db=1, password="changed")["exists"]
    assert not step("get")["exists"], "a connection that was logged in before stays so: that is Redis's way"


def test_a_missing_password_is_told_at_once(step: Step, server: Any) -> None:
    with pytest.raises(TargetError, match=r"the server wants a login: .*Authentication required"):
        step("get", port=server.facts["port"])


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        pytest.param(
            ("CONFIG", "SET", "maxmemory", "1"), TargetError, "the server has no memory left for this", id="no memory"
        ),
        pytest.param(("REPLICAOF", "127.0.0.1", "1"), TargetError, "is a replica and takes no writes", id="replica"),
        pytest.param(
            ("CONFIG", "SET", "min-replicas-to-write", "1"), TargetError, "too few replicas", id="too few replicas"
        ),
    ],
)
def test_a_server_that_takes_no_writes(
    step: Step, admin: Callable[..., str], words: tuple[str, ...], error: type[MeshError], told: str
) -> None:
    admin(*words)
    with pytest.raises(error, match=told):
        step("set", value="v")


def test_a_database_that_is_not_there(step: Step) -> None:
    with pytest.raises(TargetError, match="there is no database 99: DB index is out of range"):
        step("get", db=99)


def test_a_node_of_a_cluster_is_refused_clearly(own_redis: Callable[..., Any], step: Step) -> None:
    node = own_redis(cluster_enabled="yes")
    with pytest.raises(TargetError, match="is a node of a Redis Cluster: CLUSTERDOWN Hash slot not served") as caught:
        step("get", url=node.url)

    assert "REDIS_CLUSTER" == caught.value.code


def test_fault_run(
    flows: Any, server: Any, redis_cli: Callable[..., str], unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While flows run one after the other the server freezes, stops, starts and changes its password."""

    def change_password(old: str, new: str) -> None:
        redis_cli(server.url.replace("secret", old), "CONFIG", "SET", "requirepass", new)
        redis_cli(server.url.replace("secret", new), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    monkeypatch.setenv("TESTMESH_REDIS_URL", server.url)
    redis = Fallible(
        service="redis",
        frozen=server.frozen,
        stop=server.stop,
        start=server.start,
        change_password=change_password,
        passwords=("secret", "changed"),
        login_refused="the login of the default user is refused",
    )
    assert [] == run_through_faults(flows, redis, PREFIX=unique)
