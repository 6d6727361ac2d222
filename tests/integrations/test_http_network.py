"""How ``http_request`` reaches servers: redirects, cookies, connections, proxies, TLS, netrc."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pytest_testmesh.actions import Resources
from pytest_testmesh.errors import TargetError, TargetUnavailableError
from pytest_testmesh.integrations.http import connection


def moved(server: Any, status: int, to: str) -> str:
    """Return a URL of *server* that redirects."""
    return str(server.url(f"/redirect/{status}?to={quote(to)}"))


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no idle connection grow too old while the machine is busy."""
    monkeypatch.setattr(connection, "_IDLE_S", 600.0)


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        *[(status, "GET", "GET") for status in (301, 302, 303, 307, 308)],
        *[(status, "HEAD", "HEAD") for status in (301, 302, 303, 307, 308)],
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (301, "PUT", "PUT"),
        (302, "DELETE", "DELETE"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
    ],
)
def test_redirect_method(steps: Any, server: Any, status: int, method: str, then: str) -> None:
    result = steps.http(moved(server, status, "/echo"), method, **({"body": {"a": 1}} if method == "POST" else {}))

    last = server.received[-1]
    assert (2, then, server.url("/echo")) == (len(server.received), last.method, result["url"])
    assert (b'{"a": 1}' if then == "POST" else b"") == last.body
    assert ("application/json" if then == "POST" else None) == last.headers.get("content-type")


def test_redirects_are_left_alone_on_request(steps: Any, server: Any) -> None:
    result = steps.http(moved(server, 302, "/echo"), follow_redirects=False)

    assert (302, "moved", "/echo") == (result["status"], result["body"], result["headers"]["location"])


def test_redirect_without_location_is_a_response(steps: Any, server: Any) -> None:
    assert 302 == steps.http(server.url("/status/302"))["status"]


def test_redirect_location_may_be_relative_and_unescaped(steps: Any, server: Any) -> None:
    result = steps.http(moved(server, 302, "../echo?q=a b"))

    assert [["q", "a b"]] == result["body"]["query"]


def test_redirects_show_in_the_report(steps: Any, server: Any) -> None:
    steps.http(moved(server, 302, "/echo"))

    assert f"after 1 redirect from {server.url('/echo')}" in steps.exchange.received()
    assert f"302 -> {server.url('/echo')}\n" in steps.exchange.received(verbose=True)


@pytest.mark.parametrize(("limit", "requests"), [(0, 1), (3, 4), (10, 11)])
def test_too_many_redirects(steps: Any, server: Any, limit: int, requests: int) -> None:
    with pytest.raises(TargetError, match=f"more than {limit} redirects") as caught:
        steps.http(server.url("/loop"), max_redirects=limit)

    assert ("TOO_MANY_REDIRECTS", requests) == (caught.value.code, len(server.received))


def test_redirect_to_another_protocol(steps: Any, server: Any) -> None:
    with pytest.raises(TargetError, match="neither http nor https"):
        steps.http(moved(server, 302, "ftp://example.com/"))


CREDENTIALS = {
    "basic": {"auth": {"type": "basic", "username": "u", "password": "p"}},
    "bearer": {"auth": {"type": "bearer", "token": "t"}},
    "key": {"auth": {"type": "api_key", "key": "k", "name": "X-Mine"}},
    "header": {"headers": {"authorization": "x"}},
    "secret-header": {"headers": {"X-Api-Key": "x"}},
    "cookie": {"cookies": {"session": "x"}},
    "cookie-header": {"headers": {"Cookie": "session=x"}},
}
_CARRIERS = ("authorization", "x-mine", "x-api-key", "cookie")


@pytest.mark.parametrize("config", CREDENTIALS.values(), ids=CREDENTIALS)
def test_credentials_are_dropped_on_redirect_to_another_origin(
    steps: Any, server: Any, other_server: Any, config: dict[str, Any]
) -> None:
    headers = {"X-Other": "1", **config.get("headers", {})}
    steps.http(moved(server, 307, other_server.url("/echo")), **{**config, "headers": headers})

    assert any(name in server.received[0].headers for name in _CARRIERS)
    assert not any(name in other_server.received[0].headers for name in _CARRIERS)
    assert "1" == other_server.received[0].headers["x-other"]


@pytest.mark.parametrize("config", CREDENTIALS.values(), ids=CREDENTIALS)
def test_credentials_stay_on_redirect_within_the_origin(steps: Any, server: Any, config: dict[str, Any]) -> None:
    steps.http(moved(server, 302, "/echo"), **config)

    assert any(name in server.received[1].headers for name in _CARRIERS)


def test_cookies_of_responses_are_kept_for_the_item(steps: Any, server: Any) -> None:
    assert {"a": "1", "b": "2"} == steps.http(server.url("/set-cookie?a=1&b=2"))["cookies"]
    assert {} == steps.http(server.url("/echo"))["cookies"]
    assert "a=1; b=2" == server.received[-1].headers["cookie"]

    steps.next_item()
    steps.http(server.url("/echo"))
    assert "cookie" not in server.received[-1].headers


