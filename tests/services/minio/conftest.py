"""A MinIO, a bucket in it for each test, and curl, which looks at it from the other side."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from made_servers import NoServer
from minio import Minio
from real_server import OwnServer, free_port

from pytest_testmesh.integrations import minio as actions
from pytest_testmesh.polling import NEVER, Deadline, attempts

Curl = Callable[..., bytes]


@pytest.fixture
def server(service: Any) -> Any:
    """The common MinIO."""
    return service("minio")


@pytest.fixture
def curl(server: Any) -> Curl:
    """``curl("GET", "/bucket/object")`` asks `server`, signed by curl, and returns the body."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("needs curl")

    def ask(method: str, path: str, *options: str) -> bytes:
        facts = server.facts
        login = ["--aws-sigv4", f"aws:amz:{facts['region']}:s3", "-u", f"{facts['access_key']}:{facts['secret_key']}"]
        argv = [program, "-sS", "--fail", "-X", method, *login, *options, facts["url"] + path]
        return subprocess.run(argv, capture_output=True, check=True, timeout=20).stdout

    return ask


@pytest.fixture
def bucket(curl: Curl, server: Any, unique: str) -> Iterator[str]:
    """A bucket for this test alone."""
    curl("PUT", f"/{unique}")
    yield unique
    remove_bucket(server.facts, unique)


def remove_bucket(facts: Any, name: str) -> None:
    client = Minio(facts["endpoint"], facts["access_key"], facts["secret_key"], secure=False)
    for each in client.list_objects(name, recursive=True):
        client.remove_object(name, str(each.object_name))
    client.remove_bucket(name)


@pytest.fixture
def names(curl: Curl, bucket: str) -> Callable[[], list[str]]:
    """``names()`` are the objects in `bucket`, as curl lists them."""

    def listed() -> list[str]:
        tree = ElementTree.fromstring(curl("GET", f"/{bucket}?list-type=2"))
        return [str(each.text) for each in tree.findall("{*}Contents/{*}Key")]

    return listed


@pytest.fixture
def step(make_context: Callable[..., Any], server: Any, bucket: str) -> Callable[..., Any]:
    """``step("get", object="a")`` runs one step against `server` in `bucket`."""

    def run(action: str, deadline: Deadline = NEVER, **config: Any) -> Any:
        context = make_context(deadline, **as_settings(server.facts))
        return getattr(actions, f"minio_{action}")({"bucket": bucket, **config}, context)

    return run


def as_settings(facts: Any) -> dict[str, str]:
    return {f"minio_{key}": facts[key] for key in ("endpoint", "access_key", "secret_key")}


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """``settle(server)`` lets flows find a server by the environment."""

    def give(server: Any) -> None:
        for name, text in as_settings(server.facts).items():
            monkeypatch.setenv(f"TESTMESH_{name.upper()}", text)

    return give


@pytest.fixture
def own_minio(service: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnServer]:
    """A MinIO for this test alone, which it may freeze, stop, and start with another password."""
    monkeypatch.setenv("MINIO_ROOT_USER", "somebody")
    monkeypatch.setenv("MINIO_ROOT_PASSWORD", "first-secret")
    for name in ("BROWSER", "UPDATE", "CALLHOME_ENABLE"):
        monkeypatch.setenv(f"MINIO_{name}", "off")
    monkeypatch.setenv("MINIO_CI_CD", "1")  # else it refuses to share a disk with the system
    program = service("minio").facts.get("argv", [shutil.which("minio")])[0]
    server = service.own(lambda folder: make_minio(folder, program))
    yield server
    server.stop(signal.SIGKILL)


def make_minio(folder: Path, program: str | None) -> OwnServer:
    """Return a started MinIO."""
    if program is None or not os.access(program, os.X_OK):
        raise NoServer("needs the program minio: it is in no PATH and in no `argv` of the facts")
    port = free_port()
    argv = [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(folder / "data")]
    server = OwnMinio("minio", "the program minio", argv, folder)
    server.own_facts = {
        "port": port,
        "url": f"http://127.0.0.1:{port}",
        "endpoint": f"127.0.0.1:{port}",
        "access_key": "somebody",
        "secret_key": "first-secret",
        "region": "us-east-1",
    }
    server.start()
    return server


class OwnMinio(OwnServer):
    """Listens, and calls itself ready, before it knows its users."""

    def start(self) -> None:
        super().start()
        for _ in attempts(repeat(0.02), Deadline.after(60, "start")):
            try:
                urllib.request.urlopen(self.own_facts["url"], timeout=5).close()
            except urllib.error.HTTPError as exc:
                exc.close()
                if exc.code == 403:  # it looked for rights; 503 before that
                    return
            except OSError:
                continue
        raise RuntimeError(f"{self.own_facts['url']} does not become ready")
