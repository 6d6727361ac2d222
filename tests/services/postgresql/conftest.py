"""The common PostgreSQL, and one step against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import repeat
from typing import Any

import psycopg2
import pytest

from pytest_testmesh.integrations.postgresql.actions import ACTIONS
from pytest_testmesh.polling import Deadline, attempts


@pytest.fixture
def wait_until_ready() -> Callable[[Any], None]:
    """``wait_until_ready(server)`` returns when it lets clients in: one that recovers listens before that."""

    def wait(server: Any) -> None:
        for _ in attempts(repeat(0.02), Deadline.after(60, "start")):
            with suppress(psycopg2.OperationalError):
                psycopg2.connect(server.url).close()
                return

    return wait


@pytest.fixture
def server(service: Any, wait_until_ready: Callable[[Any], None]) -> Any:
    """The common PostgreSQL."""
    found = service("postgres")
    wait_until_ready(found)
    return found


@pytest.fixture
def look(server: Any, psql: Callable[[str, str], str]) -> Callable[[str], str]:
    """``look("SELECT 1")`` asks the common PostgreSQL by psql."""
    return lambda query: psql(server.url, query)


@pytest.fixture
def step(make_context: Callable[..., Any], server: Any) -> Callable[..., Any]:
    """``step("query", query="SELECT 1")`` runs one step."""
    return lambda action, **config: ACTIONS[action](config, make_context(postgresql_url=server.url))


@pytest.fixture
def things(step: Callable[..., Any], unique: str) -> Iterator[str]:
    """A table for this test alone, in a schema of its own."""
    step("execute", statement=f"CREATE SCHEMA {unique}")
    step(
        "execute",
        statement=f"CREATE TABLE {unique}.things (id serial PRIMARY KEY, name text, tags text[], meta jsonb, "
        'numbers int[], "odd ""name" text, at timestamptz)',
    )
    yield f"{unique}.things"
    step("execute", statement=f"DROP SCHEMA {unique} CASCADE")
