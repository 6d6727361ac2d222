"""What the built-in functions give and refuse."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import ExpressionError
from pytest_testmesh.expressions import compile_expression
from pytest_testmesh.scope import Scope

LONG = "a" * 1000


@pytest.fixture
def scope() -> Scope:
    """Two variables: an object, and a moment ten minutes ago."""
    moment = (datetime.now(timezone.utc) - timedelta(minutes=10)).isoformat()
    options = {"user": {"name": "Ann", "age": 5}, "recent": moment, "mixed": [1, "a"]}
    return Scope(options=options, builtins=BuiltinValues({}), environ={})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("len('héllo')", 5),
        ("len([1, 2])", 2),
        ("len(user)", 2),
        ("min(3, 1, 2)", 1),
        ("max([3, 1, 2])", 3),
        ("min([0.1, 0.10001])", 0.1),
        ("max('b', 'a')", "b"),
        ("sum([1, 2.5, 0.5])", 4),
        ("sum([0.1, 0.2])", 0.3),
        ("sum([])", 0),
        ("avg([1, 2])", 1.5),
        ("avg([2, 4])", 3),
        ("first([1, 2])", 1),
        ("last([1, 2])", 2),
        ("first([])", None),
        ("last([])", None),
        ("keys(user)", ["name", "age"]),
        ("values(user)", ["Ann", 5]),
        ("sort([3, 1, 2])", [1, 2, 3]),
        ("sort(['b', 'a'], 'desc')", ["b", "a"]),
        ("sort([])", []),
        ("unique([1, 2, 1, 1.0, '1', true])", [1, 2, "1", True]),
        ("string(unique([1, 1.0]))", "[1]"),
        ("unique([{a: [1]}, {a: [1]}, null, null])", [{"a": [1]}, None]),
        ("upper('aß')", "ASS"),
        ("lower('ABC')", "abc"),
        ("trim('  a ')", "a"),
        ("trim('__a__', '_')", "a"),
        ("split('a,b,c', ',')", ["a", "b", "c"]),
        ("split('a,b,c', ',', 2)", ["a", "b,c"]),
        ("split('abc', '')", ["a", "b", "c"]),
        ("split('abc', '', 2)", ["a", "bc"]),
        ("join(['a', 'b'], '-')", "a-b"),
        ("join([1, true, 'x'])", "1truex"),
        ("replace('a-b-c', '-', '+')", "a+b+c"),
        ("abs(-5)", 5),
        ("abs(-0.1)", 0.1),
        ("round(2.5)", 3),
        ("round(-2.5)", -3),
        ("round(1.005, 2)", 1.01),
        ("round(12)", 12),
        ("round(0.1 + 0.2, 1)", 0.3),
        ("floor(-1.5)", -2),
        ("ceil(1.2)", 2),
        ("int('42')", 42),
        ("int('00123')", 123),
        ("int('-7')", -7),
        ("int(1.9)", 1),
        ("int(-1.9)", -1),
        ("float('1.5')", 1.5),
        ("float('1e3')", 1000.0),
        ("float(5)", 5),
        ("string(5)", "5"),
        ("string(5.0)", "5"),
        ("string(0.1 + 0.2)", "0.3"),
        ("string(true)", "true"),
        ("string(null)", "null"),
        ("string([1, 'a'])", '[1,"a"]'),
        ("string('a')", "a"),
        ("bool('true')", True),
        ("bool('false')", False),
        ("bool(0)", False),
        ("bool(1)", True),
        ("type(5)", "number"),
        ("type('a')", "string"),
        ("type(null)", "null"),
        ("type([])", "array"),
        ("type({})", "object"),
        ("type(true)", "boolean"),
        ("duration('1m30s')", 90),
        ("duration('250ms')", 0.25),
        ("duration('700ms') == 0.7", True),
        ("duration(5)", 5),
        ("date('2024-01-31')", "2024-01-31T00:00:00Z"),
        ("date('2024-01-31 12:30:05.5')", "2024-01-31T12:30:05.500000Z"),
        ("date('2024-01-31T12:00:00+02:00')", "2024-01-31T10:00:00Z"),
        ("date('Wed, 31 Jan 2024 12:00:00 GMT')", "2024-01-31T12:00:00Z"),
        ("date(0)", "1970-01-01T00:00:00Z"),
        ("date(1706702400) == date('2024-01-31T12:00:00Z')", True),
        ("date(1706702400000) == date(1706702400)", True),
        ("date(date('2024-01-31'))", "2024-01-31T00:00:00Z"),
        ("date('2024-02-01') - date('2024-01-31')", 86400),
        ("date('2024-01-31') + duration('1h')", "2024-01-31T01:00:00Z"),
        ("3600 + date('2024-01-31')", "2024-01-31T01:00:00Z"),
        ("date('2024-01-31') - 1 < date('2024-01-31')", True),
        ("now() - date(recent) < duration('1h')", True),
        ("now() - date(recent) > duration('5m')", True),
        ("date(recent) > now() - duration('1h')", True),
        ("max(date('2024-01-31'), date('2023-01-01'))", "2024-01-31T00:00:00Z"),
        ("string(date('2024-01-31'))", "2024-01-31T00:00:00Z"),
        ("[date('2024-01-31')]", ["2024-01-31T00:00:00Z"]),
        ("fromJSON('{\"a\": [1, null]}').a", [1, None]),
        ("toJSON({a: [1, 'é']})", '{"a":[1,"é"]}'),
        ("fromJSON(toJSON(user)) == user", True),
        ("base64('user:pass')", "dXNlcjpwYXNz"),
        ("sha256('a')", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ("random.string(24).length", 24),
        ("random.uuid == random.uuid", True),
        ("$uuid == UUID", True),
        ("random['uuid'] == UUID", True),
        ("random.uuid exists", True),
    ],
    ids=repr,
)
def test_function_gives_value(scope: Scope, text: str, expected: Any) -> None:
    value = compile_expression(text).evaluate(scope)

    assert expected == value
    assert isinstance(expected, bool) is isinstance(value, bool)


def test_now_leaves_an_expression_as_iso_text_in_utc(scope: Scope) -> None:
    assert (
        timezone.utc
        == datetime.fromisoformat(compile_expression("now()").evaluate(scope).replace("Z", "+00:00")).tzinfo
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("len(5)", "len() needs a string, an array or an object: 5"),
        ("len(user.age)", "len() needs a string, an array or an object: user.age is the number 5"),
        ("upper(5)", "upper() needs a string: 5"),
        ("upper(user.nope)", "user.nope is missing: user has no key nope"),
        ("user.nope.upper()", "user.nope is missing: user has no key nope"),
        ("user.age.upper()", ".upper() needs a string: user.age is the number 5"),
        ("user.name.shout()", "there is no method shout: user.name is the string"),
        ("sum(['a'])", 'sum() needs numbers: element 0 is the string "a"'),
        ("sum(user)", "sum() needs an array: user is an object with keys name, age"),
        ("sum([1, true])", "sum() needs numbers: element 1 is the boolean true"),
        ("avg([])", "avg() of an empty array has no value"),
        ("min([])", "min() of an empty array has no value"),
        ("max(1, 'a')", 'max() needs elements of one type: the first is a number, element 1 is the string "a"'),
        ("min(true)", "min() needs an array: true"),
        ("sort(mixed)", "sort() needs elements of one type: the first is a number, element 1 is"),
        ("sort([{a: 1}])", "sort() needs numbers or strings: the first element is an object with keys a"),
        ("sort([1], 'up')", 'sort() needs the order "asc" or "desc": \'up\''),
        ("keys([1])", "keys() needs an object: [1] is an array of 1"),
        ("int('a')", "int() needs a text that is a whole number: 'a'"),
        ("int('1.5')", "int() needs a text that is a whole number: '1.5'"),
        ("int(null)", "int() needs a number: null"),
        ("int(true)", "int() needs a number: true"),
        ("float('nan')", "float() needs a text that is a number: 'nan'"),
        ("float('1e999')", "float() needs a text that is a number: '1e999'"),
        ("bool('yes')", 'bool() needs true, false, "true", "false", 0 or 1: \'yes\''),
        ("bool(2)", 'bool() needs true, false, "true", "false", 0 or 1: 2'),
        ("round('a')", "round() needs a number: 'a'"),
        ("round(1.5, -1)", "round() needs a whole number from 0 on: -1"),
        ("split('a', 5)", "split() needs a string: 5"),
        ("split('a', ',', 0)", "split() needs a whole number from 1 on: 0"),
        ("join([null])", "join() needs strings, numbers or booleans: element 0 is null"),
        ("'a'.substring(-1)", ".substring() needs a whole number from 0 on: -1"),
        ("'abc'.substring(2, 1)", ".substring() needs a whole number from 2 on: 1"),
        ("date('soon')", "date() needs a date: 'soon'"),
        ("date('2024-13-01')", "date() needs a date: '2024-13-01'"),
        ("date(1e30)", "date() needs a date: 1e30"),
        ("date(true)", "date() needs a string or a number: true"),
        ("duration('soon')", "duration() needs a duration: 'soon'"),
        ("now() + 'x'", "+ cannot take the date"),
        ("now() * 2", "* cannot take the date"),
        ("now() + 1e300", "+ leads to a date outside the calendar"),
        ("now() > '2024-01-01'", "> cannot compare a date with a string: now() is the date"),
        ("now() > 5", "> cannot compare a date with a number"),
        ("fromJSON('{')", "fromJSON() needs a JSON text: "),
        ("fromJSON('NaN')", "fromJSON() needs a JSON text: NaN is not JSON"),
        ("fromJSON('[' + replace('" + "a" * 3000 + "', 'a', '['))", "fromJSON() needs a JSON text: "),
        ("count([1, 2])", "count() needs a predicate that gives true or false: for element 0 it gave the number 1"),
        ("all(mixed, #)", "all() needs a predicate that gives true or false: for element 0 it gave the number 1"),
        ("all(user, # > 1)", "all() needs an array: user is an object with keys name, age"),
        ("all(user.nope, # > 1)", "user.nope is missing: user has no key nope"),
        ("map([{a: 1}], .b)", ".b is missing: the element has no key b"),
        ("filter([{a: 1}], .b > 1)", ".b is missing: the element has no key b"),
        ("filter([{a: 1}], .b)", ".b is missing: the element has no key b"),
        ("random", "a group of names is not a value"),
        ("random == 5", "== cannot compare a group with a number"),
        ("random.nope", "random.nope is not defined"),
        ("random.string('a')", "random.string cannot be called so"),
        ("len(random)", "len() needs a string, an array or an object: random is a group"),
        ("[random]", "a group of names is not a value"),
        ("replace(" * 3 + f"'{LONG}'" + f", 'a', '{LONG}')" * 3, "replace() gives a text of more than"),
    ],
    ids=lambda value: repr(value[:70]),
)
def test_function_refuses(scope: Scope, text: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text).evaluate(scope)

    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("upper(5)", "write string(5)"),
        ("abs('5')", "write float('5')"),
        ("int('1.5')", "write int(float('1.5'))"),
        ("count([1])", "len(...) counts all elements"),
        ("sort([{a: 1}])", "take one key: map(x, .price)"),
        ("all(user, # > 1)", "write values(user)"),
        ("now() > '2024-01-01'", "write date('2024-01-01')"),
        ("'a'.shout", None),
        ("user.nme", "did you mean name? keys there: name, age"),
    ],
    ids=repr,
)
def test_function_error_says_what_to_do(scope: Scope, text: str, hint: str | None) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text).evaluate(scope)

    assert hint == caught.value.hint
