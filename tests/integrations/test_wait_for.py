"""``wait_for`` polls until ready and tells the last cause when it gives up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from pytest_testmesh.errors import ActionConfigError, ActionTimeoutError
from pytest_testmesh.integrations import wait_for as wait_for_module
from pytest_testmesh.integrations.wait_for import SCHEMA, wait_for
from pytest_testmesh.polling import Deadline
from pytest_testmesh.schemas import ConfigSchema


def test_http_that_is_ready(steps: Any, server: Any) -> None:
    result = wait_for({"url": server.url("/echo")}, steps.context())

    assert (1, 200) == (result["attempts"], result["status"])
    assert isinstance(result["duration_ms"], int)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"status_code": 404}, id="status"),
        pytest.param({"status_code": [200, 404]}, id="one-of-several"),
        pytest.param({"type": "http", "status_code": 404, "method": "POST"}, id="method"),
    ],
)
def test_http_status(steps: Any, server: Any, config: dict[str, Any]) -> None:
    assert 404 == wait_for({"url": server.url("/status/404"), **config}, steps.context())["status"]


BODY = {"url": "/body?type=application/json&hex=" + b'{"state": "UP", "n": [1, 2], "none": null}'.hex()}


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"body_contains": '"UP"'}, id="contains"),
        pytest.param({"json_path": "$.state"}, id="path-is-there"),
        pytest.param({"json_path": "$.state", "json_value": "UP"}, id="path-has-value"),
        pytest.param({"json_path": "$.n[1]", "json_value": 2}, id="element"),
        pytest.param({"json_path": "n", "json_value": [1, 2]}, id="without-dollar"),
        pytest.param({"json_path": "$.none", "json_value": None}, id="null"),
    ],
)
def test_http_body(steps: Any, server: Any, config: dict[str, Any]) -> None:
    assert 1 == wait_for({**config, "url": server.url(BODY["url"]), "timeout": "60s"}, steps.context())["attempts"]


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        pytest.param({"status_code": 201}, "status 200, not 201", id="status"),
        pytest.param({"body_contains": "DOWN"}, "the body does not contain 'DOWN': {", id="contains"),
        pytest.param({"json_path": "$.x"}, r"\$\.x is missing: ", id="path"),
        pytest.param({"json_path": "$.n", "json_value": 3}, r"\$\.n is \[1, 2\], not 3", id="value"),
        pytest.param(
            {"json_path": "$.n[0]", "json_value": True}, r"\$\.n\[0\] is 1, not true", id="value-of-another-type"
        ),
    ],
)
def test_http_that_never_is_as_wanted(steps: Any, server: Any, config: dict[str, Any], problem: str) -> None:
    said = rf"^waited \d+\.\d\ds for GET http://\S+: {problem}.* \(2 attempts; timeout 60s of wait_for\)$"
    limits = {"timeout": "60s", "interval": "1ms", "max_attempts": 2}
    with pytest.raises(ActionTimeoutError, match=said):
        wait_for({**config, **limits, "url": server.url(BODY["url"])}, steps.context())


def test_refused_connections_count_as_not_yet(steps: Any, unused_port: int) -> None:
    said = rf"for GET http://127\.0\.0\.1:{unused_port}/: connection refused \(3 attempts; "
    with pytest.raises(ActionTimeoutError, match=said) as caught:
        wait_for({"url": f"http://127.0.0.1:{unused_port}/", "interval": "1ms", "max_attempts": 3}, steps.context())

    assert "TIMEOUT" == caught.value.code


@pytest.fixture
def when_the_first_try_is_over(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something before the first pause."""
    pauses = wait_for_module._pauses

    def arrange(do: Callable[[], object]) -> None:
        def pauses_after(config: Mapping[str, Any]) -> Iterator[float]:
            do()
            yield from pauses(config)

        monkeypatch.setattr(wait_for_module, "_pauses", pauses_after)

    return arrange


@pytest.mark.parametrize("kind", ["http", "tcp"])
def test_service_that_starts_late(
    steps: Any, unused_port: int, kind: str, when_the_first_try_is_over: Callable[..., None]
) -> None:
    tried = threading.Event()

    def serve() -> None:
        tried.wait()
        with socket.create_server(("127.0.0.1", unused_port)) as listener:
            connection, _ = listener.accept()
            with connection:
                if kind == "http":
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    when_the_first_try_is_over(tried.set)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    config = {"url": f"http://127.0.0.1:{unused_port}/"} if kind == "http" else {"port": unused_port}
    result = wait_for({**config, "host": "127.0.0.1", "timeout": "60s", "interval": "50ms"}, steps.context())
    thread.join()

    assert result["attempts"] > 1