def test_cookie_of_a_redirect_is_sent_with_the_next_request(steps: Any, server: Any) -> None:
    result = steps.http(server.url("/login"))

    assert {"session": "s1"} == result["cookies"]
    assert "session=s1" == server.received[-1].headers["cookie"]


def test_cookie_that_a_redirect_replaces_is_sent_with_its_new_value(steps: Any, server: Any) -> None:
    steps.http(server.url("/set-cookie?session=s0&theme=dark"))
    steps.http(server.url("/login"), "POST", cookies={"mine": "1"})

    assert "session=s0; theme=dark; mine=1" == server.received[-2].headers["cookie"]
    assert "session=s1; theme=dark; mine=1" == server.received[-1].headers["cookie"]
    assert "\nCookie: session=s0; theme=dark; mine=1" in steps.exchange.sent(verbose=True)


def test_step_cookies_win_and_are_not_kept(steps: Any, server: Any) -> None:
    steps.http(server.url("/set-cookie?a=1&b=2"))
    steps.http(server.url("/echo"), cookies={"b": "mine", "c": 3})
    assert "a=1; b=mine; c=3" == server.received[-1].headers["cookie"]

    steps.http(server.url("/echo"))
    assert "a=1; b=2" == server.received[-1].headers["cookie"]


def test_cookie_header_is_sent_as_it_is(steps: Any, server: Any) -> None:
    steps.http(server.url("/set-cookie?a=1"))
    steps.http(server.url("/echo"), headers={"cookie": "mine=1"})

    assert "mine=1" == server.received[-1].headers["cookie"]


def test_dropped_cookie_is_gone(steps: Any, server: Any) -> None:
    steps.http(server.url("/set-cookie?a=1"))

    assert {} == steps.http(server.url("/drop-cookie/a"))["cookies"]
    steps.http(server.url("/echo"))
    assert "cookie" not in server.received[-1].headers


def test_connection_is_used_again_across_items(steps: Any, server: Any) -> None:
    for _ in range(3):
        steps.http(server.url("/echo"))
        steps.next_item()

    assert 1 == len({each.connection for each in server.received})


@pytest.mark.parametrize("path", ["/gzip", "/redirect/302?to=/echo", "/status/204", "/status/500"])
def test_connection_is_used_again_after(steps: Any, server: Any, path: str) -> None:
    steps.http(server.url(path))
    steps.http(server.url("/echo"))

    assert 1 == len({each.connection for each in server.received})


def test_connection_that_the_server_closed_is_replaced(steps: Any, server: Any) -> None:
    for _ in range(3):
        assert 200 == steps.http(server.url("/stale"))["status"]

    assert 3 == len(server.received)


