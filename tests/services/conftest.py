"""Real servers by name and runs of flows; ``tests/conftest.py`` tells at the end which servers were used."""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import os
import pkgutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import pytest_testmesh
from pytest_testmesh.actions import ActionContext, Resources
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.polling import NEVER, Deadline
from pytest_testmesh.scope import Scope

sys.path.append(str(Path(__file__).with_name("kit")))  # --import-mode=importlib makes no folder importable

from flow_runs import Flows
from found_servers import NAMED_BY, Servers
from made_servers import make_postgres, make_redis
from other_clients import ask_postgres, ask_redis
from real_server import OwnServer

collect_ignore_glob = ["flows/*"]  # run by the tests, with variables that they set


@pytest.fixture(scope="session")
def service() -> Iterator[Servers]:
    """``service("redis")`` is the server of that name."""
    path = os.environ.get(NAMED_BY) or None
    servers = Servers(path, complete=path is not None and bool(os.environ.get("CI")))
    yield servers
    servers.stop()


@pytest.fixture
def own_redis(service: Servers) -> Callable[..., OwnServer]:
    """``own_redis(requirepass="secret")`` is a Redis for this test alone."""
    return lambda **options: service.own(make_redis, **options)


@pytest.fixture
def own_postgres(service: Servers) -> Callable[..., OwnServer]:
    """``own_postgres(password="secret")`` is a PostgreSQL for this test alone."""
    return lambda **options: service.own(make_postgres, **options)


@pytest.fixture
def redis_cli() -> Callable[..., str]:
    """``redis_cli(url, "GET", "a")`` asks a Redis by another client than the one under test."""
    return ask_redis


@pytest.fixture
def psql() -> Callable[[str, str], str]:
    """``psql(url, "SELECT 1")`` asks a PostgreSQL by another client than the one under test."""
    return ask_postgres


@pytest.fixture
def alone() -> None:
    """Keep all other tests, also those of other processes, away from the servers in ``TESTMESH_TEST_SERVICES``."""


@pytest.fixture(autouse=True)
def turn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let many tests use the common servers at a time, or one that asks for `alone`."""
    path = os.environ.get(NAMED_BY)
    if not path:
        yield
        return
    name = f"testmesh-services-{hashlib.sha256(path.encode()).hexdigest()[:8]}.lock"
    with (Path(tempfile.gettempdir()) / name).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if "alone" in request.fixturenames else fcntl.LOCK_SH)
        yield


@pytest.fixture(autouse=True)
def note_servers(service: Servers, request: pytest.FixtureRequest) -> Iterator[None]:
    """Put the servers that a test asked for on its report: the end of the run tells them."""
    service.asked.clear()
    yield
    request.node.user_properties += [("server", f"{name}: {source}") for name, source in service.asked.items()]


@pytest.fixture
def make_context(tmp_path: Path) -> Iterator[Callable[..., ActionContext]]:
    """``make_context(deadline)`` is what an action gets for one attempt; all share the connections of one session."""
    session = Resources()

    def make(deadline: Deadline = NEVER, **settings: str) -> ActionContext:
        return ActionContext(
            flow_id="flow",
            execution_id="run",
            step_id="step",
            scope=Scope(builtins=BuiltinValues({}), environ={}),
            flow_dir=tmp_path,
            deadline=deadline,
            session=session,
            settings=settings,
        )

    yield make
    session.close()


@pytest.fixture
def unique() -> str:
    """A text that no other test uses: the beginning of keys, a schema, a topic."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session", autouse=True)
def warm_modules() -> None:
    """Import what is installed once: pytester drops what a run in this process was the first to import."""
    for module in pkgutil.walk_packages(pytest_testmesh.__path__, "pytest_testmesh."):
        if module.name.startswith(("pytest_testmesh.server", "pytest_testmesh.cli")):  # 2 s, and no flow needs them
            continue
        with suppress(ImportError):  # an extra is not installed; what is broken fails the tests that use it
            importlib.import_module(module.name)


@pytest.fixture
def flows(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Flows:
    """Runs flows; no setting of the developer's own reaches them."""
    for name in [each for each in os.environ if each.startswith("TESTMESH_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    return Flows(pytester)
