"""Cypher text, addresses, values and errors of ``neo4j.*``, without a server."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import neo4j._exceptions
import neo4j.exceptions
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neo4j.spatial import CartesianPoint, WGS84Point
from neo4j.time import Date, DateTime, Duration, Time

from pytest_testmesh.actions import ActionContext, ActionRegistry, Resources
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import ActionConfigError, ActionTimeoutError, TargetUnavailableError
from pytest_testmesh.integrations import neo4j as actions
from pytest_testmesh.integrations.neo4j.address import parse_address
from pytest_testmesh.integrations.neo4j.cypher import read_statement, tokens
from pytest_testmesh.integrations.neo4j.failures import TABLE, Asking, failure
from pytest_testmesh.integrations.neo4j.params import check_params
from pytest_testmesh.integrations.neo4j.types import value_to_json
from pytest_testmesh.polling import NEVER, Deadline
from pytest_testmesh.scope import Scope

EVIL = "x' RETURN 1 //"


def filled(text: str, value: Any, *, raw: bool = False) -> str:
    scope = Scope(builtins=BuiltinValues({}), environ={})
    scope.define_env("x", value, "env")
    context = ActionContext(flow_id="flow", execution_id="run", step_id="step", scope=scope, raw=raw)
    return read_statement(text, context)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        pytest.param("a = '${x}'", EVIL, r"a = 'x\' RETURN 1 //'", id="single quotes"),
        pytest.param('a = "{{x}}"', 'b"', r'a = "b\""', id="double quotes"),
        pytest.param('a = "${x}"', "it's", '''a = "it's"''', id="the other quote"),
        pytest.param("a = '${x}'", "\\", r"a = '\\'", id="backslash"),
        pytest.param("a = '${x}'", "\\u0027", r"a = '\\u0027'", id="unicode escape"),
        pytest.param(r"a = '\\${x}'", "b", r"a = '\\b'", id="behind an escaped backslash"),
        pytest.param("`${x}`", "a`b", "`a``b`", id="quoted name"),
        pytest.param("MATCH (n:${x})", "Person", "MATCH (n:Person)", id="plain name"),
        pytest.param("LIMIT ${x}", 5, "LIMIT 5", id="number"),
        pytest.param("a = ${x}", None, "a = NULL", id="null"),
        pytest.param("a = ${x}", True, "a = TRUE", id="boolean"),
        pytest.param("a // it's\n= ${x}", 1, "a // it's\n= 1", id="quote in a comment"),
        pytest.param("a /* ' */ = '${x}'", "b'", r"a /* ' */ = 'b\''", id="quote in a block comment"),
        pytest.param("${x}", "RETURN 1", "RETURN 1", id="the whole statement"),
    ],
)
def test_values_are_filled_in(text: str, value: Any, expected: str) -> None:
    assert expected == filled(text, value)


@pytest.mark.parametrize(
    ("text", "value", "told"),
    [
        pytest.param("a = ${x}", EVIL, "only null, numbers, booleans and plain names", id="text"),
        pytest.param("a = ${x}", [1], "only null, numbers, booleans and plain names", id="list"),
        pytest.param("a // ${x}", "b\nc", "in a comment only", id="comment"),
        pytest.param(r"a = '\${x}'", "b", "a backslash stands before", id="behind a backslash"),
        pytest.param("`${x}`", "a\\u0060b", "would hold a backslash", id="unicode escape in a name"),
        pytest.param("`\\${x}`", "u0060", "would hold a backslash", id="unicode escape made of two parts"),
        pytest.param(
            "a = '\\u0027 ${x}'", "b", "reads before it looks for quotes", id="unicode escape of the author's"
        ),
        pytest.param("a = '${x}", "b", "is never closed", id="open quote"),
        pytest.param("a = 'a'${x}", "b", "touches a quote", id="beside a literal"),
        pytest.param("// ${x}", 1, "there is no statement", id="comment alone"),
    ],
)
def test_values_that_cannot_be_filled_in(text: str, value: Any, told: str) -> None:
    with pytest.raises(ActionConfigError, match=told):
        filled(text, value)


def test_the_hint_points_to_params() -> None:
    with pytest.raises(ActionConfigError) as caught:
        filled("a = ${x}", EVIL)

    assert "bind it instead: write $name in its place and `params: {name: '${x}'}`" == caught.value.hint


def test_raw_statements_stay_as_they_are() -> None:
    assert "RETURN '${x}'" == filled("RETURN '${x}'", EVIL, raw=True)


@given(st.text(alphabet="ab'\"`\\u0027/*\n "), st.sampled_from("'\""))
def test_no_value_ends_a_literal(value: str, quote: str) -> None:
    text = filled(f"RETURN {quote}${{x}}{quote} AS x", value)

    literal = next(each for each in tokens(text) if each.kind == "escaped")
    assert (len("RETURN "), len(text) - len(" AS x")) == (literal.start, literal.end)


@given(st.text(alphabet="ab'\"`\\/*\n "))
def test_tokens_cover_the_text(text: str) -> None:
    assert text == "".join(text[each.start : each.end] for each in tokens(text))


def test_addresses_come_from_the_settings() -> None:
    found = parse_address({}, {"neo4j_url": "neo4j+s://db:1", "neo4j_username": "u", "neo4j_password": "p"})

    assert (True, "db", 1, True, "u", "p") == (
        *(found.routing, found.host, found.port, found.tls),
        *(found.username, found.password),
    )
    assert "neo4j://db:1" == found.url


def test_a_server_of_the_step_gets_no_login_of_the_settings() -> None:
    found = parse_address({"url": "bolt://other"}, {"neo4j_username": "u", "neo4j_password": "p"})

    assert (None, None) == (found.username, found.password)


def test_a_password_is_never_shown() -> None:
    assert "secret" not in repr(parse_address({"url": "bolt://u:secret@h"}, {}))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        pytest.param("http://h", "begins with http://", id="scheme"),
        pytest.param("bolt+x://h", "begins with bolt\\+x://", id="security"),
        pytest.param("bolt://h:x", "is no URL", id="port"),
        pytest.param("bolt://h:0", "0 is no port", id="port 0"),
        pytest.param("bolt://h/db", "a part behind the port", id="path"),
        pytest.param("bolt://h?a=b", "means nothing here", id="query"),
        pytest.param("neo4j://h?address=b", "means nothing here", id="routing"),
        pytest.param(f"bolt://{'x' * 64}", "is no host name", id="host"),
    ],
)
def test_urls_that_cannot_be_used(url: str, told: str) -> None:
    with pytest.raises(ActionConfigError, match=told):
        parse_address({"url": url}, {})


@pytest.mark.parametrize(
    ("config", "told"),
    [
        pytest.param({"query": " // nothing"}, "there is no statement", id="no statement"),
        pytest.param({"query": "RETURN 1", "assert": []}, "there is nothing to check", id="no assertions"),
        pytest.param({"query": "RETURN 1", "assert": ["count =="]}, r"config.assert\[0\]", id="no expression"),
        pytest.param({"query": "RETURN 1", "params": {"a": [2**63]}}, r"config.params.a\[0\]: 9", id="large number"),
        pytest.param({"query": "RETURN 1", "url": "x"}, "begins with nothing", id="url"),
    ],
)
def test_mistakes_are_found_at_collection(config: dict[str, Any], told: str) -> None:
    registry = ActionRegistry()
    actions.register(registry)
    check = registry.find("neo4j.assert").check
    assert check is not None
    with pytest.raises(ActionConfigError, match=told):
        check({"assert": ["count == 1"], **config})


def test_half_a_character_cannot_be_sent() -> None:
    with pytest.raises(ActionConfigError, match="half a character"):
        check_params({"a": "\ud800"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(Date(2024, 2, 29), "2024-02-29", id="date"),
        pytest.param(Time(10, 0, 0), "10:00:00", id="time"),
        pytest.param(Time(10, 0, 0, 1_000_000), "10:00:00.001", id="milliseconds"),
        pytest.param(DateTime(2024, 1, 1, 10, 0, 0, 1), "2024-01-01T10:00:00.000000001", id="nanoseconds"),
        pytest.param(Duration(months=14, days=3, seconds=4), "P1Y2M3DT4S", id="duration"),
        pytest.param(Duration(), "PT0S", id="no duration"),
        pytest.param(WGS84Point((1, 2)), {"srid": 4326, "x": 1, "y": 2, "longitude": 1, "latitude": 2}, id="place"),
        pytest.param(CartesianPoint((1, 2, 3)), {"srid": 9157, "x": 1, "y": 2, "z": 3}, id="cube"),
        pytest.param(float("nan"), "NaN", id="NaN"),
        pytest.param(float("-inf"), "-Infinity", id="infinity"),
        pytest.param(b"abc", "abc", id="bytes of text"),
        pytest.param(bytearray(b"\xff\x00"), "/wA=", id="bytes"),
        pytest.param([1, {"a": [Date(2024, 1, 1)]}], [1, {"a": ["2024-01-01"]}], id="nested"),
        pytest.param(2**63 - 1, 2**63 - 1, id="large"),
    ],
)
def test_values_as_json(value: Any, expected: Any) -> None:
    assert expected == value_to_json(value)


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            name
            for module in (neo4j.exceptions, neo4j._exceptions)
            for name, each in inspect.getmembers(module, inspect.isclass)
            if issubclass(each, Exception) and each.__module__ == module.__name__
        }
    ),
)
def test_every_error_of_the_driver_is_mapped(name: str) -> None:
    assert name in TABLE


@pytest.fixture
def query() -> Iterator[Callable[..., Any]]:
    """``query(url, deadline)`` runs one step against a server."""
    session = Resources()

    def run(url: str, deadline: Deadline = NEVER) -> Any:
        context = ActionContext(
            flow_id="flow",
            execution_id="run",
            step_id="step",
            scope=Scope(builtins=BuiltinValues({}), environ={}),
            deadline=deadline,
            session=session,
        )
        return actions.neo4j_query({"query": "RETURN 1", "url": url}, context)

    yield run
    session.close()


def _asking(url: str = "bolt://db:1", *, first: bool = False) -> Asking:
    address = parse_address({"url": url}, {})
    return Asking(
        text="RETURN 1", address=address, database=None, deadline=NEVER, waited="1s", first=first, handled=None
    )


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        pytest.param(ConnectionRefusedError(111, "Connection refused"), "connection refused", id="refused"),
        pytest.param(ConnectionResetError(104, "reset"), "the connection broke before the answer came", id="reset"),
        pytest.param(OSError("something"), "something", id="other"),
    ],
)
def test_the_root_of_an_error_is_told(cause: OSError, told: str) -> None:
    error = neo4j.exceptions.ServiceUnavailable("Couldn't connect")
    error.__cause__ = cause
    found = failure(error, _asking())

    assert isinstance(found, TargetUnavailableError)
    assert f"query at db:1: {told}" == found.message


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        pytest.param("bolt://db:1", "one that wants TLS looks the same: then write bolt+s://", id="clear"),
        pytest.param("bolt+s://db:1", "one without TLS looks the same: then write bolt://", id="TLS"),
    ],
)
def test_a_port_that_hangs_up_may_be_one_with_or_without_tls(url: str, hint: str) -> None:
    error = neo4j.exceptions.ServiceUnavailable("Couldn't connect")
    error.__cause__ = ConnectionResetError(104, "reset")
    found = failure(error, _asking(url, first=True))

    assert "query at db:1: the server closed the connection without an answer" == found.message
    assert hint in str(found.hint)


def test_a_port_that_says_nothing_may_be_another(dripping: Callable[..., Any], query: Callable[..., Any]) -> None:
    """A server of HTTP waits for the end of a line, which never comes."""
    with pytest.raises(ActionTimeoutError, match="waiting for the response") as caught:
        query(f"bolt://127.0.0.1:{dripping().port}", Deadline.after(3, "step timeout 3s"))

    assert "is this the Bolt port, usually 7687, and not that of HTTP?" in str(caught.value.hint)


def test_a_tls_greeting_that_nothing_answers(dripping: Callable[..., Any], query: Callable[..., Any]) -> None:
    with pytest.raises(ActionTimeoutError, match="waiting for the TLS handshake") as caught:
        query(f"bolt+ssc://127.0.0.1:{dripping().port}", Deadline.after(3, "step timeout 3s"))

    assert "nothing answers the TLS greeting: does the port speak TLS?" in str(caught.value.hint)


def test_a_port_that_speaks_http(tcp_script: Callable[..., Any], query: Callable[..., Any]) -> None:
    def play(connection: Any, script: Any) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with pytest.raises(TargetUnavailableError, match="the answer is not of the Bolt protocol"):
        query(f"bolt://127.0.0.1:{tcp_script(play).port}")