@pytest.mark.parametrize("path", ["/echo", "/short-lived"])
def test_idle_connection_is_not_used_again(steps: Any, server: Any, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if path == "/echo":
        monkeypatch.setattr(connection, "_IDLE_S", 0.0)
    for _ in range(2):
        steps.http(server.url(path))

    assert 2 == len({each.connection for each in server.received})


@pytest.mark.parametrize("path", ["/vanish", "/cut"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("warm", [False, True], ids=["new-connection", "kept-connection"])
def test_nothing_is_sent_twice(steps: Any, server: Any, path: str, method: str, warm: bool) -> None:
    if warm:
        steps.http(server.url("/echo"))
    with pytest.raises(TargetUnavailableError):
        steps.http(server.url(path), method)

    assert 1 == len([each for each in server.received if each.path == path])


def test_503_is_not_repeated(steps: Any, server: Any) -> None:
    steps.http(server.url("/status/503"))

    assert 1 == len(server.received)


def test_closing_the_session_closes_connections(steps: Any, server: Any) -> None:
    steps.http(server.url("/echo"))
    steps.session.close()
    steps.session = Resources()
    steps.http(server.url("/echo"))

    assert 2 == len({each.connection for each in server.received})


def test_proxy_of_the_step(steps: Any, server: Any, proxy: Any) -> None:
    result = steps.http(server.url("/echo?a=1"), proxy=proxy.url())

    assert 200 == result["status"]
    assert [server.url("/echo?a=1")] == [each.path for each in proxy.received]
    assert [["a", "1"]] == result["body"]["query"]


def test_https_is_tunnelled_through_the_proxy(steps: Any, tls_server: Any, proxy: Any, certificate: Any) -> None:
    url = tls_server.url("/echo", scheme="https")
    for _ in range(2):
        steps.http(url, proxy=proxy.url(), verify_ssl=str(certificate.cert), headers={"Authorization": "x"})

    assert [("CONNECT", f"127.0.0.1:{tls_server.server_port}")] == [(e.method, e.path) for e in proxy.received]
    assert "authorization" not in proxy.received[0].headers
    assert ["x", "x"] == [each.headers["authorization"] for each in tls_server.received]


def test_proxy_login(steps: Any, server: Any, tls_server: Any, proxy: Any) -> None:
    proxy.wants_login = True
    login = proxy.url().replace("//", "//u:p@")

    assert 200 == steps.http(server.url("/echo"), proxy=login)["status"]
    assert "proxy-authorization" not in server.received[-1].headers
    https = tls_server.url("/echo", scheme="https")
    assert 200 == steps.http(https, proxy=login, verify_ssl=False)["status"]
    assert 407 == steps.http(server.url("/echo"), proxy=proxy.url())["status"]
    with pytest.raises(TargetUnavailableError, match=r"no connection through the proxy .*407"):
        steps.http(https, proxy=proxy.url(), verify_ssl=False)


def test_proxy_behind_tls(steps: Any, server: Any, tls_server: Any, tls_proxy: Any) -> None:
    proxy = tls_proxy.url(scheme="https")

    assert 200 == steps.http(server.url("/echo"), proxy=proxy, verify_ssl=False)["status"]
    assert 200 == steps.http(tls_server.url("/echo", scheme="https"), proxy=proxy, verify_ssl=False)["status"]
    assert ["GET", "CONNECT"] == [each.method for each in tls_proxy.received]


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_proxy_of_the_environment(
    steps: Any, server: Any, proxy: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "HTTP_PROXY":
        monkeypatch.delenv("REQUEST_METHOD", raising=False)  # CGI: urllib ignores HTTP_PROXY then
    monkeypatch.setenv(name, proxy.url())
    steps.http(server.url("/echo"))

    assert 1 == len(proxy.received)


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "127.0.0.0/8", "*"])
def test_no_proxy(steps: Any, server: Any, proxy: Any, no_proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy.url())
    monkeypatch.setenv("no_proxy", no_proxy)
    steps.http(server.url("/echo"))

    assert [] == proxy.received


def test_proxy_false_goes_direct(steps: Any, server: Any, proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy.url())
    steps.http(server.url("/echo"), proxy=False)

    assert [] == proxy.received


def test_proxies_are_read_anew_for_each_item(
    steps: Any, server: Any, proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.http(server.url("/echo"))
    monkeypatch.setenv("http_proxy", proxy.url())
    steps.next_item()
    steps.http(server.url("/echo"))

    assert 1 == len(proxy.received)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_trusted_certificate(steps: Any, tls_server: Any, certificate: Any, host: str) -> None:
    url = tls_server.url("/echo", host, "https")
    for _ in range(2):
        assert 200 == steps.http(url, verify_ssl=str(certificate.cert))["status"]

    assert 1 == len({each.connection for each in tls_server.received})


def test_ca_path_is_relative_to_the_flow(steps: Any, tls_server: Any, certificate: Any, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(certificate.cert.read_bytes())

    assert 200 == steps.http(tls_server.url("/echo", scheme="https"), verify_ssl="ca.pem")["status"]


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_ca_of_the_environment(
    steps: Any, tls_server: Any, certificate: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, str(certificate.cert))

    assert 200 == steps.http(tls_server.url("/echo", scheme="https"))["status"]


def test_verify_ssl_false_accepts_any_certificate_without_a_warning(steps: Any, misnamed_tls_server: Any) -> None:
    assert 200 == steps.http(misnamed_tls_server.url("/echo", scheme="https"), verify_ssl=False)["status"]


def test_trust_of_one_step_is_not_lent_to_the_next(steps: Any, tls_server: Any) -> None:
    url = tls_server.url("/echo", scheme="https")
    steps.http(url, verify_ssl=False)

    with pytest.raises(TargetUnavailableError, match="is not trusted"):
        steps.http(url)


def test_client_certificate(steps: Any, mutual_tls_server: Any, certificate: Any) -> None:
    url = mutual_tls_server.url("/echo", scheme="https")
    pair = {"cert": str(certificate.cert), "key": str(certificate.key)}

    assert 200 == steps.http(url, verify_ssl=False, cert=pair)["status"]
    with pytest.raises(TargetUnavailableError):
        steps.http(url, verify_ssl=False)


def write_netrc(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> None:
    path = folder / "netrc"
    path.write_text(text)
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


def test_netrc(steps: Any, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_netrc(monkeypatch, tmp_path, "machine 127.0.0.1 login u password p\n")
    steps.http(server.url("/echo"))

    assert f"Basic {b64encode(b'u:p').decode()}" == server.received[-1].headers["authorization"]
    assert ["p"] == steps.secrets


def test_netrc_of_the_host_that_a_redirect_leads_to(
    steps: Any, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_netrc(monkeypatch, tmp_path, "machine localhost login u password p\n")
    steps.http(moved(server, 302, server.url("/echo", "localhost")))

    assert [None, f"Basic {b64encode(b'u:p').decode()}"] == [e.headers.get("authorization") for e in server.received]


def test_netrc_does_not_replace_a_header(
    steps: Any, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_netrc(monkeypatch, tmp_path, "default login u password p\n")
    steps.http(server.url("/echo"), headers={"authorization": "mine"})

    assert "mine" == server.received[-1].headers["authorization"]


def test_broken_netrc_counts_as_absent(
    steps: Any, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_netrc(monkeypatch, tmp_path, "nonsense")
    steps.http(server.url("/echo"))

    assert "authorization" not in server.received[-1].headers
