"""The common Neo4j, the bare driver that looks at it from the other side, and one step against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import repeat
from typing import Any

import neo4j
import pytest
from neo4j.exceptions import DriverError, Neo4jError

from pytest_testmesh.integrations import neo4j as actions
from pytest_testmesh.model import EMPTY
from pytest_testmesh.polling import NEVER, Deadline, attempts


@pytest.fixture
def ask() -> Callable[..., list[dict[str, Any]]]:
    """``ask(server, "RETURN 1 AS x")`` returns the rows, by a driver of its own."""

    def run(server: Any, query: str, password: str | None = None, **params: Any) -> list[dict[str, Any]]:
        facts = server.facts
        login = (facts["user"], password or facts["password"])
        with neo4j.GraphDatabase.driver(server.url, auth=login) as driver, driver.session() as session:
            return session.run(query, params).data()

    return run


@pytest.fixture
def wait_until_ready(ask: Callable[..., Any]) -> Callable[[Any], None]:
    """``wait_until_ready(server)`` returns when it answers: it listens before that."""

    def wait(server: Any) -> None:
        for _ in attempts(repeat(0.2), Deadline.after(60, "start")):
            with suppress(Neo4jError, DriverError):
                ask(server, "RETURN 1")
                return

    return wait


@pytest.fixture
def server(service: Any) -> Any:
    """The common Neo4j."""
    return service("neo4j")


@pytest.fixture
def settings(server: Any) -> dict[str, str]:
    """The settings that name the common Neo4j."""
    facts = server.facts
    return {"neo4j_url": server.url, "neo4j_username": facts["user"], "neo4j_password": facts["password"]}


@pytest.fixture
def environment(settings: dict[str, str], flows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the common Neo4j to flows."""
    for name, value in settings.items():
        monkeypatch.setenv(f"TESTMESH_{name.upper()}", value)


@pytest.fixture
def look(server: Any, ask: Callable[..., Any]) -> Callable[..., list[dict[str, Any]]]:
    """``look("RETURN 1 AS x")`` asks the common Neo4j by the bare driver."""
    return lambda query, **params: ask(server, query, **params)


@pytest.fixture
def step(make_context: Callable[..., Any], settings: dict[str, str]) -> Callable[..., Any]:
    """``step("RETURN 1 AS x")`` runs one ``neo4j.query``, or ``neo4j.assert``; *env* is for placeholders."""

    def run(
        query: str, deadline: Deadline = NEVER, action: str = "query", env: Mapping[str, Any] = EMPTY, **config: Any
    ) -> Any:
        run.context = make_context(deadline, **settings)  # type: ignore[attr-defined]
        for name, value in env.items():
            run.context.scope.define_env(name, value, "env")  # type: ignore[attr-defined]
        act = {"query": actions.neo4j_query, "assert": actions.neo4j_assert}[action]
        return act({"query": query, **config}, run.context)  # type: ignore[attr-defined]

    return run


@pytest.fixture
def label(unique: str, look: Callable[..., Any]) -> Iterator[str]:
    """A label for this test alone; its nodes are deleted afterwards."""
    name = f"T_{unique}"
    yield name
    look(f"MATCH (n:{name}) DETACH DELETE n")


@pytest.fixture
def user(server: Any, ask: Callable[..., Any], unique: str) -> Iterator[str]:
    """A user for this test alone, with the password ``first-password``."""
    ask(server, f"CREATE USER {unique} SET PASSWORD 'first-password' CHANGE NOT REQUIRED")
    yield unique
    ask(server, f"DROP USER {unique}")
