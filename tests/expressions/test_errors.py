"""What wrong expressions get: when they are compiled, and when they are evaluated."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import ExpressionError, ExpressionSyntaxError, MissingPathError, UndefinedNameError
from pytest_testmesh.expressions import RESERVED, compile_expression
from pytest_testmesh.scope import ResultNames, Scope

COMMA = "a comma ends an item of a YAML list in [ ]: put the whole expression in quotes there"

RESULT: dict[str, Any] = {
    "status": 201,
    "body": {"id": 5, "name": "Bob", "flag": True, "none": None, "items": [1, 2], "digits": "00123", "half": "0.5"},
    "headers": {"Content-Type": "text/html"},
}


@pytest.fixture
def names() -> ResultNames:
    """An assertion on RESULT with two variables."""
    scope = Scope(options={"user_id": "5", "flagged": "true"}, builtins=BuiltinValues({}), environ={"HOME": "/"})
    return ResultNames(RESULT, scope)


@pytest.mark.parametrize(
    ("text", "offset", "message", "hint"),
    [
        ("", 0, "an empty expression", None),
        ("   ", 0, "an empty expression", None),
        ("status = 201", 7, "unexpected =", "compare with =="),
        ("status === 201", 7, "unexpected ===", "compare with =="),
        ("status !== 201", 7, "unexpected !==", "compare with !="),
        ("status <> 201", 7, "unexpected <>", "compare with !="),
        ("a | b", 2, "unexpected |", "write || for or; there is no pipe: call the function, lower(x)"),
        ("a & b", 2, "unexpected &", "write && for and"),
        ("2 ^ 3", 2, "unexpected ^", "write ** for the power"),
        ("1..3", 1, "unexpected ..", "there are no ranges: compare with <= and >="),
        ("a; b", 1, "unexpected ;", "an expression is one line without ;"),
        ("a ~ 'x'", 2, "unexpected ~", "write x matches 'pattern'"),
        ("status ==", 9, "expected a value but found the end", None),
        ("== 5", 0, "expected a value but found ==", None),
        ("/users/5", 0, "expected a value but found /", 'put text in quotes: "..."'),
        ("a and", 5, "expected a value but found the end", None),
        ("and a", 0, "expected a value before and", None),
        ("a in", 4, "expected a value but found the end", None),
        (
            "body.name == John Smith",
            18,
            "unexpected Smith",
            "an operator is missing before it, or quotes around a text",
        ),
        ("rows.0.id", 4, "unexpected .0", "an element of a list is written [0]"),
        (
            "a.'b'",
            2,
            "expected a key after the dot but found '",
            'other keys are written ["content-type"], elements [0]',
        ),
        (
            "a.",
            2,
            "expected a key after the dot but found the end",
            'other keys are written ["content-type"], elements [0]',
        ),
        ("a[", 2, "expected a value but found the end", None),
        ("a[1", 3, "expected ] but found the end", None),
        ("a[]", 2, "expected a value but found ]", None),
        ("(a", 2, "expected ) but found the end", None),
        ("a)", 1, "unexpected )", None),
        ("[1, 2", 5, "expected ] but found the end", None),
        ("[1 2]", 3, "expected ] but found 2", None),
        ("{a: 1", 5, "expected } but found the end", None),
        ("{a}", 2, "expected : but found }", "a map is written {name: value}"),
        ("{a: 1, a: 2}", 8, "the key a stands twice in this map", None),
        ("{[1]: 2}", 1, "expected a key but found [", "a map is written {name: value}"),
        ("{'${x}': 1}", 1, "a placeholder cannot be a key", None),
        ("a ? b", 5, "expected : but found the end", "a condition is written as: test ? yes : no"),
        ("a : b", 2, "unexpected :", "a default is written inside a placeholder: ${NAME:default}"),
        ("1 < 2 < 3", 6, "< cannot follow <", "write a < b && b < c"),
        ("a == b < c", 7, "< cannot follow ==", "write a < b && b < c"),
        ("a in b in c", 7, "in cannot follow in", "write a < b && b < c"),
        ("a not b", 6, None, "or && before not?"),
        (
            "a is text",
            5,
            "expected null, number, string, boolean, array, object or empty after is",
            "to compare, write ==",
        ),
        (
            "a is not 5",
            9,
            "expected null, number, string, boolean, array, object or empty after is",
            "to compare, write ==",
        ),
        ("'open", 0, "this text is never closed: a ' is missing", COMMA),
        ('"open\\"', 0, 'this text is never closed: a " is missing', COMMA),
        ("`open", 0, "this text is never closed: a ` is missing", COMMA),
        (r"'\ud800'", 1, "half of a surrogate pair", "write both halves, or the character itself"),
        ("007", 0, "007 is not a number", "a number has no leading zeros; put text in quotes"),
        ("5s", 0, "5s... is not a number", 'put text in quotes; a duration is written duration("5s")'),
        ("1e999", 0, "1e999 is too large", None),
        ("9" * 301, 0, "a number of more than 300 digits", None),
        ("a @ b", 2, "unexpected character '@'", None),
        ("a \\ b", 2, "unexpected character '\\\\'", None),
        ("lenn(a)", 0, "there is no function lenn", "did you mean len?"),
        ("substring(a, 1)", 0, "there is no function substring", "write it behind the text: name.substring(...)"),
        ("5(1)", 1, "only a function or a method can be called", None),
        ("len()", 0, "len() takes 1 argument, not 0", None),
        ("len(a, b)", 0, "len() takes 1 argument, not 2", None),
        ("split(a)", 0, "split() takes 2 to 3 arguments, not 1", None),
        ("min()", 0, "min() takes 1 or more arguments, not 0", None),
        ("filter(a)", 0, "filter() takes 2 arguments, not 1", None),
        ("now(1)", 0, "now() takes 0 arguments, not 1", None),
        ("len(a", 5, "expected ) but found the end", "arguments stand between ( and )"),
        ("'a'.shout()", 4, "there is no method shout", "methods: upper lower trim substring"),
        ("a.upper(1)", 2, ".upper() takes 0 arguments, not 1", None),
        ("a.substring()", 2, ".substring() takes 1 to 2 arguments, not 0", None),
        ("# > 0", 0, "# is the element of a list, and only a predicate has one", "all(items, .price > 0)"),
        (
            ".price > 0",
            0,
            "a leading dot is a key of a list's element, and only a predicate has one",
            "all(items, .price > 0)",
        ),
        ("all(a, ${#} > 1)", 9, "# is the element of a list, and only a predicate has one", "all(items, .price > 0)"),
        ("all(a, {.x > 1)", 14, "expected } but found )", None),
        (
            "a matches '['",
            10,
            "'[' is not a regular expression: unterminated character set at position 0",
            "as in Python's re module",
        ),
        ("a matches 'x{99999999999}'", 10, None, "as in Python's re module"),
        ("$.a[", 3, "this [ of a JSONPath is never closed", None),
        ("$.a[?]", 0, None, "JSONPath as in RFC 9535: $.users[0].name, $.users[?@.active == true].id"),
        ("a == $.b[01]", 5, None, "JSONPath as in RFC 9535: $.users[0].name, $.users[?@.active == true].id"),
        ("$$", 0, "unexpected character '$'", None),
        ("${a", 0, "the placeholder that opens with ${ never closes", "to write ${ itself, write $${"),
        ("{{a}", 3, "expected }} but found }", "to write {{ itself, write {{{{"),
        ("${}", 0, "an empty placeholder", "to write ${ itself, write $${"),
        ("{{ }}", 0, "an empty placeholder", "to write {{ itself, write {{{{"),
        ("'a ${b'", 6, "expected } but found '", "to write ${ itself, write $${"),
        ("${a.b:c}", 5, "expected } but found :", None),
        ("${a:b", 0, "the placeholder that opens with ${ never closes", "to write ${ itself, write $${"),
        ("(" * 70 + "a" + ")" * 70, 64, "nested more than 64 levels deep", "compute a part of it in a step of its own"),
        ("!" * 70 + "a", 64, "nested more than 64 levels deep", "compute a part of it in a step of its own"),
        ("1" + "+1" * 300, None, "more than 200 operations in a row", "compute a part of it in a step of its own"),
        ("a" + ".b" * 300, None, "more than 200 operations in a row", "compute a part of it in a step of its own"),
        ("a" * 10_001, 0, "an expression of 10001 characters; at most 10000 are allowed", None),
    ],
    ids=lambda value: None if value is None or isinstance(value, int) else repr(value[:40]),
)
def test_text_is_refused(text: str, offset: int | None, message: str | None, hint: str | None) -> None:
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_expression(text)

    assert message in (None, caught.value.message)
    assert offset in (None, caught.value.offset)
    assert hint in (None, caught.value.hint)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "status == '201'",
            "== cannot compare a number with a string: status is the number 201, '201'",
            "without the quotes 201 is a number",
        ),
        (
            "status != '500'",
            "!= cannot compare a number with a string: status is the number 201, '500'",
            "without the quotes 500 is a number",
        ),
        (
            "status == 'ok'",
            "== cannot compare a number with a string: status is the number 201, 'ok'",
            "write string(status)",
        ),
        ("status == user_id", None, "write int(user_id) or string(status)"),
        ("body.digits == 123", None, "write string(123)"),
        ("body.half == 0.5", None, "write float(body.half) or string(0.5)"),
        ('body.id == "{{user_id}}"', None, "without the quotes a placeholder keeps its type"),
        ("flagged == true", None, "write bool(flagged) or string(true)"),
        ("body.flag == 'true'", None, "without the quotes true is a boolean"),
        (
            "body.flag == 1",
            "== cannot compare a boolean with a number: body.flag is the boolean true, 1",
            "write x != 0 to make a boolean of a number",
        ),
        (
            "body.items == 2",
            "== cannot compare an array with a number: body.items is an array of 2, 2",
            "write len(body.items), or in to look for an element",
        ),
        ("body == 'x'", None, "name a key of the object"),
        ("body == [1]", None, "write len([1]), or in to look for an element"),
        (
            "status < '300'",
            "< cannot compare a number with a string: status is the number 201, '300'",
            "without the quotes 300 is a number",
        ),
        (
            "status < null",
            "< cannot compare a number with null: status is the number 201, null",
            "test for null first: x != null && x > 0",
        ),
        ("true < false", "< cannot compare booleans: true, false", "compare a part of it"),
        (
            "body.items < [1]",
            "< cannot compare arrays: body.items is an array of 2, [1] is an array of 1",
            "compare a part of it",
        ),
        (
            "status in ['200', '201']",
            "in can never hold: status is the number 201, and no element is a number; the first is a string",
            "convert one side: string(x), int(x)",
        ),
        (
            "status not in ['200']",
            "not in can never hold: status is the number 201, and no element is a number; the first is a string",
            "convert one side: string(x), int(x)",
        ),
        (
            "body.items contains '1'",
            "contains can never hold: '1', and no element is a string; the first is a number",
            "convert one side: string(x), int(x)",
        ),
        ("5 in body", "in cannot hold: a key of an object is a string, and 5", None),
        ("body.name contains 5", "contains cannot hold: only a string is part of a string, and 5", None),
        ("5 in 5", "in needs an array, an object or a string to look into: 5", None),
        ("5 in body.none", "in needs an array, an object or a string to look into: body.none is null", None),
        ("status startsWith '2'", "startsWith needs strings: status is the number 201", "write string(x)"),
        ("body.none matches 'x'", "matches needs strings: body.none is null", None),
        ("status matches '2..'", "matches needs strings: status is the number 201", "write string(x)"),
        (
            "body.name matches body.name + '['",
            "'Bob[' is not a regular expression: unterminated character set at position 3",
            "as in Python's re module",
        ),
        ("'a' + 1", "+ needs two numbers or two strings: 1", "write string(1)"),
        ("status + 'a'", "+ needs two numbers or two strings: status is the number 201", "write string(status)"),
        ("user_id * 2", '* needs numbers: user_id is the string "5"', "write float(user_id)"),
        ("body.none + 1", "+ needs numbers: body.none is null", None),
        ("true + 1", "+ needs numbers: true", None),
        ("[1] + [2]", "+ needs numbers: [1] is an array of 1", None),
        ("-body.name", '- needs a number: body.name is the string "Bob"', None),
        ("1 / 0", "/ divides by zero: 1, 0", None),
        ("1 % 0", "% divides by zero: 1, 0", None),
        ("1.5 % 0", "% divides by zero: 1.5, 0", None),
        ("0 ** -1", None, None),
        ("2 ** 99999", "** gives a number of more than 1200 digits: 2, 99999", None),
        ("2 ** 2040 * 2 ** 2048 * 2 ** 2048", "* gives a number of more than 1200 digits", None),
        ("1e300 * 1e300 * 1e300 * 1e300", None, None),
        ("1.5 ** 99999", None, None),
        ("(-8) ** 0.5", None, None),
        ("!status", "! needs true or false: status is the number 201", "compare it: status == ..."),
        ("!status == 201", "! needs true or false: status is the number 201", "compare it: status == ..."),
        ("not body.none", "! needs true or false: body.none is null", "compare it: body.none != null"),
        ("status && true", "&& needs true or false: status is the number 201", "compare it: status == ..."),
        ("true and body.name", '&& needs true or false: body.name is the string "Bob"', "compare it: body.name == ..."),
        ("body.none || true", "|| needs true or false: body.none is null", "compare it: body.none != null"),
        ("status ? 1 : 2", "? needs true or false: status is the number 201", "compare it: status == ..."),
        (
            "status is empty",
            "only a string, an array, an object or null can be empty: status is empty asks it of the number 201",
            None,
        ),
        ("body[1]", "body[1]: an object is indexed by a string, not by the number 1", None),
        (
            "body.items['0']",
            "body.items['0']: an array of 2 is indexed by a whole number, not by the string \"0\"",
            None,
        ),
        ("body.items[0.5]", "body.items[0.5]: an array of 2 is indexed by a whole number, not by the number 0.5", None),
        ("body.items[true]", None, None),
        ("body.items['a':]", "body.items['a':]: a slice is bounded by whole numbers, not by the string \"a\"", None),
        ("status[1:]", "only an array or a string can be sliced: status is the number 201", None),
        ("status.upper()", ".upper() needs a string: status is the number 201", "write string(status)"),
        ("body.shout()", None, "methods of strings: upper lower trim substring"),
    ],
    ids=lambda value: None if value is None else repr(value[:60]),
)
def test_evaluation_is_refused(names: ResultNames, text: str, message: str | None, hint: str | None) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text).evaluate(names)

    assert message in (None, caught.value.message)
    assert hint in (None, caught.value.hint)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "body.total",
            "body.total is missing: body has no key total",
            "keys there: id, name, flag, none, items, digits, half",
        ),
        (
            "body.nme == 'x'",
            "body.nme is missing: body has no key nme",
            "did you mean name? keys there: id, name, flag, none, items, digits, half",
        ),
        (
            "body.ID == 5",
            "body.ID is missing: body has no key ID",
            "did you mean id? keys there: id, name, flag, none, items, digits, half",
        ),
        ("body['nope'].deeper > 1", "body['nope'].deeper is missing: body has no key nope", None),
        ("body.none.a.b > 1", "body.none.a.b is missing: body.none is null", None),
        ("body.name.first == 'x'", "body.name.first is missing: body.name is a string", None),
        ("body.items.first > 1", "body.items.first is missing: body.items is an array of 2", None),
        ("body.items[2] == 1", "body.items[2] is missing: body.items has 2 elements", None),
        ("'abc'[3]", "'abc'[3] is missing: 'abc' has 3 characters", None),
        ("body.none[1:]", "body.none[1:] is missing: body.none is null", None),
        (
            "headers.Content-Type contains 'x'",
            "headers.Content is missing: headers has no key Content",
            'did you mean ["Content-Type"]? keys there: Content-Type',
        ),
        ("body.a == body.b", "body.a is missing: body has no key a", None),
        ("body.a != 5", "body.a is missing: body has no key a", None),
        ("5 in body.a", "body.a is missing: body has no key a", None),
        ("body.a in [null]", "body.a is missing: body has no key a", None),
        ("body.a && true", "body.a is missing: body has no key a", None),
        ("!body.a", "body.a is missing: body has no key a", None),
        ("body.a ? 1 : 2", "body.a is missing: body has no key a", None),
        ("-body.a", "body.a is missing: body has no key a", None),
        ("body.a is string", "body.a is missing: body has no key a", None),
        ("body.a startsWith 'x'", "body.a is missing: body has no key a", None),
        ("type(body.a)", "body.a is missing: body has no key a", None),
        ("[body.a]", "body.a is missing: body has no key a", None),
        ("{k: body.a}", "body.a is missing: body has no key a", None),
        ("body.items[body.a]", "body.a is missing: body has no key a", None),
        ("body.a ?? body.b", "body.b is missing: body has no key b", None),
        ("body?.a", "body?.a is missing: body has no key a", None),
        ("$.nope > 1", "$.nope is missing: it is not in the result nor in its body", None),
        (
            "$.body.itms[0] > 1",
            "$.body.itms[0] is missing: $.body has no key itms",
            "did you mean items? keys there: id, name, flag, none, items, digits, half",
        ),
        ("$.items[7] > 1", "$.items[7] is missing: $.body.items is an array of 2", None),
    ],
    ids=lambda value: None if value is None else repr(value[:60]),
)
def test_missing_is_refused(names: ResultNames, text: str, message: str | None, hint: str | None) -> None:
    with pytest.raises(MissingPathError) as caught:
        compile_expression(text).evaluate(names)

    assert message in (None, caught.value.message)
    assert hint in (None, caught.value.hint)


@pytest.mark.parametrize("text", ["nope", "HOME", "nope exists", "nope ?? 5", "all([1], nope)"])
def test_undefined_name_is_refused_everywhere(names: ResultNames, text: str) -> None:
    with pytest.raises(MissingPathError, match="is not defined"):
        compile_expression(text).evaluate(names)


@pytest.mark.parametrize("text", ["${nope}", "'{{nope}}'"])
def test_undefined_variable_is_refused_for_good(names: ResultNames, text: str) -> None:
    with pytest.raises(UndefinedNameError):
        compile_expression(text).evaluate(names)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "body",
            "an assertion must give true or false, and body is an object with keys"
            " id, name, flag, none, items, digits, half",
        ),
        ("status", "an assertion must give true or false, and status is the number 201"),
        ("'true'", "an assertion must give true or false, and 'true' is the string \"true\""),
        ("body.none", "an assertion must give true or false, and body.none is null"),
        ("body.nope", "body.nope is missing: body has no key nope"),
        ("now()", None),
        ("random", "an assertion must give true or false, and random is a group"),
    ],
)
def test_assertion_must_give_a_boolean(names: ResultNames, text: str, message: str | None) -> None:
    variables = names.placeholders if text == "random" else names

    with pytest.raises(ExpressionError) as caught:
        compile_expression(text).test(variables)

    assert message in (None, caught.value.message)


@pytest.mark.parametrize(("text", "expected"), [("status == 201", True), ("body.flag", True), ("status == 200", False)])
def test_assertion_gives_its_boolean(names: ResultNames, text: str, expected: bool) -> None:
    assert expected is compile_expression(text).test(names)


def test_value_nested_too_deeply_is_refused() -> None:
    nested: list[Any] = []
    for _ in range(5000):
        nested = [nested]
    scope = Scope(options={"a": nested, "b": [nested]}, builtins=BuiltinValues({}), environ={})

    with pytest.raises(ExpressionError, match="nested too deeply"):
        compile_expression("a == b").evaluate(scope)


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_reserved_word_is_no_name_but_may_be_a_key(word: str) -> None:
    scope = Scope(options={"a": {word: 5}}, builtins=BuiltinValues({}), environ={})

    assert 5 == compile_expression(f"a.{word}").evaluate(scope)
    assert word not in compile_expression(f"a.{word}").names
