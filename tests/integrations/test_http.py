"""What ``http_request`` sends for a config, and what it makes of a response."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from pytest_testmesh.actions import ActionRegistry
from pytest_testmesh.errors import ActionConfigError, TargetError
from pytest_testmesh.expressions import compile_expression
from pytest_testmesh.integrations import register_builtins
from pytest_testmesh.integrations.http.response import Headers, decode_body
from pytest_testmesh.schemas import ConfigSchema
from pytest_testmesh.scope import ResultNames


def sent(steps: Any, server: Any, **config: Any) -> Any:
    """Send one request to /echo and return it as the server saw it."""
    steps.http(server.url("/echo"), config.pop("method", "POST"), **config)
    return server.received[-1]


def test_result_has_every_documented_key(steps: Any, server: Any) -> None:
    registry = ActionRegistry()
    register_builtins(registry)
    result = steps.http(server.url("/echo"))

    assert list(registry.find("http_request").result) == list(result)
    assert json.loads(json.dumps(result)) == result


def test_result_of_a_get(steps: Any, server: Any) -> None:
    result = steps.http(server.url("/echo"))

    assert 200 == result["status"]
    assert "GET" == result["body"]["method"]
    assert "application/json; charset=utf-8" == result["content_type"]
    assert {} == result["cookies"]
    assert server.url("/echo") == result["url"]
    assert isinstance(result["duration_ms"], int)
    assert result["time"] == result["duration_ms"]


@pytest.mark.parametrize("status", [204, 304, 400, 404, 500, 503])
def test_no_status_fails_by_itself(steps: Any, server: Any, status: int) -> None:
    assert status == steps.http(server.url(f"/status/{status}"))["status"]


@pytest.mark.parametrize("name", ["Content-Type", "content-type", "CONTENT-TYPE"])
def test_headers_are_found_in_any_case(name: str) -> None:
    headers = Headers({"Content-Type": "text/plain"})

    assert "text/plain" == headers[name]
    assert "text/plain" == headers.get(name)
    assert name in headers


@pytest.mark.parametrize(
    "expression",
    [
        'headers["Content-Type"] contains "json"',
        'headers["content-type"] contains "json"',
        'headers.location == "/x"',
        "response.headers.LOCATION exists",
        "!(headers.absent exists)",
        '$.headers.location == "/x"',
    ],
)
def test_headers_in_expressions(scope: Any, expression: str) -> None:
    headers = Headers({"Content-Type": "application/json", "Location": "/x"})

    assert compile_expression(expression).test(ResultNames({"headers": headers}, scope))


def test_absent_header_is_absent() -> None:
    headers = Headers({"Content-Type": "text/plain"})

    assert "location" not in headers
    assert headers.get("location") is None
    with pytest.raises(KeyError):
        headers["location"]


@pytest.mark.parametrize(
    ("config", "body", "content_type"),
    [
        pytest.param({"body": {"a": 1}}, b'{"a": 1}', "application/json", id="mapping"),
        pytest.param({"body": [1, None]}, b"[1, null]", "application/json", id="list"),
        pytest.param({"body": 5}, b"5", "application/json", id="number"),
        pytest.param({"body": False}, b"false", "application/json", id="boolean"),
        pytest.param({"body": "as is ä"}, "as is ä".encode(), None, id="text"),
        pytest.param({"body": None}, b"", None, id="null"),
        pytest.param({}, b"", None, id="none"),
        pytest.param(
            {"form": {"a": "x y", "b": [1, True], "c": None}},
            b"a=x+y&b=1&b=true",
            "application/x-www-form-urlencoded",
            id="form",
        ),
        pytest.param(
            {"body": {"a": "&"}, "headers": {"content-type": "application/x-www-form-urlencoded"}},
            b"a=%26",
            "application/x-www-form-urlencoded",
            id="mapping-with-form-content-type",
        ),
        pytest.param(
            {"body": {"a": 1}, "headers": {"Content-Type": "application/vnd.api+json"}},
            b'{"a": 1}',
            "application/vnd.api+json",
            id="own-content-type",
        ),
    ],
)
def test_body(steps: Any, server: Any, config: dict[str, Any], body: bytes, content_type: str | None) -> None:
    request = sent(steps, server, **config)

    assert body == request.body
    assert content_type == request.headers.get("content-type")


def test_post_without_body_has_length_zero(steps: Any, server: Any) -> None:
    assert "0" == sent(steps, server).headers["content-length"]


def test_files_are_sent_as_multipart(steps: Any, server: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("1,2")
    request = sent(
        steps,
        server,
        form={"kind": "csv"},
        files={"plain": "data/a.csv", "made": {"content": "{}", "filename": "b.json", "content_type": "x/y"}},
    )

    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    for part in (
        b'name="kind"\r\n\r\ncsv\r\n',
        b'name="plain"; filename="a.csv"\r\nContent-Type: text/csv\r\n\r\n1,2\r\n',
        b'name="made"; filename="b.json"\r\nContent-Type: x/y\r\n\r\n{}\r\n',
    ):
        assert part in request.body


def test_several_files_of_one_field(steps: Any, server: Any) -> None:
    request = sent(steps, server, files={"f": [{"content": "one"}, {"content": "two"}]})

    assert 2 == request.body.count(b'name="f"; filename="f"')


@pytest.mark.parametrize(
    ("url", "params", "query"),
    [
        pytest.param("/echo", {"a": "x y&z", "b": 2}, [("a", "x y&z"), ("b", "2")], id="encoded"),
        pytest.param("/echo?z=0", {"a": 1}, [("z", "0"), ("a", "1")], id="added-to-the-url"),
        pytest.param("/echo", {"a": [1, 2], "n": None}, [("a", "1"), ("a", "2")], id="lists-and-null"),
        pytest.param("/echo", {"a": True, "b": 1.5, "c": 2.0}, [("a", "true"), ("b", "1.5"), ("c", "2")], id="scalars"),
        pytest.param("/echo#part", {"a": ""}, [("a", "")], id="fragment"),
        pytest.param("/echo", {"ä": "ö"}, [("ä", "ö")], id="utf-8"),
    ],
)
@pytest.mark.parametrize("key", ["params", "query_params"])
def test_params(
    steps: Any, server: Any, url: str, params: dict[str, Any], query: list[tuple[str, str]], key: str
) -> None:
    steps.http(server.url(url), **{key: params})

    assert query == server.received[-1].query


def test_headers_replace_defaults_in_any_case(steps: Any, server: Any) -> None:
    headers = sent(steps, server, headers={"user-agent": "me", "ACCEPT": None, "X-Number": 5})

    assert ("me", None, "5") == (
        headers.headers["user-agent"],
        headers.headers.get("accept"),
        headers.headers["x-number"],
    )


def test_header_values_go_out_as_utf_8(steps: Any, server: Any) -> None:
    request = sent(steps, server, headers={"X-Name": "Zoë €"})

    assert "Zoë €" == request.headers["x-name"].encode("latin-1").decode()


@pytest.mark.parametrize("method", ["get", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
def test_methods(steps: Any, server: Any, method: str) -> None:
    assert method.upper() == sent(steps, server, method=method).method


def test_head_has_no_body(steps: Any, server: Any) -> None:
    result = steps.http(server.url("/echo"), "HEAD")

    assert ("", 200) == (result["body"], result["status"])
    assert int(result["headers"]["content-length"]) > 0


@pytest.mark.parametrize(
    ("content_type", "data", "body"),
    [
        pytest.param("application/json", b'{"a": [1, 2.5, "x"]}', {"a": [1, 2.5, "x"]}, id="json"),
        pytest.param("application/problem+json; charset=utf-8", b'{"a": 1}', {"a": 1}, id="plus-json"),
        pytest.param("text/json", b"[1]", [1], id="json-ish"),
        pytest.param("application/json", b"5", 5, id="json-scalar"),
        pytest.param("application/json", b"null", None, id="json-null"),
        pytest.param("application/json", b"{broken", "{broken", id="not-really-json"),
        pytest.param("application/json", b"", "", id="json-but-empty"),
        pytest.param("application/json", b"[NaN, 1e999]", ["NaN", "1e999"], id="not-finite"),
        pytest.param("application/json", b"[" * 100_000, "[" * 100_000, id="too-deep"),
        pytest.param("application/json", b"\xef\xbb\xbf{}", {}, id="json-with-bom"),
        pytest.param("application/json", "{}".encode("utf-16"), {}, id="json-in-utf-16"),
        pytest.param("application/x-ndjson", b'{"a": 1}', '{"a": 1}', id="json-lines-stay-text"),
        pytest.param("text/plain", b'{"a": 1}', '{"a": 1}', id="text-stays-text"),
        pytest.param("text/plain", "größer".encode(), "größer", id="utf-8"),
        pytest.param("text/plain; charset=ISO-8859-1", b"gr\xf6\xdfer", "größer", id="charset"),
        pytest.param("text/plain; charset=nonsense", b"abc", "abc", id="unknown-charset"),
        pytest.param("", b'{"a": 1}', {"a": 1}, id="untyped-object"),
        pytest.param("", b"5", "5", id="untyped-scalar"),
        pytest.param("image/png", b"\x89PNG\xff", b64encode(b"\x89PNG\xff").decode(), id="bytes"),
    ],
)
def test_decode_body(content_type: str, data: bytes, body: Any) -> None:
    assert body == decode_body(data, content_type)


def test_compressed_body_is_unpacked(steps: Any, server: Any) -> None:
    assert {"packed": True} == steps.http(server.url("/gzip"))["body"]


def test_body_without_length_over_http_1_0(steps: Any, server: Any) -> None:
    assert {"old": True} == steps.http(server.url("/old"))["body"]


@pytest.mark.parametrize("path", ["/large", "/endless"])
def test_response_size_is_bounded(steps: Any, server: Any, path: str) -> None:
    with pytest.raises(TargetError, match="larger than 64 MiB"):
        steps.http(server.url(path))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param({"url": "localhost:80/x"}, 'url "localhost:80/x" has no scheme', id="no-scheme"),
        pytest.param({"url": "ftp://h/x"}, "neither http nor https", id="other-scheme"),
        pytest.param({"url": "http://h/a b"}, "holds white space", id="blank"),
        pytest.param({"url": " http://h"}, "holds white space", id="leading-blank"),
        pytest.param({"url": "http://h:port/"}, "is not valid", id="bad-port"),
        pytest.param({"url": "http://h:99999/"}, "is not valid", id="port-too-high"),
        pytest.param({"url": "http://h:0/"}, "is not valid", id="port-0"),
        pytest.param({"url": "http:///x"}, "has no host", id="no-host"),
        pytest.param({"url": ""}, "has no scheme", id="empty"),
        pytest.param({"url": f"http://{'a' * 300}/"}, '^url: "a{77}\\.\\.\\." is no host name$', id="host-too-long"),
        pytest.param({"url": "http://a..b/"}, '^url: "a..b" is no host name$', id="host-with-empty-part"),
        pytest.param({"method": "G T"}, "'G T' is no HTTP method", id="method"),
        pytest.param({"headers": {"X": "a\nb"}}, "holds a line break", id="header-value"),
        pytest.param({"auth": {"type": "bearer", "token": "t\n"}}, "Authorization holds a line break", id="token"),
        pytest.param({"headers": {"X Y": "a"}}, "'X Y' is no header name", id="header-name"),
        pytest.param({"body": "x", "form": {"a": 1}}, "either `body` or `form`", id="body-and-form"),
        pytest.param({"files": {"f": {}}}, "needs either `path` or `content`", id="file-of-nothing"),
        pytest.param({"files": {"f": "none.txt"}}, "No such file", id="file-not-there"),
        pytest.param({"timeout": "soon"}, "'soon' is not a duration", id="timeout"),
        pytest.param({"auth": {"type": "basic", "username": "u"}}, "lacks password", id="auth-incomplete"),
        pytest.param(
            {"auth": {"type": "bearer", "token": "t"}, "headers": {"authorization": "x"}},
            "both config.auth and config.headers.Authorization",
            id="auth-twice",
        ),
        pytest.param({"proxy": "socks5://h:1"}, "SOCKS", id="socks"),
        pytest.param({"url": "https://h/", "verify_ssl": "none.pem"}, "cannot read CA certificates", id="ca"),
        pytest.param({"url": "https://h/", "cert": "none.pem"}, "cannot use the client certificate", id="cert"),
    ],
)
def test_bad_config(steps: Any, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ActionConfigError, match=message) as caught:
        steps.http(**{"method": "GET", "url": "http://127.0.0.1:1/", **config})

    assert caught.value.hint


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        pytest.param({"type": "basic", "username": "u", "password": "pä"}, "Basic dTpww6Q=", id="basic"),
        pytest.param({"type": "bearer", "token": "t0"}, "Bearer t0", id="bearer"),
    ],
)
def test_auth_header(steps: Any, server: Any, auth: dict[str, str], header: str) -> None:
    assert header == sent(steps, server, auth=auth).headers["authorization"]


def test_api_key(steps: Any, server: Any) -> None:
    key = {"type": "api_key", "key": "k1"}

    assert "k1" == sent(steps, server, auth=key).headers["x-api-key"]
    assert "k1" == sent(steps, server, auth={**key, "name": "X-Mine"}).headers["x-mine"]
    assert [("key", "k1")] == sent(steps, server, auth={**key, "location": "query", "name": "key"}).query


def test_credentials_of_the_url(steps: Any, server: Any) -> None:
    steps.http(f"http://u%40x:p@127.0.0.1:{server.server_port}/echo")

    assert f"Basic {b64encode(b'u@x:p').decode()}" == server.received[-1].headers["authorization"]


def oauth2(server: Any, **more: Any) -> dict[str, Any]:
    return {"type": "oauth2", "token_url": server.url("/token"), "client_id": "i d", "client_secret": "s", **more}


def test_oauth2_token_is_fetched_once_per_item(steps: Any, server: Any) -> None:
    for _ in range(2):
        assert "Bearer t1" == sent(steps, server, auth=oauth2(server, scope=["a", "b"])).headers["authorization"]
    steps.next_item()
    sent(steps, server, auth=oauth2(server, scope=["a", "b"]))

    tokens = [each for each in server.received if each.path == "/token"]
    assert 2 == len(tokens)
    assert b"grant_type=client_credentials&scope=a+b" == tokens[0].body
    assert f"Basic {b64encode(b'i+d:s').decode()}" == tokens[0].headers["authorization"]


def test_oauth2_credentials_in_the_body(steps: Any, server: Any) -> None:
    sent(steps, server, auth=oauth2(server, client_auth="body"))

    assert b"grant_type=client_credentials&client_id=i+d&client_secret=s" == server.received[0].body
    assert "authorization" not in server.received[0].headers


def test_oauth2_token_is_dropped_after_401(steps: Any, server: Any) -> None:
    for _ in range(2):
        steps.http(server.url("/status/401"), auth=oauth2(server))

    assert 2 == len([each for each in server.received if each.path == "/token"])


def test_oauth2_without_token(steps: Any, server: Any) -> None:
    with pytest.raises(TargetError, match="no access_token in the answer: 404") as caught:
        steps.http(server.url("/echo"), auth=oauth2(server, token_url=server.url("/status/404")))

    assert "OAUTH2_FAILED" == caught.value.code
    assert "POST" in steps.exchange.sent()


def test_exchange_in_one_line(steps: Any, server: Any) -> None:
    steps.http(server.url("/echo"), "POST", body={"amount": 25})

    assert f'POST {server.url("/echo")}  {{"amount": 25}}' == steps.exchange.sent()
    received = steps.exchange.received()
    assert received.startswith("200 in ")
    assert '  application/json  {"method": "POST"' in received


def test_exchange_with_headers(steps: Any, server: Any) -> None:
    steps.http(server.url("/echo"), "POST", body="text", auth={"type": "bearer", "token": "t0"})

    assert "\nAuthorization: Bearer t0\n" in steps.exchange.sent(verbose=True)
    assert steps.exchange.sent(verbose=True).endswith("\n\ntext")
    assert "\nContent-Type: application/json; charset=utf-8\n" in steps.exchange.received(verbose=True)


def test_exchange_cuts_long_bodies(steps: Any, server: Any) -> None:
    steps.http(server.url("/echo"), "POST", body="x" * 1000)

    assert steps.exchange.sent().endswith(f"{'x' * 10}... (1000 characters)")
    assert len(steps.exchange.sent()) < 500


def test_exchange_describes_files(steps: Any, server: Any) -> None:
    steps.http(server.url("/echo"), "POST", files={"f": {"content": "abc", "filename": "a.txt"}})

    assert steps.exchange.sent().endswith("multipart form: f=a.txt (text/plain, 3 bytes)")


@pytest.mark.parametrize(
    ("auth", "secrets"),
    [
        pytest.param({"type": "basic", "username": "user", "password": "pass"}, ["pass"], id="basic"),
        pytest.param({"type": "bearer", "token": "t0"}, ["t0"], id="bearer"),
        pytest.param({"type": "api_key", "key": "k1", "name": "X-Auth"}, ["k1"], id="api-key-in-header"),
        pytest.param({"type": "api_key", "key": "k1", "name": "k", "location": "query"}, ["k1"], id="api-key-in-query"),
    ],
)
def test_credentials_are_told_to_the_report(steps: Any, server: Any, auth: dict[str, str], secrets: list[str]) -> None:
    for _ in range(2):
        steps.http(server.url("/echo"), auth=auth)

    assert secrets == steps.secrets


def test_oauth2_secrets_are_told_to_the_report(steps: Any, server: Any) -> None:
    steps.http(server.url("/echo"), auth=oauth2(server))
    assert ["s", "t1"] == steps.secrets


def test_oauth2_secret_is_told_to_the_report_even_without_a_token(steps: Any, server: Any) -> None:
    with pytest.raises(TargetError):
        steps.http(server.url("/echo"), auth=oauth2(server, token_url=server.url("/status/500")))

    assert ["s"] == steps.secrets


def test_password_of_the_url_is_told_to_the_report(steps: Any, server: Any) -> None:
    steps.http(f"http://u:p%40ss@127.0.0.1:{server.server_port}/echo")

    assert ["p@ss"] == steps.secrets


@pytest.mark.parametrize(
    "more", [pytest.param({"form": {"a": 1}}, id="form"), pytest.param({"files": {"a": "b.txt"}}, id="files")]
)
def test_two_bodies_are_found_before_the_run(more: dict[str, Any]) -> None:
    registry = ActionRegistry()
    register_builtins(registry)
    check = registry.find("http_request").check

    assert check is not None
    check({"url": "http://h/", **more})
    with pytest.raises(ActionConfigError, match="either `body` or `form` and `files`"):
        check({"url": "http://h/", "body": "x", **more})


def test_every_property_has_a_description() -> None:
    registry = ActionRegistry()
    register_builtins(registry)
    for action in registry.actions():
        assert action.schema is not None
        for name, schema in action.schema["properties"].items():
            assert schema.get("description"), f"{action.name}: {name}"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        pytest.param({"method": "GET"}, "config lacks the key url", id="url"),
        pytest.param({"method": "GET", "url": "u", "header": {}}, "config has an unknown key header", id="typo"),
        pytest.param({"method": "GET", "url": 5}, "config.url must be string, not 5", id="type"),
        pytest.param({"method": "GET", "url": "u", "auth": {"type": "baisc"}}, "baisc", id="auth-type"),
    ],
)
def test_schema_finds_mistakes(config: dict[str, Any], message: str) -> None:
    registry = ActionRegistry()
    register_builtins(registry)
    violation = ConfigSchema(registry.find("http_request").schema or {}).violation(config)

    assert violation is not None
    assert message in violation.message
