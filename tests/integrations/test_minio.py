"""What a config of ``minio.*`` means, and what is refused before any server is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_testmesh.actions import ActionRegistry
from pytest_testmesh.errors import ActionConfigError, TargetError
from pytest_testmesh.integrations import minio as actions
from pytest_testmesh.integrations.minio.address import Address, parse_address
from pytest_testmesh.integrations.minio.content import decoded, read_content
from pytest_testmesh.integrations.minio.names import read_place
from pytest_testmesh.integrations.minio.texts import Received, Sent

SETTINGS = {"minio_endpoint": "http://store:9000", "minio_access_key": "ann", "minio_secret_key": "secret"}
KEYS = {"access_key": "bob", "secret_key": "hidden"}


def _shape(address: Address) -> tuple[str, bool, str | None, str | None]:
    return address.origin, address.tls, address.access_key, address.region


@pytest.mark.parametrize(
    ("config", "settings", "shape"),
    [
        pytest.param({}, {}, ("localhost:9000", False, None, "us-east-1"), id="default"),
        pytest.param({}, SETTINGS, ("store:9000", False, "ann", "us-east-1"), id="settings"),
        pytest.param(KEYS, SETTINGS, ("store:9000", False, "bob", "us-east-1"), id="own keys"),
        pytest.param({"endpoint": "b:1"}, SETTINGS, ("b:1", False, None, "us-east-1"), id="own endpoint, no keys"),
        pytest.param({"endpoint": "https://b"}, {}, ("b:443", True, None, "us-east-1"), id="https"),
        pytest.param({"endpoint": "b:1", "use_ssl": True}, {}, ("b:1", True, None, "us-east-1"), id="use_ssl"),
        pytest.param({"endpoint": "http://[::1]:5/"}, {}, ("[::1]:5", False, None, "us-east-1"), id="IPv6"),
        pytest.param({"region": "eu-west-1"}, {}, ("localhost:9000", False, None, "eu-west-1"), id="region"),
        pytest.param({"endpoint": "s3.amazonaws.com"}, {}, ("s3.amazonaws.com:80", False, None, None), id="AWS"),
    ],
)
def test_where_and_who(config: dict[str, Any], settings: dict[str, str], shape: object) -> None:
    assert shape == _shape(parse_address(config, settings))


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(parse_address({}, SETTINGS)).replace("secret_key", "")


@pytest.mark.parametrize(
    ("config", "settings", "told"),
    [
        pytest.param({"endpoint": "ftp://a"}, {}, "neither http nor https", id="scheme"),
        pytest.param({"endpoint": "a:b"}, {}, "config.endpoint: .*is not valid", id="port"),
        pytest.param({"endpoint": ""}, {}, "has no host|is not valid", id="empty"),
        pytest.param({"endpoint": "http://a:1/bucket"}, {}, "has a path: /bucket", id="path"),
        pytest.param({"endpoint": "http://u:topsecret@a"}, {}, "holds a login", id="login"),
        pytest.param({"endpoint": "http://a", "use_ssl": True}, {}, "use_ssl says otherwise", id="http and use_ssl"),
        pytest.param({"access_key": "a"}, SETTINGS, "there is a access_key but no secret_key", id="half a login"),
        pytest.param({"secret_key": "a"}, SETTINGS, "a secret_key but no access_key", id="other half"),
        pytest.param({"region": "a b"}, {}, "is no region", id="region"),
        pytest.param({}, {"minio_endpoint": "http://"}, "testmesh_minio_endpoint", id="bad setting"),
    ],
)
def test_bad_addresses_are_refused(config: dict[str, Any], settings: dict[str, str], told: str) -> None:
    with pytest.raises(ActionConfigError, match=told) as caught:
        parse_address(config, settings)

    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize("name", ["ab", "a" * 64, "-ab", "ab-", "a b", "a/b", "a..b", "a.-b", "127.0.0.1", "", "ü12"])
def test_names_that_are_no_bucket_are_refused(name: str) -> None:
    with pytest.raises(ActionConfigError, match="is no name of a bucket"):
        read_place({"bucket": name, "object": "a"})


def test_old_buckets_can_be_read_but_not_created() -> None:
    old = {"bucket": "My_Bucket", "object": "a"}

    assert "My_Bucket" == read_place(old).bucket
    with pytest.raises(ActionConfigError, match="is no name of a bucket"):
        read_place({**old, "create_bucket": True})


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("ü" * 513, "1026 bytes long"),
        ("a/../b", "is . or .."),
        ("\ud800", "half"),
    ],
)
def test_names_that_are_no_object_are_refused(name: str, told: str) -> None:
    with pytest.raises(ActionConfigError, match=told):
        read_place({"bucket": "abc", "object": name})


@pytest.mark.parametrize(
    ("config", "data", "content_type"),
    [
        pytest.param({"data": "ü"}, "ü".encode(), "text/plain; charset=utf-8", id="text"),
        pytest.param({"data": 5}, b"5", "text/plain; charset=utf-8", id="number"),
        pytest.param({"data": True}, b"true", "text/plain; charset=utf-8", id="boolean"),
        pytest.param({"data": {"a": [1]}}, b'{"a":[1]}', "application/json", id="mapping"),
        pytest.param({"data": [1], "object": "a.txt"}, b"[1]", "application/json", id="list"),
        pytest.param({"data": "a", "object": "a.csv"}, b"a", "text/csv; charset=utf-8", id="text by name"),
        pytest.param({"data": "{}", "object": "x/a.json"}, b"{}", "application/json", id="JSON by name"),
        pytest.param({"data_base64": "/wA="}, b"\xff\0", "application/octet-stream", id="bytes"),
        pytest.param({"data_base64": "/wA=", "object": "a.png"}, b"\xff\0", "image/png", id="bytes by name"),
        pytest.param({"data_base64": "", "object": "a.json.gz"}, b"", "application/gzip", id="compressed"),
        pytest.param({"data": "a", "content_type": "x/y"}, b"a", "x/y", id="as written"),
    ],
)
def test_what_is_stored(config: dict[str, Any], data: bytes, content_type: str) -> None:
    content = read_content({"object": "a", **config}, Path())

    assert (data, content_type) == (content.data, content.content_type)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        pytest.param({}, "needs one of", id="nothing"),
        pytest.param({"data": "a", "file": "b"}, "needs one of", id="two"),
        pytest.param({"data_base64": "?"}, "data_base64 is no base64", id="no base64"),
        pytest.param({"data": "\ud800"}, "half a character", id="surrogate"),
        pytest.param({"data": "", "metadata": {"a": "x\r\ny: z"}}, "config.metadata", id="line break"),
        pytest.param({"data": "", "metadata": {"a b": "x"}}, "config.metadata", id="name"),
        pytest.param({"data": "", "metadata": {"a": "ü"}}, "config.metadata", id="umlaut"),
        pytest.param({"data": "", "content_type": "a/b\r\nx: y"}, "config.content_type", id="type"),
    ],
)
def test_what_cannot_be_stored_is_refused(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ActionConfigError, match=told):
        read_content({"object": "a", **config}, Path())


def test_a_file_is_found_from_the_flow(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"{}")
    content = read_content({"object": "a", "file": "a.json"}, tmp_path)

    assert "application/json" == content.content_type
    with content.opened() as (stream, size_bytes):
        assert (b"{}", 2) == (stream.read(2), size_bytes)


@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str) -> None:
    content = read_content({"object": "a", "file": name}, tmp_path)
    with pytest.raises(ActionConfigError, match=r"config\.file: cannot read"), content.opened():
        pass


def test_a_file_that_shrinks_while_it_is_sent_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12")
    with read_content({"object": "a", "file": "a"}, tmp_path).opened() as (stream, _):
        (tmp_path / "a").write_bytes(b"")
        with pytest.raises(ActionConfigError, match="became shorter"):
            stream.read(2)


@pytest.mark.parametrize(
    ("data", "content_type", "wanted", "body"),
    [
        pytest.param(b'{"a":1}', "application/json", None, {"a": 1}, id="JSON"),
        pytest.param(b'{"a":1}', "text/plain", None, '{"a":1}', id="text"),
        pytest.param(b"\xff", "application/octet-stream", None, "/w==", id="bytes"),
        pytest.param(b'{"a":1}', "text/plain", "json", {"a": 1}, id="as JSON"),
        pytest.param(b'{"a":1}', "application/json", "text", '{"a":1}', id="as text"),
        pytest.param(b"\xfc", "text/plain; charset=latin-1", "text", "ü", id="as text, by charset"),
        pytest.param(b"abc", "text/plain", "base64", "YWJj", id="as base64"),
    ],
)
def test_bodies(data: bytes, content_type: str, wanted: str | None, body: Any) -> None:
    assert body == decoded(data, content_type, wanted, "GET a")


@pytest.mark.parametrize(
    ("data", "content_type", "wanted", "code"),
    [
        (b"\xff", "", "text", "NOT_TEXT"),
        (b"{", "", "json", "NOT_JSON"),
        (b"a", "a; charset=no-such", "text", "NOT_TEXT"),
    ],
)
def test_bodies_of_another_kind_are_told(data: bytes, content_type: str, wanted: str, code: str) -> None:
    with pytest.raises(TargetError, match="GET a: the object is no") as caught:
        decoded(data, content_type, wanted, "GET a")

    assert code == caught.value.code


@pytest.mark.parametrize(
    ("action", "config", "told"),
    [
        pytest.param("put", {"bucket": "ab", "object": "a", "data": ""}, "no name of a bucket", id="bucket"),
        pytest.param("put", {"bucket": "abc", "object": "a"}, "needs one of", id="no data"),
        pytest.param("get", {"bucket": "abc", "object": "a", "as": "text", "file": "b"}, "both `as` and", id="file"),
        pytest.param("delete", {"bucket": "abc", "object": "a", "endpoint": "x://"}, "endpoint", id="endpoint"),
        pytest.param(
            "assert", {"bucket": "abc", "object": "a", "exists": False, "size": 1}, "`size` beside", id="size"
        ),
        pytest.param("assert", {"bucket": "abc", "object": "a", "assert": ["size =="]}, "assert", id="expression"),
        pytest.param("assert", {"assert": ["size =="]}, "assert", id="expression beside placeholders"),
    ],
)
def test_a_wrong_config_is_found_at_collection(action: str, config: dict[str, Any], told: str) -> None:
    registry = ActionRegistry()
    actions.register(registry)
    found = registry.find(f"minio.{action}")
    assert found.check is not None
    with pytest.raises(ActionConfigError, match=told):
        found.check(config)


def test_expressions_beside_placeholders_pass() -> None:
    registry = ActionRegistry()
    actions.register(registry)
    found = registry.find("minio.assert")
    assert found.check is not None

    found.check({"assert": ["size > 1"]})


def test_texts_of_a_report() -> None:
    content = read_content({"object": "a", "data": "x" * 500}, Path())
    short, verbose = Sent("PUT b/a at c:1", content)(), Sent("PUT b/a at c:1", content)(verbose=True)

    assert short.startswith("PUT b/a at c:1  text/plain; charset=utf-8  xxx")
    assert short.endswith("xxx... (500 characters)")
    assert verbose.endswith("x" * 500)
    assert 'in 2.0 ms  {"size": 1}  [1]' == Received({"size": 1, "body": [1], "bucket": "b"}, 0.002)()
