"""``redis.*`` against a real Redis, looked at from the other side with redis-cli."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pytest_testmesh.integrations import redis as actions


@pytest.fixture
def server(service: Any) -> Any:
    """The common Redis."""
    return service("redis")


@pytest.fixture
def run(flows: Any, server: Any, unique: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run one flow against the common Redis, its keys beginning with `unique`."""

    def start(name: str, **variables: object) -> Any:
        monkeypatch.setenv("TESTMESH_REDIS_URL", server.url)
        return flows.run(str(flows.add(f"redis/{name}.yaml")), PREFIX=unique, **variables)

    return start


@pytest.fixture
def look(server: Any, redis_cli: Callable[..., str]) -> Callable[..., str]:
    """Ask the common Redis by redis-cli."""
    return lambda *words: redis_cli(server.url, *words)


@pytest.fixture
def step(make_context: Callable[..., Any]) -> Callable[..., Any]:
    """``step("get", url=..., key="a")`` runs one step."""
    return lambda action, **config: getattr(actions, f"redis_{action}")(config, make_context())


@pytest.mark.parametrize("name", ["values", "binary", "ttl", "keys", "old_names", "databases"])
def test_flow(run: Callable[..., Any], name: str) -> None:
    done = run(name)

    assert {"passed": 1} == done.outcomes, done.text


def test_values_are_stored_as_other_clients_expect_them(
    run: Callable[..., Any], look: Callable[..., str], unique: str
) -> None:
    run("values")

    assert 'Zoë\'s "quote" 🌍' == look("GET", f"{unique}:value:text")
    assert "00123" == look("GET", f"{unique}:value:copy")
    assert "29.9" == look("GET", f"{unique}:value:number")
    user = json.loads(look("GET", f"{unique}:value:user"))
    assert {"name": "Ann", "tags": ["a", "b"], "active": True, "left": None} == user


def test_bytes_are_stored_as_they_are(run: Callable[..., Any], look: Callable[..., str], unique: str) -> None:
    run("binary")

    assert "3" == look("STRLEN", f"{unique}:bytes")
    assert "\\xff\\x00\\xfe" == look("--no-raw", "GET", f"{unique}:bytes").strip('"')


def test_times_to_live_reach_the_server(run: Callable[..., Any], look: Callable[..., str], unique: str) -> None:
    run("ttl")

    assert "-2" == look("PTTL", f"{unique}:short")
    assert 3_500_000 < int(look("PTTL", f"{unique}:long")) <= 3_600_000
    assert "-1" == look("PTTL", f"{unique}:forever")


def test_what_another_client_wrote_is_read(run: Callable[..., Any], look: Callable[..., str], unique: str) -> None:
    look("RPUSH", f"{unique}:list", "one")
    done = run("wrong_type")

    assert {"failed": 1} == done.outcomes
    assert "the key holds something else than text: WRONGTYPE" in done.causes[0]


def test_deleted_keys_are_gone(run: Callable[..., Any], look: Callable[..., str], unique: str) -> None:
    run("keys")

    assert f"{unique}:b" == look("KEYS", f"{unique}:*")


def test_tls(run: Callable[..., Any], server: Any) -> None:
    url = server.facts["urls"].get("tls")
    if url is None:
        pytest.skip(f"{server.source} speaks no TLS")
    done = run("tls", TLS_URL=url, CA=server.facts["ca"])

    assert {"passed": 1} == done.outcomes, done.text


def test_a_user_reads_what_he_may(run: Callable[..., Any], server: Any) -> None:
    users = server.facts.get("acl_user")
    if users is None:
        pytest.skip(f"{server.source} has no users")
    done = run("user", PORT=server.facts["port"], PASSWORD=users["app"])

    assert {"failed": 1} == done.outcomes
    assert 'step 2/2 "step_2" (redis.get) failed' in done.causes[0]
    assert "the user app may not do this: " in done.causes[0]
    assert users["app"] not in done.text


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("'; FLUSHALL; --", id="quote"),
        pytest.param("a\r\nSET injected 1\r\n", id="line ends"),
        pytest.param("*2\r\n$3\r\nDEL\r\n$1\r\na\r\n", id="protocol"),
        pytest.param("nul \0 nul", id="NUL"),
        pytest.param("🌍 ﷽ \u200b", id="emoji"),
        pytest.param("x" * 1_000_000, id="1 MB"),
    ],
)
def test_odd_texts_come_back_equal(
    step: Callable[..., Any], server: Any, look: Callable[..., str], unique: str, value: str
) -> None:
    key, plain = f"{unique}:{value[:1000]}", f"{unique}:plain"
    step("set", url=server.url, key=key, value=value)
    step("set", url=server.url, key=plain, value={value[:1000]: [value]})

    assert {"value": value, "exists": True, "binary": False} == step("get", url=server.url, key=key)
    assert {"exists": True, "count": 1} == step("exists", url=server.url, keys=[key])
    assert {value[:1000]: [value]} == json.loads(look("GET", plain))
    assert "2" == look("EVAL", "return #redis.call('KEYS', ARGV[1])", "0", f"{unique}:*")
    assert str(len(value.encode())) == look("EVAL", _LENGTH_OF_THE_OTHER, "1", plain, f"{unique}:*")
    assert {"deleted": 2} == step("del", url=server.url, keys=[key, plain])


def test_a_warm_step_is_one_command(own_redis: Callable[..., Any], step: Any, redis_cli: Callable[..., str]) -> None:
    """Neither HELLO nor CLIENT SETINFO nor PING: the server counts what it received."""
    url = own_redis().url
    redis_cli(url, "CONFIG", "RESETSTAT")
    for _ in range(5):
        step("get", url=url, key="a")

    counts = redis_cli(url, "INFO", "commandstats").splitlines()
    ours = [each.partition(",")[0] for each in counts if not each.startswith(_OF_REDIS_CLI)]
    assert ["cmdstat_get:calls=5"] == [each for each in ours if each.startswith("cmdstat_")]
    assert "total_connections_received:3" in redis_cli(url, "INFO", "stats")


_OF_REDIS_CLI = ("cmdstat_info", "cmdstat_select", "cmdstat_config")
_LENGTH_OF_THE_OTHER = """
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
    if key ~= KEYS[1] then return redis.call('STRLEN', key) end
end
"""
