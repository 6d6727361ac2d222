"""How the HTTP APIs of services are asked, and what their refusals become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest

from pytest_testmesh.errors import ActionConfigError, ActionTimeoutError, TargetError, TargetUnavailableError
from pytest_testmesh.integrations._http_answers import STATUSES
from pytest_testmesh.integrations._within import look_deadline
from pytest_testmesh.polling import NEVER, Deadline

Ask = Callable[..., Any]


def test_parameters_reach_the_server_as_they_are(ask: Ask, api: Any) -> None:
    api.answer({})
    ask("/api/v1/query", {"query": 'a{b="c+ d&é%"}', "limit": 5, "left": None, "match[]": ["x", "y"]})

    assert {"query": ['a{b="c+ d&é%"}'], "limit": ["5"], "match[]": ["x", "y"]} == api.asked[0].params
    assert "+" not in api.asked[0].query, "not every server reads it as a blank"
    assert ("GET", "/api/v1/query") == (api.asked[0].method, api.asked[0].path)
    assert "application/json" == api.asked[0].headers["accept"]


def test_a_query_that_is_too_long_for_a_url_goes_as_a_form(ask: Ask, api: Any) -> None:
    api.answer({})
    ask("/api", {"query": "x" * 5000}, form=True)
    ask("/api", {"query": "short"}, form=True)

    assert ["POST", "GET"] == [each.method for each in api.asked]
    assert ["x" * 5000] == api.asked[0].params["query"]


@pytest.mark.parametrize("base", ["", "/", "/prefix", "/prefix/"])
def test_a_base_address_may_have_a_path(ask: Ask, api: Any, base: str) -> None:
    api.answer({})
    ask("/api", url=api.url + base)

    assert f"{base.rstrip('/')}/api" == api.asked[0].path


@pytest.mark.parametrize(
    ("config", "header", "value"),
    [
        pytest.param({"auth": {"type": "basic", "username": "u", "password": "p"}}, "authorization", "Basic dTpw"),
        pytest.param({"auth": {"type": "bearer", "token": "tok"}}, "authorization", "Bearer tok", id="bearer"),
        pytest.param({"auth": {"type": "api_key", "key": "k1"}}, "x-api-key", "k1", id="api key"),
        pytest.param({"tenant": "team"}, "x-scope-orgid", "team", id="tenant"),
        pytest.param({"headers": {"X-More": 5}}, "x-more", "5", id="header"),
    ],
)
def test_credentials_and_headers_are_sent(ask: Ask, api: Any, config: Any, header: str, value: str) -> None:
    api.answer({})
    ask(**config)

    assert value == api.asked[0].headers[header]


def test_credentials_in_the_url_are_used_and_not_shown(ask: Ask, api: Any, steps: Any) -> None:
    api.answer("no", 401)
    with pytest.raises(TargetError) as caught:
        ask(url=api.url.replace("//", "//ann:s%40cret@"))

    assert "Basic YW5uOnNAY3JldA==" == api.asked[0].headers["authorization"]
    assert "ann" not in f"{caught.value.message} {caught.value.hint}"
    assert ["s@cret"] == steps.secrets


def test_a_tenant_cannot_be_named_twice(ask: Ask) -> None:
    with pytest.raises(ActionConfigError, match=r"both config\.tenant and config\.headers\.X-Scope-OrgID"):
        ask(tenant="a", headers={"x-scope-orgid": "b"})


def test_a_base_address_has_no_query(ask: Ask, api: Any) -> None:
    with pytest.raises(ActionConfigError, match="goes on with") as caught:
        ask(url=f"{api.url}/x?token=secret")

    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (302, "REDIRECT"),
        (400, "BAD_REQUEST"),
        (401, "AUTHENTICATION_FAILED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (405, "NOT_FOUND"),
        (407, "TARGET_ERROR"),
        (414, "TARGET_ERROR"),
        (422, "BAD_REQUEST"),
        (429, "RATE_LIMITED"),
        (500, "SERVER_ERROR"),
        (502, "SERVICE_UNAVAILABLE"),
        (503, "SERVICE_UNAVAILABLE"),
        (504, "SERVICE_UNAVAILABLE"),
    ],
)
def test_a_refusal_is_told_with_the_servers_words(ask: Ask, api: Any, status: int, code: str) -> None:
    api.answer({"status": "error", "error": "the server's words"}, status, Location="http://127.0.0.1/there?secret=1")
    with pytest.raises(TargetError, match=rf"^GET {api.url}/api: ") as caught:
        ask("/api", {"query": "unseen"})

    assert code == caught.value.code
    told = "http://127.0.0.1/there" if status == 302 else "the server's words"
    assert caught.value.message.endswith(told)


def test_every_status_of_the_table_is_tested_above() -> None:
    rows = test_a_refusal_is_told_with_the_servers_words.pytestmark[0].args[1]  # type: ignore[attr-defined]

    assert STATUSES.keys() <= {status for status, _ in rows}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("plain words\nof two lines", "plain words of two lines", id="text"),
        pytest.param({"message": "m"}, "m", id="message"),
        pytest.param({"data": None, "errors": [{"code": 404, "msg": "trace not found"}]}, "trace not found", id="list"),
        pytest.param({"error": {"httpCode": 404, "message": "inner"}}, "inner", id="nested"),
        pytest.param("<html>a page</html>", "418 I'm a Teapot", id="page"),
        pytest.param("", "418 I'm a Teapot", id="nothing"),
        pytest.param({"other": 5}, "418 I'm a Teapot", id="JSON that says nothing"),
    ],
)
def test_the_servers_words_are_found(ask: Ask, api: Any, body: object, said: str) -> None:
    api.answer(body, 418)
    with pytest.raises(TargetError) as caught:
        ask()

    assert said == caught.value.message.partition("/api: ")[2]


@pytest.mark.parametrize(
    ("status", "config", "hint"),
    [
        pytest.param(401, {}, "no credentials were sent: `auth` takes", id="without a login"),
        pytest.param(401, {"auth": {"type": "bearer", "token": "t"}}, "are the credentials right", id="with one"),
        pytest.param(403, {"auth": {"type": "api_key", "key": "k"}}, "are the credentials right", id="with a key"),
        pytest.param(404, {}, "is {url} the base address of a Thing?", id="not found"),
        pytest.param(429, {}, "it asks to wait (Retry-After: 17)", id="too many"),
        pytest.param(503, {}, "Thing is there but not ready; it asks to wait (Retry-After: 17)", id="busy"),
    ],
)
def test_a_hint_says_what_to_do(ask: Ask, api: Any, status: int, config: Any, hint: str) -> None:
    api.answer("no", status, Retry_After="17")
    with pytest.raises(TargetError) as caught:
        ask(**config)

    assert hint.format(url=api.url) in str(caught.value.hint)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param("<!doctype html><title>Login</title>", "a web page", id="page"),
        pytest.param("", "nothing", id="nothing"),
        pytest.param("pong", "pong", id="text"),
        pytest.param("[1]", "[1]", id="a list"),
        pytest.param("[" * 100_000, "[[[", id="deep"),
    ],
)
def test_an_answer_that_is_no_json_object_is_told(ask: Ask, api: Any, body: str, told: str) -> None:
    api.answer(body)
    with pytest.raises(TargetError, match="the answer is not JSON: ") as caught:
        ask().json()

    assert told in caught.value.message
    assert "NOT_JSON" == caught.value.code


def test_json_is_told_by_the_body(ask: Ask, api: Any) -> None:
    api.answer('{"a": NaN}', Content_Type="text/plain")

    assert {"a": "NaN"} == ask().json()


def test_an_answer_of_another_form_is_told(ask: Ask, api: Any) -> None:
    api.answer({"unexpected": 5})
    with pytest.raises(TargetError, match=r"the answer is not as Thing gives it: .*unexpected") as caught:
        ask().read(lambda parsed: parsed["data"])

    assert "NOT_UNDERSTOOD" == caught.value.code


def test_a_wrong_client_loses_no_word_of_the_query_in_messages(ask: Ask, unused_port: int) -> None:
    url = f"http://127.0.0.1:{unused_port}"
    with pytest.raises(TargetUnavailableError, match=rf"^GET {url}/api: connection refused$"):
        ask("/api", {"query": "long"}, url=url)


@pytest.mark.parametrize(
    ("ahead_s", "told"), [(0, []), (600, ["ahead of"]), (-600, ["behind"])], ids=["same", "ahead", "behind"]
)
def test_a_clock_that_is_off_is_told(ask: Ask, api: Any, ahead_s: float, told: list[str]) -> None:
    now_s = 1_795_395_292.5
    api.answer({}, Date=formatdate(now_s + ahead_s, usegmt=True))
    hints = list(replace(ask(), received_at_s=now_s).clock_hint())

    assert len(told) == len(hints)
    assert all(word in hint for word, hint in zip(told, hints, strict=True))


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_a_server_that_tells_no_time_is_not_blamed(ask: Ask, api: Any, date: str) -> None:
    api.answer({}, Date=date)

    assert ask().server_ahead_s is None


def test_a_login_that_was_refused_is_asked_for_anew(ask: Ask, api: Any) -> None:
    auth = {"type": "oauth2", "token_url": f"{api.url}/token", "client_id": "i", "client_secret": "s"}
    for body, status in (({"access_token": "t1"}, 200), ("no", 401), ({"access_token": "t2"}, 200), ({}, 200)):
        api.answer(body, status)
    with pytest.raises(TargetError):
        ask(auth=auth)
    ask(auth=auth)

    assert ["/token", "/api", "/token", "/api"] == [each.path for each in api.asked]
    assert "Bearer t2" == api.asked[-1].headers["authorization"]


def test_a_silent_server_ends_at_the_timeout(ask: Ask, dripping: Callable[..., Any]) -> None:
    with pytest.raises(ActionTimeoutError, match=r"/api: timed out after .* \(timeout 0\.2s\)"):
        ask(url=dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n").url().rstrip("/"), timeout="0.2s")


@pytest.mark.parametrize(
    ("config", "deadline_s", "within_s", "expected_s"),
    [
        pytest.param({}, None, None, 30, id="default"),
        pytest.param({"timeout": "500s"}, None, None, 500, id="timeout"),
        pytest.param({"timeout": "500s"}, 200, None, 200, id="the step's deadline"),
        pytest.param({"timeout": "500s"}, None, 300, 300, id="within"),
        pytest.param({"timeout": "500s"}, None, 0, 5, id="the last look"),
        pytest.param({"timeout": "500s"}, 0.5, 0, 0.5, id="the last look before the step's deadline"),
    ],
)
def test_a_look_ends(config: Any, deadline_s: float | None, within_s: float | None, expected_s: float) -> None:
    deadline = NEVER if deadline_s is None else Deadline.after(deadline_s, "")
    within = None if within_s is None else Deadline.after(within_s, "")
    left_s = look_deadline(config, deadline, within).remaining()

    assert max(expected_s - 25, 0) <= left_s <= expected_s
