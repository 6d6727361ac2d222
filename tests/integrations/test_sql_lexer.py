"""SQL text -> tokens: what is a placeholder and what only looks like one."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_testmesh.integrations.sql.lexer import Dialect, first_word, statements, tokens


def placeholders(text: str, dialect: Dialect = "postgresql") -> list[str]:
    return [text[token.start : token.end] for token in tokens(text, dialect) if token.kind == "placeholder"]


BOTH = [
    pytest.param("SELECT ?, :name, '? :no'", ["?", ":name"], id="literal"),
    pytest.param("SELECT 'it''s ?', ?", ["?"], id="doubled quote"),
    pytest.param(r"SELECT '\', '?', ?", ["?"], id="a backslash ends no literal"),
    pytest.param('SELECT "a?""b?", ?', ["?"], id="quoted name"),
    pytest.param("SELECT 1 -- ? :x\n, ?", ["?"], id="line comment"),
    pytest.param("SELECT /* ? ' */ ?", ["?"], id="block comment"),
    pytest.param("SELECT x'ff', X'?', ?", ["?"], id="bytes"),
    pytest.param("SELECT 'open ?", [], id="a literal that is never closed"),
    pytest.param("SELECT 'ünïcode', ?, 'é?'", ["?"], id="letters of all languages"),
    pytest.param("WHERE a=? AND b>=? AND c<>:c", ["?", "?", ":c"], id="without spaces"),
]


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
@pytest.mark.parametrize(("text", "expected"), BOTH)
def test_placeholders_stand_outside_literals_names_and_comments(
    text: str, expected: list[str], dialect: Dialect
) -> None:
    assert expected == placeholders(text, dialect)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("SELECT $tag$ it's ? $1 $other$ $tag$, $1", ["$1"], id="dollar quotes"),
        pytest.param("SELECT $$ ? $$, ?", ["?"], id="dollar quotes without a tag"),
        pytest.param("SELECT foo$1, foo$$, ?", ["?"], id="a dollar in a name"),
        pytest.param(r"SELECT E'it\'s ?', ?", ["?"], id="escapes"),
        pytest.param("SELECT E'a'\n  '\\' ?', ?", ["?"], id="a literal goes on in the next line, with escapes"),
        pytest.param("SELECT E'a' -- c\n '\\' ?', :x", [":x"], id="the same with a comment between"),
        pytest.param(r"SELECT U&'\0061 ?', U&\"d?\", N'?', b'0?', ?".replace('\\"', '"'), ["?"], id="prefixes"),
        pytest.param("SELECT /* /* ? */ ? */ ?", ["?"], id="comments nest"),
        pytest.param("SELECT 1 # 2, ?", ["?"], id="# is an operator"),
        pytest.param("SELECT x::int, a := 1, :n::text", [":n"], id="casts and assignment"),
        pytest.param("SELECT a[1:2], a[lo:hi], a[b[1]:c]", [], id="array slices"),
        pytest.param("SELECT j ? 'k', j ?| ?, j ?& ?, j @? '$.a', j ?? ?", ["?"] * 3, id="operators on JSON"),
        pytest.param("SELECT j ? ?, j ? $$k$$, j ? (SELECT 'k')", ["?"], id="? before a value is an operator"),
        pytest.param("SELECT j ? k, $1", ["$1"], id="beside $1 every ? is an operator"),
        pytest.param("SELECT ?||'x', ?-1, ?&&?", ["?"] * 4, id="operators after a placeholder"),
    ],
)
def test_placeholders_of_postgresql(text: str, expected: list[str]) -> None:
    assert expected == placeholders(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("SELECT `a?`, [b?], ?2, $1, ?", ["?2", "$1", "?"], id="names in all their quotes"),
        pytest.param("SELECT /* /* ? */ ?", ["?"], id="comments do not nest"),
        pytest.param("SELECT /* ?", [], id="a comment that is never closed"),
        pytest.param("SELECT $$ ? $$", ["?"], id="no dollar quotes"),
        pytest.param("SELECT j -> ? ->> '$.a?'", ["?"], id="JSON operators"),
    ],
)
def test_placeholders_of_sqlite(text: str, expected: list[str]) -> None:
    assert expected == placeholders(text, "sqlite")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select 1", "SELECT"),
        ("-- c\n/* x */ (SELECT 1) UNION SELECT 2", "SELECT"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "SELECT"),
        ("WITH RECURSIVE a AS (DELETE FROM t RETURNING *) INSERT INTO x SELECT * FROM a", "INSERT"),
        ("explain select 1", "EXPLAIN"),
        ("  ", ""),
    ],
)
def test_first_word_is_the_command(text: str, expected: str) -> None:
    assert expected == first_word(text, "postgresql")


def test_statements_are_cut_at_semicolons_outside_literals() -> None:
    text = "SELECT ';'; ; -- no; statement\nSELECT 2;\n/* ; */"

    assert ["SELECT ';'", " -- no; statement\nSELECT 2"] == [text[a:b] for a, b in statements(text, "sqlite")]


_SQL = st.text(alphabet=st.sampled_from(list("'\"`[]$?:;-/*\\eEuU&xa1 \n().|@#")), max_size=30)


@given(_SQL, st.sampled_from(["postgresql", "sqlite"]))
def test_every_character_belongs_to_one_token(text: str, dialect: Dialect) -> None:
    found = tokens(text, dialect)

    assert [0, *(token.end for token in found)] == [*(token.start for token in found), len(text)]


def sqlite_says(statement: str, values: list[int]) -> str:
    """What SQLite has against a statement; nothing if it runs."""
    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute(statement, values)
        except (sqlite3.Error, sqlite3.Warning) as exc:
            return str(exc)
    return ""


@given(st.text(alphabet=st.sampled_from(list("'\"`\\?-/* \nab")), max_size=20))
def test_sqlite_sees_as_many_placeholders(text: str) -> None:
    statement = f"SELECT {text}"

    assert "number of bindings" not in sqlite_says(statement, [1] * len(placeholders(statement, "sqlite")))
