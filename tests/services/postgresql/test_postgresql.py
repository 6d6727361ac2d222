"""``postgresql.*`` against a real PostgreSQL, looked at from the other side with psql."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_testmesh.errors import ActionConfigError, StepAssertionError, TargetError, UndefinedNameError
from pytest_testmesh.integrations.postgresql.actions import ACTIONS
from pytest_testmesh.polling import Deadline

NASTY = {
    "injection": "Robert'); DROP TABLE things;--",
    "quotes": "' '' \" \\' \\\\ $$ E'x'",
    "placeholders": "? $1 :name %s %(a)s %% ${x} {{x}}",
    "emoji": "🌍 e\u0301 ﷽",
    "white space": " \t\r\n ",
    "empty": "",
    "a megabyte": "é'\\" * 350_000,
}


@pytest.mark.parametrize("name", ["rows", "changes", "transaction", "catalog", "assert", "old_names"])
def test_flow(flows: Any, server: Any, unique: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTMESH_POSTGRESQL_URL", server.url)
    done = flows.run(str(flows.add(f"postgresql/{name}.yaml")), SCHEMA=unique)

    assert {"passed": 1} == done.outcomes, done.text


@pytest.mark.parametrize(
    ("name", "query", "seen"),
    [
        ("rows", "SELECT sku, total, state FROM {}.orders ORDER BY id", "00123|25.00|SENT\nmug|7.50|SENT"),
        ("changes", "SELECT count(*) FROM {}.people", "0"),
        ("transaction", "SELECT a FROM {}.t ORDER BY a", "1\n2\n3"),
        ("old_names", "SELECT id, state FROM {}.jobs ORDER BY id", "1|NEW\n2|DONE"),
        ("catalog", "SELECT viewname FROM pg_views WHERE schemaname = '{}'", "v"),
    ],
    ids=lambda value: value.partition(" ")[0],
)
def test_psql_sees_what_a_flow_did(
    flows: Any, server: Any, unique: str, look: Callable[[str], str], name: str, query: str, seen: str
) -> None:
    flow = flows.add(f"postgresql/{name}.yaml")
    flow.write_text(flow.read_text(encoding="utf-8").partition("  teardown:")[0], encoding="utf-8")
    done = flows.run(str(flow), "-o", f"testmesh_postgresql_url={server.url}", SCHEMA=unique)
    try:
        assert {"passed": 1} == done.outcomes, done.text
        assert seen == look(query.format(unique))
    finally:
        look(f"DROP SCHEMA IF EXISTS {unique} CASCADE")


def test_tls(flows: Any, server: Any) -> None:
    if "tls" not in server.facts["urls"]:
        pytest.skip(f"{server.source} speaks no TLS")
    facts = server.facts
    flow = str(flows.add("postgresql/tls.yaml"))
    done = flows.run(flow, URL=server.url, CA=facts["ca"], PORT=facts["port"], PASSWORD=facts["password"])

    assert {"passed": 1} == done.outcomes, done.text


def test_a_user_reads_what_he_may(
    flows: Any, server: Any, unique: str, look: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTMESH_POSTGRESQL_URL", server.url)
    done = flows.run(str(flows.add("postgresql/user.yaml")), SCHEMA=unique, PORT=server.facts["port"])

    assert {"passed": 1} == done.outcomes, done.text
    assert "reader-secret" not in done.text
    assert "0" == look(f"SELECT count(*) FROM pg_roles WHERE rolname = '{unique}'")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("1::int2, 9223372036854775807, 5::oid", [1, 9223372036854775807, 5]),
        ("true, NULL::bool", [True, None]),
        ("'00123'::text, '5'::varchar, 'a'::char(3), 'x'::name", ["00123", "5", "a  ", "x"]),
        ("10.00::numeric, 1.10::numeric, 0.1::numeric", [10, 1.1, 0.1]),
        ("'NaN'::numeric, 1e400::numeric = 10::numeric ^ 400", ["NaN", True]),
        ("0.1234567890123456789::numeric", ["0.1234567890123456789"]),
        ("1.5::float4, 'NaN'::float8, 'Infinity'::float8, '-Infinity'::float4", [1.5, "NaN", "Infinity", "-Infinity"]),
        ("'2024-01-31 10:00:00.5+02'::timestamptz", ["2024-01-31T08:00:00.500000Z"]),
        ("'2024-01-31 10:00'::timestamp, '2024-01-31'::date", ["2024-01-31T10:00:00", "2024-01-31"]),
        ("'infinity'::timestamptz, '-infinity'::date, 'infinity'::timestamp", ["infinity", "-infinity", "infinity"]),
        ("'0044-03-15 BC'::date, '12024-01-01'::date", ["0044-03-15 BC", "12024-01-01"]),
        ("'10:00'::time, '10:00+02'::timetz", ["10:00:00", "10:00:00+02"]),
        ("'1 day 2 hours'::interval, '1 year'::interval", ["1 day 02:00:00", "1 year"]),
        ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
        ("'héllo'::text::bytea, '\\xff00'::bytea", ["héllo", "/wA="]),
        ("""'{"a": [1, 1.5, null, "x"]}'::jsonb, '5'::json, 'null'::jsonb""", [{"a": [1, 1.5, None, "x"]}, 5, None]),
        ("'1e999'::json", ["1e999"]),
        ("'{1,NULL,3}'::int[], '{}'::int[], ARRAY[[1,2],[3,4]]", [[1, None, 3], [], [[1, 2], [3, 4]]]),
        ("'[0:1]={7,8}'::int[]", [[7, 8]]),
        ("""ARRAY['a,b', '"', '\\', 'NULL', NULL]""", [["a,b", '"', "\\", "NULL", None]]),
        ("ARRAY[1.5, 'NaN']::numeric[], ARRAY[true, false]", [[1.5, "NaN"], [True, False]]),
        ("""ARRAY['{"a":1}', '[2]']::jsonb[]""", [[{"a": 1}, [2]]]),
        ("ARRAY['2024-01-31 00:00+00']::timestamptz[]", [["2024-01-31T00:00:00Z"]]),
        ("ARRAY['10.0.0.1']::inet[], '10.0.0.0/8'::cidr", [["10.0.0.1"], "10.0.0.0/8"]),
        ("'[1,10)'::int4range, 'empty'::int4range", ["[1,10)", "empty"]),
        ("ROW(1, 'a')", ["(1,a)"]),
        ("'1 2'::int2vector, 'a b'::tsvector", ["1 2", "'a' 'b'"]),
        ("'(1,2)'::point, B'101', '08:00:2b:01:02:03'::macaddr",
         ["(1,2)", "101", "08:00:2b:01:02:03"]),
    ],
)  # fmt: skip
def test_types_become_json(step: Callable[..., Any], sql: str, expected: list[Any]) -> None:
    row = step("query", query=f"SET TIME ZONE 'Asia/Tokyo'; SELECT {sql}")["first_row"]

    assert expected == list(row.values())


def test_types_of_the_authors_own_become_json(step: Callable[..., Any], things: str) -> None:
    schema = things.partition(".")[0]
    step("execute", statements=[
        f"CREATE TYPE {schema}.mood AS ENUM ('sad', 'so so')",
        f"CREATE DOMAIN {schema}.positive AS int CHECK (VALUE > 0)",
        f"CREATE TYPE {schema}.spot AS (x {schema}.positive, at timestamptz, moods {schema}.mood[])",
    ])  # fmt: skip
    spot = f"ROW(1, '2024-01-31 00:00+00', ARRAY['sad', 'so so']::{schema}.mood[])::{schema}.spot"
    row = step("query", query=f"SELECT 'sad'::{schema}.mood AS e, 5::{schema}.positive AS d, {spot} AS c, "
               f"ARRAY[{spot}, NULL] AS a, NULL::{schema}.spot AS n")["first_row"]  # fmt: skip

    expected = {"x": 1, "at": "2024-01-31T00:00:00Z", "moods": ["sad", "so so"]}
    assert {"e": "sad", "d": 5, "c": expected, "a": [expected, None], "n": None} == row


def test_a_type_that_a_step_changes_is_looked_up_anew(step: Callable[..., Any], things: str) -> None:
    spot = things.replace("things", "spot")
    step("execute", statement=f"CREATE TYPE {spot} AS (x int)")
    step("query", query=f"SELECT ROW(1)::{spot} AS s")
    step("execute", statement=f"ALTER TYPE {spot} ADD ATTRIBUTE y text")

    assert {"s": {"x": 1, "y": "a"}} == step("query", query=f"SELECT ROW(1, 'a')::{spot} AS s")["first_row"]


def test_casters_are_set_for_our_connections_only(step: Callable[..., Any], server: Any) -> None:
    before = dict(psycopg2.extensions.string_types)
    step("query", query="SELECT 1")
    with closing(psycopg2.connect(server.url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 'NaN'::float8, '{}'::jsonb, '1 day'::interval")
        theirs = cursor.fetchone()

    assert before == psycopg2.extensions.string_types
    assert theirs is not None
    assert [float, dict, timedelta] == [type(each) for each in theirs]


def test_casters_of_the_users_own_code_are_left_alone_and_change_nothing(step: Callable[..., Any]) -> None:
    before = dict(psycopg2.extensions.string_types)
    theirs = psycopg2.extensions.new_type((23, 1041), "THEIRS", lambda value, cursor: "theirs")
    psycopg2.extensions.register_type(theirs)
    try:
        row = step("query", query="SELECT 5 AS number, ARRAY['10.0.0.1']::inet[] AS hosts")["first_row"]
    finally:
        psycopg2.extensions.string_types.clear()
        psycopg2.extensions.string_types.update(before)

    assert {"number": 5, "hosts": ["10.0.0.1"]} == row


@pytest.mark.parametrize("value", NASTY.values(), ids=NASTY)
def test_any_text_is_stored_and_read_back(step: Callable[..., Any], things: str, value: str) -> None:
    inserted = step("insert", table=things, data={"name": value, "tags": [value, None], "meta": {value[:99]: [value]}})
    found = step("query", query=f"SELECT * FROM {things} WHERE name = $1 AND '100%' LIKE '%'", params=[value])
    by_name = step("query", query=f"SELECT id FROM {things} WHERE name = :n", named_params={"n": value})
    updated = step("update", table=things, data={'odd "name': value}, where="name = ?", whereParams=[value])
    deleted = step("delete", table=things, where='"odd ""name" = ?', params=[value], returning=["name"])

    assert (value, [value, None], {value[:99]: [value]}) == tuple(
        inserted["rows"][0][key] for key in ("name", "tags", "meta")
    )
    assert value == found["first_row"]["name"]
    assert 1 == by_name["count"]
    assert value == updated["first_row"]['odd "name']
    assert [{"name": value}] == deleted["rows"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_bound_and_filled_in_text_comes_back(make_context: Callable[..., Any], server: Any, value: str) -> None:
    context = make_context(postgresql_url=server.url)
    context.scope.define_env("x", value, "env")
    query = "SELECT ? AS bound, '${x}' AS plain, E'${x}' AS escaped, ARRAY[?]::text[] AS list, ?::text[] AS array"

    row = ACTIONS["query"]({"query": query, "params": [value, value, [value]]}, context)["first_row"]

    assert {"bound": value, "plain": value, "escaped": value, "list": [value], "array": [value]} == row


def test_a_nul_character_is_told_before_anything_is_sent(step: Callable[..., Any], things: str) -> None:
    with pytest.raises(ActionConfigError, match="holds a NUL character, and no text in PostgreSQL can"):
        step("insert", table=things, data={"name": "a\0b"})

    assert 0 == step("query", query=f"SELECT * FROM {things}")["count"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-5, -5), (-32768, -32768), (1.5, 1.5), (-0.25, -0.25), (10**30, 10**30), (True, True), (None, None)],
)
def test_numbers_and_booleans_keep_their_type(step: Callable[..., Any], value: Any, expected: Any) -> None:
    assert expected == step("query", query="SELECT ? AS x", params=[value])["first_row"]["x"]


def test_two_minus_make_no_comment(step: Callable[..., Any]) -> None:
    assert 6 == step("query", query="SELECT 1-? AS x", params=[-5])["first_row"]["x"]
    assert -32768 == step("query", query="SELECT ?::smallint AS x", params=[-32768])["first_row"]["x"]


def test_a_list_is_an_array_or_json_as_the_column_wants(step: Callable[..., Any], things: str) -> None:
    row = step("insert", table=things, data={"tags": ["a", None], "numbers": [1, -2], "meta": ["a", 1, None]})[
        "first_row"
    ]
    updated = step("update", table=things, data={"meta": []}, where={"id": row["id"]})["first_row"]
    found = step("query", query=f"SELECT id FROM {things} WHERE id = ANY(?)", params=[[row["id"], 0]])

    assert (["a", None], [1, -2], ["a", 1, None]) == (row["tags"], row["numbers"], row["meta"])
    assert [] == updated["meta"]
    assert 1 == found["count"]
    assert [{"a": 1}] == step("query", query="SELECT ?::jsonb AS x", params=[[{"a": 1}]])["first_row"]["x"]


def test_rows_of_an_insert_may_lack_columns(step: Callable[..., Any], things: str) -> None:
    done = step("insert", table=things, data=[{"name": "a"}, {"id": 77}], returning="id")
    defaults = step("insert", table=things, data={}, returning=[])

    assert (2, [{"id": 1}, {"id": 77}]) == (done["inserted"], done["rows"])
    assert (1, []) == (defaults["inserted"], defaults["rows"])


def test_a_repeated_column_is_not_lost(step: Callable[..., Any]) -> None:
    assert [{"id": 1, "id_2": 2}] == step("query", query="SELECT 1 AS id, 2 AS id")["rows"]


@pytest.mark.parametrize("where", ["", "  ", "-- all", {}, False], ids=repr)
@pytest.mark.parametrize("action", ["update", "delete"])
def test_an_empty_condition_is_refused(step: Callable[..., Any], things: str, action: str, where: Any) -> None:
    step("insert", table=things, data={"name": "a"})
    with pytest.raises(ActionConfigError, match="there is no condition in"):
        step(action, table=things, where=where, **({"data": {"name": "b"}} if action == "update" else {}))

    assert ["a"] == [row["name"] for row in step("query", query=f"SELECT name FROM {things}")["rows"]]


def test_a_condition_cannot_end_the_statement(step: Callable[..., Any], things: str) -> None:
    with pytest.raises(ActionConfigError, match="more than a condition"):
        step("delete", table=things, where="id = 1; DROP TABLE x")


def test_names_are_quoted(step: Callable[..., Any], things: str, look: Callable[[str], str]) -> None:
    table = things.replace(".things", '.odd "; DROP TABLE things;--')
    quoted = '"' + things.partition(".")[0] + '"."odd ""; DROP TABLE things;--"'
    step("execute", statement=f'CREATE TABLE {quoted} ("a;b" int)')
    step("insert", table=table, data={"a;b": 1})

    assert "1" == look(f'SELECT "a;b" FROM {quoted}')
    assert "0" == look(f"SELECT count(*) FROM {things}")


def test_all_of_a_transaction_or_nothing(step: Callable[..., Any], things: str, look: Callable[[str], str]) -> None:
    good = {"query": f"INSERT INTO {things} (name) VALUES (?)", "params": ["a"]}
    with pytest.raises(TargetError, match="division by zero"):
        step("transaction", statements=[good, "SELECT 1/0"])
    before = look(f"SELECT count(*) FROM {things}")
    done = step("transaction", statements=[good, f"SELECT name FROM {things}"])

    assert ("0", "1") == (before, look(f"SELECT count(*) FROM {things}"))
    assert (True, [{"name": "a"}]) == (done["committed"], done["results"][1]["rows"])


def test_a_transaction_left_open_is_undone_and_told(
    step: Callable[..., Any], things: str, look: Callable[[str], str]
) -> None:
    with pytest.raises(ActionConfigError, match="left a transaction open"):
        step("execute", statements=["BEGIN", f"INSERT INTO {things} (name) VALUES ('a')"])

    assert "0" == look(f"SELECT count(*) FROM {things}")


def test_a_failed_statement_leaves_the_connection_usable(step: Callable[..., Any]) -> None:
    first = step("query", query="SELECT pg_backend_pid() AS pid")["first_row"]
    for broken in ("SELEC", "SELECT 1/0", "SELECT * FROM nowhere"):
        with pytest.raises(TargetError):
            step("query", query=broken)

    with pytest.raises(TargetError):
        step("transaction", statements=["SELECT 1/0"])

    assert first == step("query", query="SELECT pg_backend_pid() AS pid")["first_row"]


def test_settings_of_one_flow_do_not_reach_the_next(make_context: Callable[..., Any], server: Any) -> None:
    first, second = make_context(postgresql_url=server.url), make_context(postgresql_url=server.url)
    second.execution_id = "another run"
    ACTIONS["execute"]({"statements": ["SET work_mem = '3MB'", "CREATE TEMP TABLE left_over (a int)"]}, first)
    query = {"query": "SELECT current_setting('work_mem') AS m, to_regclass('left_over') AS t, pg_backend_pid() AS p"}

    seen = [ACTIONS["query"](query, context)["first_row"] for context in (first, second)]

    assert [("3MB", "left_over"), ("4MB", None)] == [(row["m"], row["t"]) for row in seen]
    assert seen[0]["p"] == seen[1]["p"]


def test_different_settings_have_connections_of_their_own(step: Callable[..., Any]) -> None:
    query = "SELECT pg_backend_pid() AS pid, current_database() AS db"
    rows = [step("query", query=query, **each)["first_row"] for each in ({}, {"database": "template1"}, {})]

    assert ["postgres", "template1", "postgres"] == [row["db"] for row in rows]
    assert rows[0]["pid"] == rows[2]["pid"] != rows[1]["pid"]


@pytest.mark.parametrize(
    ("within_s", "config", "limit_ms"),
    [(900, {"timeout": "1h"}, 900_000), (900, {}, 30_000), (900, {"timeout": "2m"}, 120_000)],
)
def test_the_server_knows_the_deadline(
    make_context: Callable[..., Any], server: Any, within_s: float, config: dict[str, str], limit_ms: int
) -> None:
    show = "SELECT setting::int AS ms FROM pg_settings WHERE name = 'statement_timeout'"
    context = make_context(Deadline.after(within_s, "step timeout"), postgresql_url=server.url)

    told_ms = ACTIONS["query"]({"query": show, **config}, context)["first_row"]["ms"]
    assert limit_ms - 20_000 < told_ms <= limit_ms


def test_notices_go_to_the_report(make_context: Callable[..., Any], server: Any) -> None:
    context = make_context(postgresql_url=server.url)
    ACTIONS["execute"]({"statement": "DO $$ BEGIN RAISE NOTICE 'look here'; END $$"}, context)

    assert [{"level": "info", "message": "NOTICE: look here"}] == context.logs


def test_a_report_tells_statements_values_and_rows(make_context: Callable[..., Any], server: Any) -> None:
    context = make_context(postgresql_url=server.url)
    ACTIONS["query"]({"query": "SELECT n\nFROM generate_series(1, ?) n", "params": [5]}, context)
    sent, received = context.exchange.sent(), context.exchange.received()

    assert "SELECT n FROM generate_series(1, ?) n  params [5]" == sent
    assert received.startswith('5 rows  {"n": 1}  {"n": 2}  {"n": 3}  ... 2 more in ')
    assert '{"n": 5}' in context.exchange.received(verbose=True)


@pytest.mark.parametrize(
    ("assertion", "message"),
    [
        ({"field": "n", "value": 5}, None),
        ({"field": "n", "operator": "gt", "value": 4.5}, None),
        ({"field": "t", "operator": "contains", "value": "0012"}, None),
        ({"field": "t", "operator": "isNotNull"}, None),
        ({"field": "z", "operator": "is_null"}, None),
        ({"field": "l", "operator": "contains", "value": 2}, None),
        ("n > 4 && t == '00123'", None),
        ("rowCount == 1", None),
        ({"field": "n", "operator": "neq", "value": 5}, "n neq 5 is false: n is 5"),
        ({"field": "n", "operator": "lt", "value": 5, "message": "not yet"}, "not yet: n lt 5 is false: n is 5"),
        ({"field": "n", "value": "5"}, 'n eq "5" compares number and string: n is 5'),
        ({"field": "t", "operator": "isNull"}, 't isNull is false: t is "00123"'),
        ({"field": "m", "value": 5}, "there is no column m"),
        ("n == 6", "n == 6 is false: n is 5"),
    ],
)
def test_assert(step: Callable[..., Any], assertion: Any, message: str | None) -> None:
    config = {"query": "SELECT 5 AS n, '00123' AS t, NULL AS z, ARRAY[1, 2] AS l", "assertions": [assertion]}
    if message is None:
        assert (True, 1) == tuple(step("assert", **config)[key] for key in ("passed", "assertions_checked"))
        return

    with pytest.raises(StepAssertionError) as caught:
        step("assert", **config)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("wrong", "below"),
    [
        pytest.param({"field": "n", "value": 6}, (), id="field"),
        pytest.param("n == 6", (), id="expression"),
        pytest.param("m == 6", (), id="undefined"),
        pytest.param({"field": "n", "value": "${m}"}, ("value",), id="undefined in a value"),
    ],
)
def test_assert_tells_which_assertion_is_wrong(step: Callable[..., Any], wrong: Any, below: tuple[str, ...]) -> None:
    with pytest.raises((StepAssertionError, UndefinedNameError)) as caught:
        step("assert", query="SELECT 5 AS n", assertions=["n == 5", wrong])

    assert ("assertions", 1, *below) == caught.value.path


def test_assert_within_waits_for_the_row(step: Callable[..., Any], things: str, look: Callable[[str], str]) -> None:
    look(f"INSERT INTO {things} (name, at) VALUES ('late', now() + '300 ms')")
    query = f"SELECT name FROM {things} WHERE at < clock_timestamp()"
    result = step("assert", query=query, assertions=[{"field": "name", "value": "late"}], within="10s")

    assert "late" == result["row"]["name"]


def test_assert_within_tells_what_was_there_last(step: Callable[..., Any]) -> None:
    with pytest.raises(StepAssertionError, match="the query returned no rows") as caught:
        step("assert", query="SELECT 1 AS a WHERE false", assertions=[{"field": "a", "value": 1}], within="200ms")

    assert "still so after" in (caught.value.hint or "")
