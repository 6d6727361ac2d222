"""Any text through every place that binds a value: PostgreSQL stores it as it is, and executes none of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations.database import database_query
from pytest_testmesh.integrations.postgresql.actions import ACTIONS

NASTY = {
    "injection": "Robert'); DROP TABLE things;--",
    "quotes": "' '' \" \\' \\\\ $$ E'x' \\",
    "placeholders": "? $1 :name %s %(a)s %%",
    "emoji": "🌍 e\u0301 ﷽",
    "white space": " \t\r\n ",
    "a megabyte": "é'\\" * 350_000,
}
HELD = "${HOME} {{HOME}} '; --"
"""What a variable holds; no step may fill it in again."""
COMES_AS_WRITTEN = ("execute statements", "transaction params", "transaction named_params")
"""Places whose ``${...}`` the action fills in by itself, since there is SQL beside them."""
Step = Callable[..., Mapping[str, Any]]
Place = Callable[[Step, str, str], object]

WRITING: Mapping[str, Place] = {
    "query ?": lambda step, t, x: step("query", query=f"INSERT INTO {t} (name) VALUES (?)", params=[x]),
    "query $1": lambda step, t, x: step("query", query=f"INSERT INTO {t} (name) VALUES ($1)", params=[x]),
    "query :name": lambda step, t, x: step("query", query=f"INSERT INTO {t} (name) VALUES (:n)", params={"n": x}),
    "query named_params": lambda step, t, x: step(
        "query", query=f"INSERT INTO {t} (name) VALUES (:n)", named_params={"n": x}
    ),
    "insert data": lambda step, t, x: step("insert", table=t, data={"name": x}),
    "insert many": lambda step, t, x: step("insert", table=t, data=[{"name": x}, {"id": -1}]),
    "execute params": lambda step, t, x: step("execute", statement=f"INSERT INTO {t} (name) VALUES (?)", params=[x]),
    "execute statements": lambda step, t, x: step(
        "execute", statements=[{"query": f"INSERT INTO {t} (name) VALUES (:n)", "named_params": {"n": x}}]
    ),
    "transaction params": lambda step, t, x: step(
        "transaction", statements=[{"query": f"INSERT INTO {t} (name) VALUES ($1)", "params": [x]}]
    ),
    "transaction named_params": lambda step, t, x: step(
        "transaction", statements=[{"query": f"INSERT INTO {t} (name) VALUES (:n)", "named_params": {"n": x}}]
    ),
    "database_query ?": lambda step, t, x: step(
        "database_query", query=f"INSERT INTO {t} (name) VALUES (?)", params=[x]
    ),
    "database_query :name": lambda step, t, x: step(
        "database_query", query=f"INSERT INTO {t} (name) VALUES (:n)", named_params={"n": x}, transaction=True
    ),
    "update data": lambda step, t, x: [
        step("insert", table=t, data={"name": "before"}),
        step("update", table=t, data={"name": x}, where={"name": "before"}),
    ],
}
FINDING: Mapping[str, Place] = {
    "update where mapping": lambda step, t, x: step("update", table=t, data={"id": 7}, where={"name": x})["updated"],
    "update whereParams": lambda step, t, x: step("update", table=t, data={"id": 7}, where="name = ?", whereParams=[x])[
        "updated"
    ],
    "update where :name": lambda step, t, x: step(
        "update", table=t, data={"id": 7}, where="name = :n", whereParams={"n": x}
    )["updated"],
    "delete where mapping": lambda step, t, x: step("delete", table=t, where={"name": x})["deleted"],
    "delete where $1": lambda step, t, x: step("delete", table=t, where="name = $1", params=[x])["deleted"],
    "delete whereParams": lambda step, t, x: step("delete", table=t, where="name = ?", whereParams=[x])["deleted"],
    "assert params": lambda step, t, x: step(
        "assert", query=f"SELECT name FROM {t} WHERE name = ?", params=[x], assertions=[{"field": "name", "value": x}]
    )["count"],
    "assert named_params": lambda step, t, x: step(
        "assert", query=f"SELECT 1 AS n FROM {t} WHERE name = :x", named_params={"x": x}, assertions=["n == 1"]
    )["count"],
}


@pytest.fixture
def act(make_context: Callable[..., Any], server: Any) -> Step:
    """Runs ``postgresql.*`` and ``database_query`` steps."""

    def run(action: str, **config: Any) -> Mapping[str, Any]:
        context = make_context(postgresql_url=server.url)
        context.scope.define_env("held", HELD, "env")
        return (database_query if action == "database_query" else ACTIONS[action])(config, context)

    return run


@pytest.mark.parametrize("value", NASTY.values(), ids=NASTY)
@pytest.mark.parametrize("write", WRITING.values(), ids=WRITING)
def test_a_text_is_stored_as_it_is(
    act: Step, things: str, look: Callable[[str], str], write: Place, value: str
) -> None:
    write(act, things, value)
    stored = act("query", query=f"SELECT name FROM {things} WHERE name IS NOT NULL")["rows"]

    assert [{"name": value}] == stored
    size_and_hash = look(f"SELECT octet_length(name), md5(name) FROM {things} WHERE name IS NOT NULL")
    assert f"{len(value.encode())}|{hashlib.md5(value.encode()).hexdigest()}" == size_and_hash


@pytest.mark.parametrize("place", COMES_AS_WRITTEN)
def test_what_a_variable_holds_is_not_filled_in_again(act: Step, things: str, place: str) -> None:
    WRITING[place](act, things, "${held}")

    assert [{"name": HELD}] == act("query", query=f"SELECT name FROM {things}")["rows"]


@pytest.mark.parametrize("value", NASTY.values(), ids=NASTY)
@pytest.mark.parametrize("find", FINDING.values(), ids=FINDING)
def test_a_condition_finds_just_that_text(act: Step, things: str, find: Place, value: str) -> None:
    act("insert", table=things, data=[{"name": value}, {"name": "another"}, {"name": f"{value[:50]}."}])

    assert 1 == find(act, things, value)


@pytest.mark.parametrize("bind", [*WRITING.values(), *FINDING.values()], ids=[*WRITING, *FINDING])
def test_a_nul_character_is_told_and_nothing_is_sent(act: Step, things: str, bind: Place) -> None:
    with pytest.raises(ActionConfigError, match="holds a NUL character, and no text in PostgreSQL can"):
        bind(act, things, "a\0b")

    assert [] == act("query", query=f"SELECT name FROM {things} WHERE name <> 'before'")["rows"]
