"""Templates: what placeholders in strings of a tree become, and what is refused."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import ExpressionError, ExpressionSyntaxError, MissingPathError, UndefinedNameError
from pytest_testmesh.scope import Scope
from pytest_testmesh.template import compile_template, convert

VARIABLES = {
    "name": "Ann",
    "n": 5,
    "half": 0.5,
    "whole": 2.0,
    "yes": True,
    "nothing": None,
    "items": [1, "a", None],
    "user": {"name": "bob", "tags": ["x"], "Content-Type": "json"},
    "empty": "",
    "digits": "00123",
    "tricky": "${n} {{n}}",
    "tap": 3,
    "price": 0.1,
    "quoted": 'say "hi"',
}


@pytest.fixture
def scope() -> Scope:
    """VARIABLES, and one completed step of an id with a hyphen."""
    scope = Scope(options=VARIABLES, builtins=BuiltinValues({}), environ={"PORT": "8080", "ZIP": "01234"})
    scope.complete_step("create-user", {"id": 42, "body": {"ok": True}}, {"user_id": 42}, 1)
    return scope


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("$5 { } } $ {a} $x", "$5 { } } $ {a} $x"),
        ("${name}", "Ann"),
        ("{{name}}", "Ann"),
        ("{{ name }}", "Ann"),
        ("${ name }", "Ann"),
        ("${n}", 5),
        ("${half}", 0.5),
        ("${yes}", True),
        ("${nothing}", None),
        ("${items}", [1, "a", None]),
        ("${user}", VARIABLES["user"]),
        (" ${n}", " 5"),
        ("${n}\n", "5\n"),
        ("${n}${n}", "55"),
        ("a${n}b{{n}}c", "a5b5c"),
        ("n=${half}", "n=0.5"),
        ("n=${whole}", "n=2"),
        ("n=${price + 0.2}", "n=0.3"),
        ("${price + 0.2}", 0.3),
        ("b=${yes} ${nothing}", "b=true null"),
        ("list ${items}", 'list [1,"a",null]'),
        ("map {{user.tags}}", 'map ["x"]'),
        ("t=${quoted}", 't=say "hi"'),
        ("${digits}", "00123"),
        ("${tricky}", "${n} {{n}}"),
        ("> ${tricky}", "> ${n} {{n}}"),
        ("${user.name}", "bob"),
        ("${user.name.upper()}", "BOB"),
        ("${user['Content-Type']}", "json"),
        ('${user["name"]}', "bob"),
        ("${items[1]}", "a"),
        ("${tap % 2 == 1 ? 'entry' : 'exit'}", "entry"),
        ("${ {a: {b: n}} }", {"a": {"b": 5}}),
        ("{{ {a: {b: n}} }}", {"a": {"b": 5}}),
        ("{{ {a: {b: n}}}}", {"a": {"b": 5}}),
        ("${'}'}", "}"),
        ('${"${n}"}', "5"),
        ("${n + 1}/x", "6/x"),
        ("${user.nope ?? 'none'}", "none"),
        ("${user.nope exists}", False),
        ("${create-user.id}", 42),
        ("${create-user.body.ok}", True),
        ("${user_id}", 42),
        ("${len(items)}", 3),
        ("${n > 3 && yes}", True),
        ("$${n}", "${n}"),
        ("{{{{n}}", "{{n}}"),
        ("$${n} ${n}", "${n} 5"),
        ("{{{{ x }}}} {{n}}", "{{ x }}}} 5"),
        ("$$${n}", "$${n}"),
        ("{{.Name}}", "{{.Name}}"),
        ("{{ .Name }} {{n}}", "{{ .Name }} 5"),
        ('{"a":{"b":{{n}}}}', '{"a":{"b":5}}'),
        ('{"a":${n},"b":{{user}}}', '{"a":5,"b":{"name":"bob","tags":["x"],"Content-Type":"json"}}'),
        ("${PORT}", 8080),
        ("${ZIP}", "01234"),
        ("${missing:x}", "x"),
        ("${missing:8080}", 8080),
        ("${missing:true}", True),
        ("${missing:01234}", "01234"),
        ("${missing:1.10}", "1.10"),
        ("${missing:1e5}", "1e5"),
        ("${missing:null}", "null"),
        ("${missing:}", ""),
        ("${missing: x}", " x"),
        ("{{ missing:x }}", "x"),
        ("{{missing:x}}", "x"),
        ("${missing:http://localhost:8080/a?b=c}", "http://localhost:8080/a?b=c"),
        ("${missing:${n}}", 5),
        ("${missing:${items}}", [1, "a", None]),
        ("${missing:a${n}}", "a5"),
        ("${missing:8${n}}", 85),
        ("${missing:${other:deep}}", "deep"),
        ("${missing:{{other:deep}}}", "deep"),
        ('${missing:{"a": {"b": 1}}}', '{"a": {"b": 1}}'),
        ('{{missing:{"a": 1}}}', '{"a": 1}'),
        ("${missing:$${n}}", "${n}"),
        ("${name:x}", "Ann"),
        ('${name:{"a": {"b": 1}}}!', "Ann!"),
        ('{{name:{"a": 1}}}!', "Ann!"),
        ("${name:}}", "Ann}"),
        ("${empty:x}", ""),
        ("${empty:-x}", "x"),
        ("${nothing:x}", None),
        ("${nothing:-x}", "x"),
        ("${missing:-x}", "x"),
        ("${name:-x}", "Ann"),
        ("${create-user:x}", {"id": 42, "body": {"ok": True}, "user_id": 42}),
        ("url ${missing:http://${name}:80}/x", "url http://Ann:80/x"),
        ("ééé ${name} 😀", "ééé Ann 😀"),
        ("${random.string(5).length}", 5),
        ("${missing:-${nothing:-y}}", "y"),
    ],
    ids=repr,
)
def test_string_is_filled_in(scope: Scope, text: str, expected: Any) -> None:
    filled = compile_template(text, frozenset({"create-user"})).fill(scope)

    assert expected == filled
    assert type(expected) is type(filled)


@pytest.mark.parametrize(
    ("text", "offset", "message", "hint"),
    [
        ("a ${name", 2, "the placeholder that opens with ${ never closes", "to write ${ itself, write $${"),
        ("a {{name", 2, "the placeholder that opens with {{ never closes", "to write {{ itself, write {{{{"),
        ("a {{name}", 8, "expected }} but found }", "to write {{ itself, write {{{{"),
        ("${missing:${a}", 0, "the placeholder that opens with ${ never closes", "to write ${ itself, write $${"),
        ("${}", 0, "an empty placeholder", "to write ${ itself, write $${"),
        ("x {{}}", 2, "an empty placeholder", "to write {{ itself, write {{{{"),
        ("${a b}", 4, "expected } but found b", "to write ${ itself, write $${"),
        ("${a.b:c}", 5, "expected } but found :", None),
        ("${true:x}", 6, "expected } but found :", None),
        ("${a +}", 5, "expected a value but found }", None),
        ("${len(}", 6, "expected a value but found }", None),
        ("${lenn(a)}", 2, "there is no function lenn", "did you mean len?"),
        ("${a = 1}", 4, "expected } but found =", None),
        ("${" + "(" * 70 + "1" + ")" * 70 + "}", None, "nested more than 64 levels deep", None),
        ("${a:" * 70 + "}" * 70, None, "nested more than 64 levels deep", None),
        ("${1" + "+1" * 300 + "}", None, "more than 200 operations in a row", None),
    ],
    ids=lambda value: None if value is None or isinstance(value, int) else repr(value[:40]),
)
def test_string_is_refused(text: str, offset: int | None, message: str | None, hint: str | None) -> None:
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_template({"a": ["x", text]})

    assert ("a", 1) == caught.value.path
    assert offset in (None, caught.value.offset)
    assert message in (None, caught.value.message)
    assert hint in (None, caught.value.hint)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("${nme}", UndefinedNameError, "nme is not defined"),
        ("x ${nme}", UndefinedNameError, "nme is not defined"),
        ("${user.nme}", MissingPathError, "user.nme is missing: user has no key nme"),
        ("x {{user.nme}}", MissingPathError, "user.nme is missing: user has no key nme"),
        ("${missing:${user.nme}}", MissingPathError, "user.nme is missing: user has no key nme"),
        ("${n + name}", ExpressionError, "+ needs two numbers or two strings: n is the number 5"),
        ("${$.a}", ExpressionError, "$ is a step's result, and there is none here"),
        ("${random}", ExpressionError, "a group of names is not a value"),
        ("x${random}", ExpressionError, "a group of names is not a value"),
    ],
    ids=repr,
)
def test_filling_in_is_refused_and_tells_where(
    scope: Scope, text: str, error: type[ExpressionError], message: str
) -> None:
    template = compile_template({"headers": [{"X": text}], "z": 1})

    with pytest.raises(error) as caught:
        template.fill(scope)

    assert ("headers", 0, "X") == caught.value.path
    assert message == caught.value.message


def test_undefined_name_lists_near_matches(scope: Scope) -> None:
    with pytest.raises(UndefinedNameError) as caught:
        compile_template("${nam}").fill(scope)

    assert "did you mean name" in str(caught.value.hint)


def test_tree_is_rebuilt_and_keeps_its_order(scope: Scope) -> None:
    tree = {"z": 1, "a": "${n}", "b": {"c": ["x", "${name}!", 3], "d": None}, "e": "y"}
    template = compile_template(tree)

    filled = template.fill(scope)

    assert {"z": 1, "a": 5, "b": {"c": ["x", "Ann!", 3], "d": None}, "e": "y"} == filled
    assert ["z", "a", "b", "e"] == list(filled)
    assert "${n}" == tree["a"]
    assert template.fill(scope) is not filled


def test_what_is_filled_in_is_fresh_each_time(scope: Scope) -> None:
    template = compile_template({"a": ["${n}"], "b": 1})

    template.fill(scope)["a"].append("changed")

    assert {"a": [5], "b": 1} == template.fill(scope)


@pytest.mark.parametrize(
    "tree", [None, 5, True, "text", "a $ { b", [], {}, {"a": [1, "b", {"c": None}]}, {"a": MappingProxyType({"b": 1})}]
)
def test_constant_tree_is_returned_as_it_is(scope: Scope, tree: Any) -> None:
    template = compile_template(tree)

    assert template.constant
    assert template.value is tree
    assert template.fill(scope) is tree


def test_escapes_alone_leave_a_constant(scope: Scope) -> None:
    template = compile_template({"a": ["$${x}"], "b": {"c": 1}})

    assert template.constant
    assert {"a": ["${x}"], "b": {"c": 1}} == template.value
    assert template.value == template.fill(scope)


def test_raw_leaves_every_string(scope: Scope) -> None:
    tree = {"a": "${n} $${x} {{ broken"}
    template = compile_template(tree, raw=True)

    assert template.constant
    assert template.fill(scope) is tree


def test_keys_are_no_templates(scope: Scope) -> None:
    assert {"${n}": 5} == compile_template({"${n}": "${n}"}).fill(scope)


def test_lone_placeholders_and_names_are_known() -> None:
    tree = {"a": "${x}", "b": ["{{y.z}}", " ${x}", "${p}${q}", "$${no}"], "c": "${D:e${f}}"}
    template = compile_template(tree)

    assert {("a",), ("b", 0), ("c",)} == template.lone
    assert {"x", "y", "p", "q", "D", "f"} == template.names
    assert {()} == compile_template("${x}").lone


def test_tree_nested_too_deeply_is_refused() -> None:
    tree: Any = "${n}"
    for _ in range(150):
        tree = [tree]

    with pytest.raises(ExpressionSyntaxError, match="nested more than 100 levels deep"):
        compile_template(tree)


@pytest.mark.parametrize(
    ("value", "schema_type", "expected"),
    [
        ("5", "integer", 5),
        ("5", "number", 5),
        ("2.5", "number", 2.5),
        ("-1", "integer", -1),
        ("2.5", "integer", "2.5"),
        ("05", "integer", "05"),
        ("1e3", "number", "1e3"),
        ("+5", "number", "+5"),
        ("x", "integer", "x"),
        ("", "integer", ""),
        (5.0, "integer", 5),
        (5.5, "integer", 5.5),
        (5, "number", 5),
        (True, "integer", True),
        ("true", "boolean", True),
        ("false", "boolean", False),
        ("yes", "boolean", "yes"),
        (1, "boolean", 1),
        ("1", "boolean", "1"),
        (5, "string", "5"),
        (0.5, "string", "0.5"),
        (True, "string", "true"),
        (None, "string", None),
        ("5", "string", "5"),
        ([1], "string", [1]),
        ({"a": 1}, "string", {"a": 1}),
        ("5", ["integer", "null"], 5),
        ("5", ["string", "integer"], "5"),
        (5, ["string", "boolean"], "5"),
        ("[1]", "array", "[1]"),
        (None, "integer", None),
    ],
    ids=repr,
)
def test_conversion_loses_nothing(value: Any, schema_type: str | list[str], expected: Any) -> None:
    converted = convert(value, schema_type)

    assert expected == converted
    assert type(expected) is type(converted)