class LeavesAMoment(Deadline):
    """One that cuts every pause to a moment, however long the try before it took."""

    def remaining(self) -> float:
        return 0.1


def test_what_becomes_ready_during_the_last_pause_is_seen(
    steps: Any, server: Any, when_the_first_try_is_over: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    when_the_first_try_is_over(server.gate.set)
    monkeypatch.setattr(wait_for_module, "_before", lambda deadline: LeavesAMoment(deadline.at))
    config = {"url": server.url("/gated"), "timeout": "60s", "interval": "1h"}

    assert 2 == wait_for(config, steps.context())["attempts"]


def test_the_last_try_has_some_of_the_time() -> None:
    deadline = Deadline.after(60, "timeout 60s")

    assert pytest.approx(wait_for_module._LAST_TRY_S) == deadline.at - wait_for_module._before(deadline).at


def test_hanging_server_is_left_at_the_deadline(steps: Any, dripping: Any) -> None:
    started = time.monotonic()
    with pytest.raises(ActionTimeoutError, match=r"waiting for the response headers.* \(1 attempt; "):
        wait_for({"url": dripping().url(), "timeout": "3s"}, steps.context())

    assert time.monotonic() - started < 20


def test_earlier_deadline_of_the_step_is_named(steps: Any, unused_port: int) -> None:
    with pytest.raises(ActionTimeoutError, match="; step timeout 200ms"):
        wait_for({"port": unused_port, "interval": "50ms"}, steps.context(Deadline.after(0.2, "step timeout 200ms")))


def test_max_attempts(steps: Any, unused_port: int) -> None:
    with pytest.raises(ActionTimeoutError, match=r"for tcp localhost:\d+: connection refused \(3 attempts"):
        wait_for({"port": unused_port, "interval": "10ms", "max_attempts": 3}, steps.context())


def test_tcp_address_as_url(steps: Any, server: Any) -> None:
    url = f"tcp://127.0.0.1:{server.server_port}"

    assert 1 == wait_for({"type": "tcp", "url": url}, steps.context())["attempts"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param({}, "nothing to wait for", id="empty"),
        pytest.param({"type": "http", "port": 80}, "type http needs `url`", id="http-without-url"),
        pytest.param({"type": "udp", "port": 80}, "'udp' cannot be waited for", id="type"),
        pytest.param({"type": "tcp", "url": "nowhere"}, "names no host and port", id="tcp-url"),
        pytest.param({"url": "localhost:80"}, "has no scheme", id="url"),
        pytest.param({"url": "http://h/", "json_value": 1}, "json_value without json_path", id="value-without-path"),
        pytest.param({"url": "http://h/", "json_path": "$["}, "config.json_path: ", id="path"),
        pytest.param({"port": 80, "timeout": "soon"}, "'soon' is not a duration", id="timeout"),
        pytest.param({"port": 80, "host": "a" * 300}, r'^config\.host: "a{77}\.\.\." is no host name$', id="host"),
        pytest.param({"port": 80, "host": ""}, "is no host name", id="empty-host"),
        pytest.param(
            {"type": "tcp", "url": f"tcp://{'a' * 64}:1"}, r"^config\.url: .* is no host name$", id="tcp-host"
        ),
        pytest.param({"type": "tcp", "url": "h:65536"}, "names no host and port", id="tcp-port"),
        pytest.param({"url": f"http://{'a' * 300}/"}, "is no host name", id="http-host"),
    ],
)
def test_bad_config_is_told_at_once(steps: Any, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ActionConfigError, match=message):
        wait_for(config, steps.context())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param({"port": 0}, "config.port: 0 is less than the minimum of 1", id="port-0"),
        pytest.param({"port": 65536}, "config.port: 65536 is greater than the maximum of 65535", id="port-too-high"),
        pytest.param({"max_attempts": 0}, "config.max_attempts: 0 is less than the minimum of 1", id="max-attempts"),
        pytest.param({"port": 65535, "max_attempts": 1}, None, id="limits"),
    ],
)
def test_schema_bounds_numbers(config: dict[str, Any], message: str | None) -> None:
    violation = ConfigSchema(SCHEMA).violation(config)

    assert message == (violation and violation.message)
