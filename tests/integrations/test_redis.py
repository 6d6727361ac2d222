"""What ``redis.*`` steps send for a config, to a server that writes down what it received; no Redis is needed."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_testmesh.actions import ActionRegistry
from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations import redis as actions
from pytest_testmesh.integrations.redis.address import Address, parse_address

Step = Callable[..., Any]


@dataclass
class Recorder:
    """A server of the protocol that writes down each command and answers with what it is told."""

    port: int
    answers: dict[str, bytes] = field(default_factory=dict)
    received: list[list[bytes]] = field(default_factory=list)
    connections: int = 0

    def answer(self, words: list[bytes]) -> bytes:
        """Note one command; by default everything is well and nothing is stored."""
        self.received.append(words)
        usual = {"GET": b"$-1\r\n", "DEL": b":0\r\n", "EXISTS": b":0\r\n"}
        name = words[0].decode()
        return self.answers.get(name, usual.get(name, b"+OK\r\n"))


@pytest.fixture
def recorder(tcp_script: Any) -> Recorder:
    """A running :class:`Recorder`."""

    def play(connection: socket.socket, script: Any) -> None:
        made.connections += 1
        threading.Thread(target=serve, args=(connection.dup(),), daemon=True).start()

    def serve(connection: socket.socket) -> None:
        connection.settimeout(10)
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                words = [stream.read(int(stream.readline()[1:]) + 2)[:-2] for _ in range(int(line[1:]))]
                connection.sendall(made.answer(words))

    made = Recorder(0)
    made.port = tcp_script(play).port
    return made


@pytest.fixture
def step(steps: Any, recorder: Recorder) -> Iterator[Step]:
    """Runs ``step("get", key="a")`` against the recorder; other settings and addresses may be given."""

    def run(action: str, settings: dict[str, str] | None = None, **config: Any) -> Any:
        context = steps.context()
        context.settings = settings or {"redis_url": f"redis://127.0.0.1:{recorder.port}"}
        return getattr(actions, f"redis_{action}")(config, context)

    yield run
    steps.session.close()


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        pytest.param("text", b"text", id="text"),
        pytest.param("", b"", id="empty text"),
        pytest.param("00123", b"00123", id="text of digits"),
        pytest.param("Zoë 🌍\0", "Zoë 🌍\0".encode(), id="letters of all kinds"),
        pytest.param(5, b"5", id="integer"),
        pytest.param(29.9, b"29.9", id="fraction"),
        pytest.param(5.0, b"5", id="whole fraction"),
        pytest.param(True, b"true", id="boolean"),
        pytest.param({"name": "Zoë", "tags": [1, None]}, '{"name":"Zoë","tags":[1,null]}'.encode(), id="mapping"),
        pytest.param([], b"[]", id="list"),
    ],
)
def test_values_are_stored_as_text_or_json(step: Step, recorder: Recorder, value: object, stored: bytes) -> None:
    assert {"ok": True} == step("set", key="k", value=value)

    assert [[b"SET", b"k", stored]] == recorder.received


def test_bytes_are_stored_from_base64(step: Step, recorder: Recorder) -> None:
    step("set", key="k", value_base64="/wD+")

    assert [[b"SET", b"k", b"\xff\x00\xfe"]] == recorder.received


@pytest.mark.parametrize(
    ("ttl", "milliseconds"),
    [
        pytest.param("1500ms", b"1500", id="milliseconds"),
        pytest.param("1m30s", b"90000", id="minutes"),
        pytest.param(3600, b"3600000", id="bare number of seconds"),
        pytest.param(0.25, b"250", id="fraction of a second"),
    ],
)
def test_time_to_live_is_sent_in_milliseconds(step: Step, recorder: Recorder, ttl: object, milliseconds: bytes) -> None:
    step("set", key="k", value="v", ttl=ttl)

    assert [[b"SET", b"k", b"v", b"PX", milliseconds]] == recorder.received


def test_keys_are_sent_once_each(step: Step, recorder: Recorder) -> None:
    recorder.answers["EXISTS"] = b":2\r\n"

    assert {"exists": True, "count": 2} == step("exists", keys=["a", 7, "a"])
    assert [[b"EXISTS", b"a", b"7"]] == recorder.received


def test_keys_exist_when_all_of_them_do(step: Step, recorder: Recorder) -> None:
    recorder.answers["EXISTS"] = b":1\r\n"

    assert {"exists": False, "count": 1} == step("exists", keys=["a", "b"])


def test_bytes_that_are_no_text_come_back_as_base64(step: Step, recorder: Recorder) -> None:
    recorder.answers["GET"] = b"$3\r\n\xff\x00\xfe\r\n"

    assert {"value": "/wD+", "exists": True, "binary": True} == step("get", key="k")


def test_an_empty_text_exists(step: Step, recorder: Recorder) -> None:
    recorder.answers["GET"] = b"$0\r\n\r\n"

    assert {"value": "", "exists": True, "binary": False} == step("get", key="k")


def test_steps_share_one_connection_and_send_one_command_each(step: Step, recorder: Recorder) -> None:
    """redis-py would introduce itself with HELLO and CLIENT SETINFO."""
    url = f"redis://app:secret@127.0.0.1:{recorder.port}/3"
    step("get", url=url, key="a")
    step("set", url=url, key="a", value="v")
    step("del", url=url, key="a")

    login = [[b"AUTH", b"app", b"secret"], [b"SELECT", b"3"]]
    commands = [[b"GET", b"a"], [b"SET", b"a", b"v"], [b"DEL", b"a"]]
    assert login + commands == recorder.received
    assert 1 == recorder.connections


def test_other_settings_have_connections_of_their_own(step: Step, recorder: Recorder) -> None:
    for db in (0, 1, 0, 1):
        step("get", key="a", db=db)

    assert 2 == recorder.connections


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n", "", id="another protocol"),
        pytest.param(b"$x\r\n", "", id="length that is no number"),
        pytest.param(b":7\r\n", "7 is no answer to GET", id="answer of another command"),
        pytest.param(b"*1\r\n:7\r\n", r"\[7\] is no answer", id="list"),
    ],
)
def test_a_server_that_is_no_redis(step: Step, recorder: Recorder, answer: bytes, said: str) -> None:
    recorder.answers["GET"] = answer
    with pytest.raises(Exception, match=f"not of the Redis protocol.*{said}") as caught:
        step("get", key="k")

    assert "NOT_REDIS" == getattr(caught.value, "code", None)
    recorder.answers.clear()
    assert not step("get", key="k")["exists"]
    assert 2 == recorder.connections


def test_what_was_sent_and_received_is_told(step: Step, steps: Any, recorder: Recorder) -> None:
    step("set", key="user:42", value={"name": "Ann"}, ttl="5s")

    assert f'SET user:42 at 127.0.0.1:{recorder.port} PX 5000  {{"name":"Ann"}}' == steps.exchange.sent()
    assert steps.exchange.received().startswith("OK in ")


def test_long_values_are_shown_shortened(step: Step, steps: Any, recorder: Recorder) -> None:
    recorder.answers["GET"] = b"$5000\r\n" + b"x" * 5000 + b"\r\n"
    step("set", key="k", value="x" * 5000)
    assert steps.exchange.sent().endswith(f"{'x' * 400}... (5000 characters)")
    assert steps.exchange.sent(verbose=True).endswith("x" * 5000)

    step("get", key="k")
    assert steps.exchange.received().endswith(f"{'x' * 400}... (5000 characters)")
    assert steps.exchange.received(verbose=True).endswith("x" * 5000)


def test_a_password_is_masked_in_every_report(step: Step, steps: Any, recorder: Recorder) -> None:
    step("get", url=f"redis://:p%40ss@127.0.0.1:{recorder.port}", key="k")

    assert ["p@ss"] == steps.secrets
    assert "p@ss" not in steps.exchange.sent(verbose=True)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({}, Address(), id="nothing"),
        pytest.param({"url": "redis://h"}, Address(host="h"), id="host"),
        pytest.param({"url": "redis://h:7/2"}, Address(host="h", port=7, db=2), id="port and database"),
        pytest.param({"url": "redis://h/?db=2"}, Address(host="h", db=2), id="database as parameter"),
        pytest.param({"url": "redis://:p%2Fw@h"}, Address(host="h", password="p/w"), id="password"),
        pytest.param({"url": "redis://u:p@h"}, Address(host="h", username="u", password="p"), id="user"),
        pytest.param({"url": "rediss://h"}, Address(host="h", tls=True), id="TLS"),
        pytest.param(
            {"url": "rediss://h?ssl_cert_reqs=none"}, Address(host="h", tls=True, verify=False), id="unchecked TLS"
        ),
        pytest.param(
            {"url": "rediss://h?ssl_ca_certs=/ca.pem"},
            Address(host="h", tls=True, verify="/ca.pem"),
            id="CA in the URL",
        ),
        pytest.param({"url": "redis://[::1]:7"}, Address(host="::1", port=7), id="IPv6"),
        pytest.param({"url": "redis://h/1", "db": 2, "ssl": True}, Address(host="h", db=2, tls=True), id="keys win"),
        pytest.param({"host": "h", "password": ""}, Address(host="h"), id="empty password"),
        pytest.param(
            {"url": "redis://u:p@h", "username": "v"},
            Address(host="h", username="v"),
            id="a user has a password of his own",
        ),
    ],
)
def test_addresses(config: dict[str, Any], expected: Address) -> None:
    assert expected == parse_address(config, {})


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({}, Address(host="s", db=1, username="u", password="p"), id="as it is"),
        pytest.param({"db": 2}, Address(host="s", db=2, username="u", password="p"), id="another database"),
        pytest.param({"password": "q"}, Address(host="s", db=1, username="u", password="q"), id="another password"),
        pytest.param({"host": "other"}, Address(host="other"), id="another host gets no password"),
        pytest.param({"port": 7}, Address(port=7), id="another port gets no password"),
        pytest.param({"url": "redis://other"}, Address(host="other"), id="another url gets no password"),
    ],
)
def test_addresses_with_a_setting_for_all_flows(config: dict[str, Any], expected: Address) -> None:
    assert expected == parse_address(config, {"redis_url": "redis://u:p@s/1"})


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis+cluster://h", "is for a cluster"),
        ("redis-sentinel://h", "is for Sentinel"),
        ("redis://a:1,b:2", "lists several servers"),
        ("unix:///tmp/redis.sock", "begins with unix://"),
        ("localhost:6379", "begins with localhost://"),
        ("", "begins with nothing"),
        ("redis://h:0", "0 is no port"),
        ("redis://h:99999", "its port is no number"),
        ("redis://h/first", "no number of a database"),
        ("redis://[::1", "is no URL"),
        ("redis://h/0#1", "has a part behind #"),
        ("redis://h?timeout=5", "means nothing here: timeout"),
        (f"redis://{'h' * 64}", "is no host name"),
    ],
)
def test_urls_that_cannot_be_used(url: str, told: str) -> None:
    with pytest.raises(ActionConfigError, match=f"config.url.*{told}|{told}"):
        parse_address({"url": url}, {})


@pytest.mark.parametrize("odd", ["/", "?", "#", "/x?y=", ":8/", "@/"])
def test_a_password_that_is_not_encoded_does_not_show(odd: str) -> None:
    with pytest.raises(ActionConfigError) as caught:
        parse_address({"url": f"redis://:12{odd}s3cret@localhost:6379/0"}, {})

    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("action", "config", "told"),
    [
        ("redis.get", {"key": "k", "url": "redis://h", "port": 7}, "both `url` and `host` or `port`"),
        ("redis.get", {"key": "k", "db": -1}, "-1 is no database"),
        ("redis.get", {"key": "k", "port": 0}, "0 is no port"),
        ("redis.get", {"key": "\ud800"}, "config.key holds half a character"),
        ("redis.set", {"key": "k"}, "either `value` or `value_base64`"),
        ("redis.set", {"key": "k", "value": "v", "value_base64": ""}, "either `value` or `value_base64`"),
        ("redis.set", {"key": "k", "value_base64": "ä"}, "value_base64 is no base64"),
        ("redis.set", {"key": "k", "value": "v", "ttl": 0}, "config.ttl: 0 is no time to live"),
        ("redis.set", {"key": "k", "value": "v", "ttl": "soon"}, "'soon' is not a duration"),
        ("redis.del", {}, "either `key` or `keys`"),
        ("redis.exists", {"key": "k", "keys": ["l"]}, "either `key` or `keys`"),
        ("redis.exists", {"keys": []}, "config.keys is empty"),
    ],
)
def test_configs_are_checked_at_collection(action: str, config: dict[str, Any], told: str) -> None:
    registry = ActionRegistry()
    actions.register(registry)
    found = registry.find(action)

    assert found.check is not None
    with pytest.raises(ActionConfigError, match=told):
        found.check(config)


def test_null_is_no_value() -> None:
    violation = ActionRegistry()
    actions.register(violation)

    assert violation.find("redis.set").config_schema.violation({"key": "k", "value": None}) is not None


@pytest.mark.parametrize("name", ["redis_get", "redis_set"])
def test_old_names_are_the_same_actions(name: str) -> None:
    registry = ActionRegistry()
    actions.register(registry)

    assert registry.find(name).run is registry.find(name.replace("_", ".")).run


def test_declaring_the_actions_loads_no_client() -> None:
    code = (
        "import sys\n"
        "from pytest_testmesh.actions import ActionRegistry\n"
        "from pytest_testmesh.integrations.redis import register\n"
        "register(ActionRegistry())\n"
        "print([name for name in ('redis', 'urllib3', 'ssl') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout
