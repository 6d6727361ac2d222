"""``minio.*`` against a real MinIO, looked at from the other side with curl."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from minio import Minio

from pytest_testmesh.errors import StepAssertionError, TargetError

Run = Callable[..., Any]


@pytest.fixture
def run(flows: Any, server: Any, bucket: str, settle: Callable[[Any], None]) -> Run:
    """Run one flow against the common MinIO, in `bucket`."""

    def start(name: str, **variables: object) -> Any:
        settle(server)
        return flows.run(str(flows.add(f"minio/{name}.yaml")), BUCKET=bucket, **variables)

    return start


@pytest.mark.parametrize("name", ["put", "get", "delete", "assert"])
def test_flow(run: Run, name: str) -> None:
    done = run(name)

    assert {"passed": 1} == done.outcomes, done.text


def test_objects_are_stored_as_other_clients_expect_them(run: Run, curl: Any, bucket: str) -> None:
    run("put")

    assert 'Zoë\'s "quote" 🌍' == curl("GET", f"/{bucket}/notes/text").decode()
    assert {"name": "Ann", "tags": ["a", "b"], "left": None} == json.loads(curl("GET", f"/{bucket}/user"))
    assert b"\xff\x00\xfe" == curl("GET", f"/{bucket}/bytes")
    assert b"flow:" == curl("GET", f"/{bucket}/flow")[:5]
    assert b"" == curl("GET", f"/{bucket}/empty")


def test_headers_and_metadata_reach_the_server(run: Run, curl: Any, bucket: str) -> None:
    run("put")
    headers = curl("GET", f"/{bucket}/user", "-D", "-", "-o", "/dev/null").decode().lower().splitlines()

    for header in ("content-type: application/json", "x-amz-meta-owner: ann", "cache-control: no-cache"):
        assert header in headers


def test_a_saved_file_holds_what_is_stored(run: Run, curl: Any, flows: Any, bucket: str) -> None:
    run("get")

    assert curl("GET", f"/{bucket}/user.json") == (flows.folder / "minio" / "saved.json").read_bytes()
    assert ["get.yaml", "saved.json"] == sorted(each.name for each in (flows.folder / "minio").glob("*.*"))


def test_deleted_objects_are_gone(run: Run, names: Callable[[], list[str]]) -> None:
    run("delete")

    assert [] == names()


def test_what_another_client_stores_meanwhile_is_waited_for(run: Run, curl: Any, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "late").write_text("here")
    timer = threading.Timer(0.5, curl, ["PUT", f"/{bucket}/late", "-T", str(tmp_path / "late")])
    timer.start()
    done = run("within")
    timer.join()

    assert {"passed": 1} == done.outcomes, done.text


def test_a_bucket_is_created_once(run: Run, curl: Any, server: Any, bucket: str) -> None:
    done = run("create_bucket")

    assert {"passed": 1} == done.outcomes, done.text
    assert b"2" == curl("GET", f"/{bucket}-new/b")
    for path in (f"/{bucket}-new/a", f"/{bucket}-new/b", f"/{bucket}-new"):
        curl("DELETE", path)


@pytest.mark.parametrize(
    "name",
    ["a b", "😀", "a%20b", "a+b", "a?b=c", "a#b&c;d", "ü/ß", ".hidden/x", "...", "tail ", "a\\b", "~a*'()!", 'q"<>|'],
)
def test_odd_names_are_stored_under_just_that_name(step: Run, names: Callable[[], list[str]], name: str) -> None:
    step("put", object=name, data=name)

    assert [name] == names()
    assert name == step("get", object=name)["body"]
    assert step("delete", object=name)["deleted"]
    assert [] == names()


def test_minio_takes_a_leading_slash_off(step: Run, names: Callable[[], list[str]]) -> None:
    step("put", object="/a", data="1")

    assert ["a"] == names()
    assert "1" == step("get", object="/a")["body"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("nul \0 nul\r\n\r\n", id="NUL"),
        pytest.param("🌍 ﷽ \u200b\ufeff", id="emoji"),
        pytest.param("\ufeffmarked", id="byte order mark"),
        pytest.param("00123", id="digits"),
        pytest.param("x" * 1_000_000, id="1 MB"),
    ],
)
def test_odd_texts_come_back_equal(step: Run, text: str) -> None:
    step("put", object="text", data=text)

    assert text == step("get", object="text")["body"]


def test_what_is_compressed_comes_back_as_it_is_stored(step: Run) -> None:
    step("put", object="a", data_base64="H4sIAAAAAAAAAwMAAAAAAAAAAAA=", metadata={"Content-Encoding": "gzip"})

    assert "H4sIAAAAAAAAAwMAAAAAAAAAAAA=" == step("get", object="a", **{"as": "base64"})["body"]


def test_missing_things_are_told_apart(step: Run) -> None:
    with pytest.raises(TargetError, match=r"GET t\w+/a at 127\.0\.0\.1:\d+: there is no such object") as caught:
        step("get", object="a")
    assert "NO_SUCH_KEY" == caught.value.code

    with pytest.raises(TargetError, match="there is no bucket testmesh-none") as caught:
        step("get", object="a", bucket="testmesh-none")
    assert "NO_SUCH_BUCKET" == caught.value.code
    with pytest.raises(TargetError, match="there is no bucket testmesh-none"):
        step("put", object="a", bucket="testmesh-none", data="")


def test_a_missing_bucket_does_not_pass_as_a_missing_object(step: Run) -> None:
    with pytest.raises(StepAssertionError, match="there is no bucket testmesh-none"):
        step("assert", object="a", bucket="testmesh-none", exists=False)


def test_a_missing_object_may_be_a_failure_to_delete(step: Run) -> None:
    with pytest.raises(TargetError, match="there is no such object"):
        step("delete", object="a", missing_ok=False)


def test_all_that_does_not_hold_is_told(step: Run) -> None:
    step("put", object="a.txt", data="hello")
    with pytest.raises(StepAssertionError) as caught:
        step("assert", object="a.txt", size=6, size_gte=7, content_type="text/html", contains="bye", **_EXPRESSIONS)

    assert "a.txt: 5 of 6 assertions failed: its content type" in caught.value.message
    told = "\n".join(caught.value.problems)
    for each in ("is 5 bytes, not 6", "less than 7", "not text/html", '"bye": hello'):
        assert each in told
    assert "size > 10 is false: size is 5" in told
    assert ("content_type",) == caught.value.path


_EXPRESSIONS = {"assert": ["size > 10"]}


@pytest.mark.parametrize(
    ("keys", "code", "told"),
    [
        pytest.param({"secret_key": "wrong"}, "AUTHENTICATION_FAILED", "secret key is not accepted", id="secret key"),
        pytest.param({"access_key": "nobody"}, "AUTHENTICATION_FAILED", "access key is unknown", id="access key"),
        pytest.param({"access_key": "", "secret_key": ""}, "PERMISSION_DENIED", "without an access key", id="none"),
    ],
)
@pytest.mark.parametrize("action", ["put", "get", "delete", "assert"])
def test_wrong_keys_are_told(step: Run, server: Any, action: str, keys: Any, code: str, told: str) -> None:
    good = {key: server.facts[key] for key in ("access_key", "secret_key")}
    data = {"data": "x"} if action == "put" else {}
    with pytest.raises(TargetError, match=told) as caught:
        step(action, object="a", **data, **{**good, **keys})

    assert code == caught.value.code
    assert "wrong" not in str(caught.value)


def test_wrong_keys_are_told_of_a_file_in_parts(step: Run, server: Any, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 9_000_000)
    with pytest.raises(TargetError, match="secret key is not accepted"):
        step("put", object="a", file="large", access_key=server.facts["access_key"], secret_key="wrong")


_STREAM = """
import resource, sys
from pathlib import Path
from pytest_testmesh.actions import ActionContext, Resources
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.integrations import minio
from pytest_testmesh.scope import Scope

def run(action, **config):
    scope = Scope(builtins=BuiltinValues({}), environ={})
    context = ActionContext(flow_id="f", execution_id="r", step_id="s", scope=scope, session=session)
    server = {"endpoint": sys.argv[1], "access_key": sys.argv[2], "secret_key": sys.argv[3]}
    getattr(minio, f"minio_{action}")({"bucket": sys.argv[4], **server, **config}, context)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)

session = Resources()
run("put", object="small", file="small")
run("get", object="small", file="small.back")
run("put", object="large", file="large", timeout="5m")
run("get", object="large", file="large.back", timeout="5m")
session.close()
"""


def test_200_mb_are_stored_and_saved_with_flat_memory(server: Any, bucket: str, tmp_path: Path) -> None:
    size = 200 * 1024 * 1024
    (tmp_path / "small").write_bytes(b"x" * 1000)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(size)  # a hole: reads as zeros, takes no room
    facts = server.facts
    argv = [sys.executable, "-c", _STREAM, facts["endpoint"], facts["access_key"], facts["secret_key"], bucket]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=600)

    assert 0 == done.returncode, done.stderr
    _, small_mb, *large_mb = map(int, done.stdout.split())
    assert all(each - small_mb < 50 for each in large_mb), done.stdout
    assert size == (tmp_path / "large.back").stat().st_size
    client = Minio(facts["endpoint"], facts["access_key"], facts["secret_key"], secure=False)
    assert size == client.stat_object(bucket, "large").size


def test_an_object_too_large_for_a_result_is_refused(step: Run, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    step("put", object="a", file="large")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TargetError, match="the object is larger than 64 MiB") as caught:
        step("get", object="a")

    assert "save it with `file`" in str(caught.value.hint)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024
