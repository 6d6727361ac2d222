"""How URLs are taken apart, and what it takes to find their proxy."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_testmesh.integrations.http.target import parse_target


@pytest.mark.parametrize(
    ("url", "origin", "path", "whole"),
    [
        pytest.param("http://h", "http h 80", "/", "http://h/", id="no-path"),
        pytest.param("HTTPS://Example.COM/A", "https example.com 443", "/A", "https://example.com/A", id="upper-case"),
        pytest.param("http://H:080/a?b=1", "http h 80", "/a?b=1", "http://h:80/a?b=1", id="port"),
        pytest.param("http://h/a/../b.txt", "http h 80", "/b.txt", "http://h/b.txt", id="dots-to-resolve"),
        pytest.param("http://h/a.b//c?", "http h 80", "/a.b//c?", "http://h/a.b//c?", id="odd-but-fine"),
        pytest.param("http://h/ä%2f", "http h 80", "/%C3%A4%2F", "http://h/%C3%A4%2F", id="escapes"),
        pytest.param("http://h/a?b='c'", "http h 80", "/a?b='c'", "http://h/a?b='c'", id="other-characters"),
        pytest.param("http://[::1]:59999/a", "http ::1 59999", "/a", "http://[::1]:59999/a", id="ipv6"),
    ],
)
def test_target(url: str, origin: str, path: str, whole: str) -> None:
    target = parse_target(url)

    assert (origin, path, whole) == ("{} {} {}".format(*target.origin), target.path, target.url)


@given(
    st.sampled_from(["http://h", "https://User.Example-1:8443", "http://127.0.0.1:59999", "http://a.b.:007"]),
    st.lists(
        st.sampled_from(["/", "a", ".", "..", "/./", "?", "=", "&", "@", ":", "%2f", "-_~+,", "'", "ä"]), max_size=8
    ),
)
def test_targets_that_are_cut_equal_those_that_are_parsed(origin: str, rest: list[str]) -> None:
    url = f"{origin}/{''.join(rest)}"

    assert parse_target(f"{url}#part") == parse_target(url)


_FIND_A_PROXY = """
import sys
from pytest_testmesh.integrations.http.environment import Proxies
from pytest_testmesh.integrations.http.target import parse_target

print(Proxies().find(parse_target("http://h/")), "requests" in sys.modules)
"""


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="the system may name a proxy")
@pytest.mark.parametrize(
    ("name", "found"),
    [("http_proxy", "http://p:1 True"), ("ALL_PROXY", "http://p:1 True"), ("https_proxy", "None False")],
)
def test_requests_is_imported_only_where_a_proxy_is_named(
    name: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://p:1")
    monkeypatch.setenv("NO_PROXY", "localhost")

    assert f"{found}\n" == subprocess.check_output([sys.executable, "-c", _FIND_A_PROXY], text=True)
