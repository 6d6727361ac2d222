"""What bad flow files get: the first line, the place and the hint of each."""

from __future__ import annotations

import pytest

from pytest_testmesh.errors import ExpressionSyntaxError, FlowError, FlowSchemaError, FlowSyntaxError
from pytest_testmesh.loader import load_flow, looks_like_flow

FLOW = "flow:\n  name: N\n  steps: [{action: log}]\n"
STEP = "flow:\n  name: N\n  steps:\n    - id: pay\n      action: log\n"


def error_of(data: bytes | str) -> FlowError:
    data = data if isinstance(data, bytes) else data.encode()
    assert looks_like_flow(data)
    with pytest.raises(FlowError) as caught:
        load_flow(data, "x.yaml")
    assert caught.value.location is not None
    assert "x.yaml" == caught.value.location.path
    return caught.value


def place_and_message(error: FlowError) -> str:
    assert error.location is not None
    return f"{error.location.line}:{error.location.column}: {error}"


IN_STEP = {
    # keys
    "assertt: x": "6:7: unknown key assertt in step pay: did you mean assert?",
    "zzz: x": "6:7: unknown key zzz in step pay",
    "action: log": "6:7: the key action stands here and in line 5",
    "config: {a: 1, a: 2}": "6:22: the key a stands here and in line 6",
    "1: x": "6:7: a key must be text, is the number 1",
    "config: {true: x}": "6:16: a key must be text, is true",
    "config: {[a]: x}": "6:16: a key must be text, is a list",
    "config: {!x a: x}": "6:16: the YAML tag !x is not supported",
    "<<: 5": "6:11: << merges mappings, and this is the number 5",
    "<<: [x]": "6:12: << merges mappings, and this is the text 'x'",
    "<<: {acton: x}": "6:12: unknown key acton in step pay: did you mean action?",
    # types
    "name: 5": "6:13: name of step pay must be text, is the number 5",
    "name:": "6:12: name of step pay must be text, is empty",
    "disabled: yes": "6:17: disabled of step pay must be true or false, is the text 'yes'",
    "raw: 1": "6:12: raw of step pay must be true or false, is the number 1",
    "config: []": "6:15: config of step pay must be a mapping, is a list",
    "config:": "6:14: config of step pay must be a mapping, is empty",
    "config: {a: .inf}": "6:19: .inf is a number that JSON does not have",
    "config: {a: -.INF}": "6:19: -.INF is a number that JSON does not have",
    "config: {a: .NaN}": "6:19: .NaN is a number that JSON does not have",
    "config: {a: 1e999}": "6:19: 1e999 is too large for a number",
    f"config: {{a: {'1' * 5000}}}": "6:19: a number of 5000 digits is too long",
    "config: {a: !vault x}": "6:19: the YAML tag !vault is not supported",
    "config: {a: !!python/name:os.system x}": "6:19: the YAML tag !!python/name:os.system is not supported",
    "config: {a: !!str 5}": "6:19: the YAML tag !!str is not supported",
    # tags, time
    "tags: smoke": "6:13: tags of step pay must be a list, is the text 'smoke'",
    "tags: [5]": "6:14: a tag must be text, is the number 5",
    "tags: [a b]": "6:14: 'a b' cannot be a tag: pytest -m could not select it",
    "tags: [_a]": "6:14: '_a' cannot be a tag: pytest -m could not select it",
    "tags: [not]": "6:14: 'not' cannot be a tag: pytest -m could not select it",
    "tags: [skip]": "6:14: the tag skip is the name of a pytest mark",
    "timeout: 5x": "6:16: timeout of step pay: '5x' is not a duration",
    "timeout: [1]": "6:16: timeout of step pay: [1] is not a duration",
    "timeout: 0": "6:16: timeout of step pay must be longer than 0, is the number 0",
    # repeating
    "retry: 0": "6:14: retry of step pay must be a whole number from 1 on, is the number 0",
    "retry: true": "6:14: retry of step pay must be a whole number from 1 on, is true",
    "retry: x": "6:14: retry of step pay must be a whole number from 1 on, is the text 'x'",
    "retry: {delay: x}": "6:22: delay of retry of step pay: 'x' is not a duration",
    "retry: {max_attempts: 2.5}": (
        "6:29: max_attempts of retry of step pay must be a whole number from 1 on, is the number 2.5"
    ),
    "retry: {backoff: linea}": (
        "6:24: backoff of retry of step pay must be constant, linear or exponential, is the text 'linea'"
    ),
    "retry: {attempts: 5}": "6:15: unknown key attempts in retry of step pay: did you mean max_attempts?",
    "retry: 3\n      eventually: 5s": "7:7: step pay has retry and eventually",
    "eventually: 5s\n      on_error: retry": "6:7: step pay has eventually and on_error: retry",
    "eventually: {every: 1s}": "6:7: eventually of step pay lacks within",
    "eventually: {within: 1s, every: 0}": (
        "6:39: every of eventually of step pay must be longer than 0, is the number 0"
    ),
    "eventually: soon": "6:19: eventually of step pay: 'soon' is not a duration",
    # errors
    "on_error: ignore": "6:17: on_error of step pay must be fail, continue or retry, is the text 'ignore'",
    "on_error: [fail]": "6:17: on_error of step pay must be fail, continue or retry, is a list",
    "on_error: {error_steps: []}\n      error_steps: []": "7:7: step pay has error_steps twice",
    "on_error: {error_step: []}": ("6:18: unknown key error_step in on_error of step pay: did you mean error_steps?"),
    "error_steps: x": "6:20: error_steps of step pay must be a list, is the text 'x'",
    "error_steps: [{action: log, id: pay}]": "6:21: step pay stands here and in line 4",
    # outputs
    "output: [a]": "6:15: output of step pay must be a mapping, is a list",
    "output: {in: $.x}": "6:16: an output cannot be called in: a word of the expression language",
    "output: {a-b: $.x}": "6:16: an output cannot be called 'a-b'",
    "output: {pay: $.x}": "6:16: pay is an output here and a step in line 4",
    "output: {x: 5}": "6:19: output x of step pay must be a path or an expression, is the number 5",
    "output: {x: [a]}": "6:19: output x of step pay must be one text, and YAML reads a list",
    "output: {x: {pth: $.x}}": "6:20: unknown key pth in output x of step pay: did you mean path?",
    "output: {x: {default: 1}}": "6:19: output x of step pay lacks its path",
    "output: {x: $.x}\n      save: {y: $.y}": "7:7: step pay has save and output",
    # assertions
    "assert: 5": "6:15: assert of step pay must be an expression, is the number 5",
    "assert:": "6:14: assert of step pay must be an expression, is empty",
    "assert: [true]": "6:16: an entry of assert of step pay must be an expression, is true",
    "assert: [[a]]": "6:16: an entry of assert of step pay must be one text, and YAML reads a list",
    "assert: [{message: a}]": "6:16: an entry of assert of step pay lacks its expression",
    "assert: [{expresion: a}]": (
        "6:17: unknown key expresion in an entry of assert of step pay: did you mean expression?"
    ),
    "assert: [{expression: a, message: 5}]": "6:41: message must be text, is the number 5",
    "assert: !x [a]": "6:15: the YAML tag !x is not supported",
    "when: 5": "6:13: when of step pay must be an expression, is the number 5",
    "when: [a]": "6:13: when of step pay must be one text, and YAML reads a list",
}


@pytest.mark.parametrize(("lines", "message"), IN_STEP.items(), ids=[key[:40] for key in IN_STEP])
def test_a_bad_step(lines: str, message: str) -> None:
    error = error_of(f"{STEP}      {lines}\n")

    assert FlowSchemaError is type(error)
    assert message == place_and_message(error)


IN_FLOW = {
    "cases: x.csv": "4:3: cases is not supported yet",
    "env_file: .env": "4:3: env_file is not supported yet",
    "stepz: []": "4:3: unknown key stepz in flow: did you mean steps?",
    "name: M": "4:3: the key name stands here and in line 2",
    "description: [a]": "4:16: description of flow must be text, is a list",
    "version: [1]": "4:12: version of flow must be text, is a list",
    "timeout: soon": "4:12: timeout of flow: 'soon' is not a duration",
    "config: {timeout: 10m}": "4:12: timeout stands in config of flow",
    "config: {fakr: {}}": "4:12: unknown key fakr in config of flow: did you mean faker?",
    "config: {faker: {seed: x}}": "4:26: seed of faker of config of flow must be a whole number, is the text 'x'",
    "env: [a]": "4:8: env of flow must be a mapping, is a list",
    "env: {a-b: 1}": "4:9: a variable cannot be called 'a-b'",
    "fixtures: !x [a]": "4:13: the YAML tag !x is not supported",
    "fixtures: live": "4:13: fixtures of flow must be a list, is the text 'live'",
    "fixtures: [5]": "4:14: a fixture must be a name, is the number 5",
    "output: x": "4:11: output of flow must be a mapping, is the text 'x'",
    "output: [in]": "4:12: an output cannot be called in: a word of the expression language",
    "tags: {a: b}": "4:9: tags of flow must be a list, is a mapping",
    "marks: x": "4:10: marks of flow must be a list, is the text 'x'",
    "marks: [[x]]": "4:11: a mark must be a name or {name: arguments}, is a list",
    "marks: [5]": "4:11: 5 is not the name of a mark",
    "marks: [a b]": "4:11: 'a b' is not the name of a mark",
    "marks: [{a: 1, b: 2}]": "4:11: a mark must have one name, has 2",
    "marks: [parametrize]": "4:11: parametrize cannot mark a flow: use cases",
    "marks: [skipif]": "4:11: skipif must have a condition and a reason",
    "marks: [{skipif: x}]": "4:12: skipif must have a condition and a reason",
    "marks: [{skipif: {condition: a}}]": "4:12: mark skipif lacks its reason",
    "marks: [{skipif: {reason: a}}]": "4:12: mark skipif lacks its condition",
    "marks: [{xfail: 5}]": "4:19: xfail of marks must be text, is the number 5",
    "marks: [{xfail: {raises: x}}]": "4:20: unknown key raises in mark xfail",
    "setup: {}": "4:10: setup of flow must be a list, is a mapping",
    "setup: [5]": "4:11: step setup_1 must be a mapping, is the number 5",
    "setup: [{}]": "4:11: step setup_1 has no action",
    "setup: [{action: 5}]": "4:20: action of step setup_1 must be text, is the number 5",
    "setup: [{action: ' '}]": "4:20: action of step setup_1 must be the name of an action, is the text ' '",
    "setup: [{action: log, id: Pay}]": "4:25: 'Pay' is not a step id",
    "setup: [{action: log, id: 5}]": "4:29: id of step 5 must be text, is the number 5",
    f"setup: [{{action: log, id: {'a' * 65}}}]": f"4:25: '{'a' * 65}' is not a step id",
    "setup: [{action: log, id: and}]": "4:29: a step id cannot be called and: a word of the expression language",
    "setup: [{action: log, id: step_1}]": "3:11: step step_1 stands here and in line 4",
}


@pytest.mark.parametrize(("lines", "message"), IN_FLOW.items(), ids=[key[:40] for key in IN_FLOW])
def test_a_bad_flow(lines: str, message: str) -> None:
    error = error_of(f"{FLOW}  {lines}\n")

    assert FlowSchemaError is type(error)
    assert message == place_and_message(error)


FILES = {
    "flow:\n  name: N\n": "2:3: the flow has no steps",
    "flow:\n  steps: []\n": "2:3: the flow has no name",
    "flow:\n  name: N\n  steps: []\n": "3:3: steps is empty",
    "flow:\n  name: N\n  steps:\n": "3:9: steps of flow must be a list, is empty",
    "flow:\n  name: N\nsteps: []\n": "3:1: steps stands beside flow, not in it",
    f"{FLOW}other: 1\n": "4:1: unknown key other in the file, beside flow",
    f"{FLOW}flow: 2\n": "4:1: the key flow stands here and in line 1",
    FLOW.replace("N", "a::b"): "2:3: name of flow holds ::",
    FLOW.replace("N", '"a\\nb"'): "2:3: name of flow holds a line break or another control character (U+000A)",
    FLOW.replace("N", '"\\e[1m"'): "2:3: name of flow holds a line break or another control character (U+001B)",
    FLOW.replace("N", "''"): "2:3: name of flow must have 1 to 255 characters, has 0",
    FLOW.replace("N", "x" * 256): "2:3: name of flow must have 1 to 255 characters, has 256",
}


@pytest.mark.parametrize(("text", "message"), FILES.items(), ids=FILES.values())
def test_a_bad_file(text: str, message: str) -> None:
    error = error_of(text)

    assert FlowSchemaError is type(error)
    assert message == place_and_message(error)


def _bomb() -> str:
    levels = "".join(f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    return f"{FLOW}x-bomb:\n  - &a0 [lol]\n{levels}"


def _deep_aliases() -> str:
    half = "[" * 60, "]" * 60
    return f"{FLOW}x-deep:\n  - &a {'x'.join(half)}\n  - {'*a '.join(half)}\n"


NOT_YAML: dict[str, tuple[str | bytes, str]] = {
    "tab": ("flow:\n\tname: N\n", "2:1: not YAML: a tab where only spaces may indent"),
    "tab after a value": (
        "flow:\n  name: N\n\tsteps: []\n",
        "3:1: not YAML: a tab where only spaces may indent",
    ),
    "open list": (
        "flow:\n  name: N\n  steps: [a\n",
        "3:10: not YAML: a list is opened here with [ and lacks a comma or its ]",
    ),
    "open mapping": (
        "flow: {name: N",
        "1:7: not YAML: a mapping is opened here with { and lacks a comma or its }",
    ),
    "open quote": ("flow:\n  name: 'N\n", "2:9: not YAML: a quote is opened here and never closed"),
    "no colon": ("flow:\n  name: N\n  steps\n", "3:3: not YAML: a key without a colon"),
    "indentation": (
        "flow:\n  name: N\n steps: []\n",
        "3:2: not YAML: this does not belong to the mapping around it",
    ),
    "colon in a text": ("flow:\n  name: N: M\n", '2:10: not YAML: ": " in a text without quotes'),
    "anchor twice": ("flow:\n  name: &a 1\n  x: &a 2\n", "3:6: not YAML: the same anchor is defined twice"),
    "control character": ("flow:\n  name: \x01\n", "2:9: the control character U+0001 may not stand in YAML"),
    "bad UTF-8": (b"flow:\n  name: caf\xff\n", "2:12: byte 0xff at position 17 is not UTF-8"),
    "UTF-16": (FLOW.encode("utf-16"), "1:1: the file is UTF-16"),
    "two documents": (f"{FLOW}---\na: 1\n", "5:1: a second document begins here, and a flow file has one"),
    "flow in the second document": (
        f"a: 1\n---\n{FLOW}",
        "3:1: a second document begins here, and a flow file has one",
    ),
    "3 MB": (
        f"{FLOW}#{'x' * 3_000_000}",
        "1:1: the file is larger than 2 MiB, the most that a flow may have",
    ),
    "deep": (f"flow:\n  name: x\n  steps: {'[' * 100_000}", "3:107: nested more than 100 levels deep"),
    "alias bomb": (_bomb(), "10:5: the aliases expand to more than 100,000 nodes"),
    "deep by aliases": (_deep_aliases(), "6:25: nested more than 100 levels deep"),
    "recursive alias": (
        f"{STEP}      config: &a {{b: *a}}\n",
        "6:15: an alias refers to a node that contains it",
    ),
}


@pytest.mark.parametrize(("data", "message"), NOT_YAML.values(), ids=NOT_YAML.keys())
def test_a_file_that_cannot_be_read(data: str | bytes, message: str) -> None:
    error = error_of(data)

    assert FlowSyntaxError is type(error)
    assert message == place_and_message(error)


QUOTES = {
    '- "x" == y': "- '\"x\" == y'",
    "- {{a}} == 1": "- '{{a}} == 1'",
    "- {{a}}": "- '{{a}}'",
    "- !done": "- '!done'",
    "- !done && x": "- '!done && x'",
    "- *foo": "- '*foo'",
    "- @x": "- '@x'",
    "- %x": "- '%x'",
    "- > 5": "- '> 5'",
    "- [1] == x": "- '[1] == x'",
    "- x ? b : c": "- 'x ? b : c'",
    "- a == 'x: y'": "- \"a == 'x: y'\"",
    "- a == 'x: y \"z\"'": "- 'a == ''x: y \"z\"'''",
    "- a == 'b #c'": "- \"a == 'b #c'\"",
    "- len(x[ # ]": "- 'len(x[ # ]'",
}


@pytest.mark.parametrize(("line", "advice"), QUOTES.items(), ids=QUOTES.keys())
def test_a_line_that_lacks_quotes_is_shown_with_them(line: str, advice: str) -> None:
    error = error_of(f"{STEP}      assert:\n        {line}\n")

    assert error.location is not None
    assert 7 == error.location.line
    assert error.hint is not None
    assert error.hint.endswith(f"put the whole line in quotes: {advice}")


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ('when: "x" == y', "when: '\"x\" == y'"),
        ("when: x ? b : c", "when: 'x ? b : c'"),
        ("when: {{a}} == 1", "when: '{{a}} == 1'"),
    ],
)
def test_a_when_that_lacks_quotes_is_shown_with_them(line: str, advice: str) -> None:
    assert f"put the whole line in quotes: {advice}" == error_of(f"{STEP}      {line}\n").hint


@pytest.mark.parametrize(
    ("word", "meant"), [("timeot", "timeout"), ("time_out", "timeout"), ("conection_error", "connection_error")]
)
def test_a_misspelt_cause_is_told(word: str, meant: str) -> None:
    error = error_of(f"{STEP}      retry: {{retry_on: [error, {word}]}}\n")

    assert (f"{word} is no cause of a failure", f"did you mean {meant}?") == (error.message, error.hint)


def test_a_code_of_an_action_is_a_cause() -> None:
    flow = f"{STEP}      retry: {{retry_on: [TIMEOUT, Timeout, TIMED_OUT, connect_error, TARGET_ERROR, Error]}}\n"

    assert load_flow(flow.encode(), "x.yaml") is not None


def test_the_advice_about_quotes_is_good_yaml() -> None:
    for advice in QUOTES.values():
        flow = f"{STEP}      error_steps: []\n      description: {advice.removeprefix('- ')}\n"
        assert load_flow(flow.encode(), "x.yaml") is not None


EXPRESSIONS = {
    "plain": ("assert:\n        - a )\n", 7, 13),
    "single quotes": ("assert:\n        - 'a == ''x'' )'\n", 7, 23),
    "double quotes": ('assert:\n        - "a == \\"\\u0041\\" )"\n', 7, 28),
    "block": ("assert: |\n        a ==\n        b )\n", 8, 11),
    "in a mapping": ("assert: [{message: m, expression: a )}]\n", 6, 43),
    "when": ("when: a )\n", 6, 15),
    "fail_if": ("eventually: {within: 1s, fail_if: [a )]}\n", 6, 44),
    "retry_on": ("retry: {retry_on: [timeout, a )]}\n", 6, 37),
    "plain, anchored": ("assert: &x a )\n", 6, 20),
    "anchored": ("assert: &x 'a )'\n", 6, 21),
}


@pytest.mark.parametrize(("lines", "line", "column"), EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_the_place_of_a_syntax_error_is_in_the_authors_file(lines: str, line: int, column: int) -> None:
    error = error_of(f"{STEP}      {lines}")

    assert isinstance(error, ExpressionSyntaxError)
    assert error.location is not None
    assert (line, column) == (error.location.line, error.location.column)


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        ("when: a ==\n", "in a =="),
        ("when: |\n        a ==\n          b )\n", "in a == b )"),
        (f"when: {'x' * 100} ) {'y' * 100}\n", f"in ...{'x' * 39} ) {'y' * 38}..."),
        ("output: {x: '$.a['}\n", "in $.a["),
        ("config: {x: 'b ${c'}\n", "in b ${c"),
    ],
)
def test_the_first_line_shows_the_text_that_does_not_parse(lines: str, shown: str) -> None:
    assert str(error_of(f"{STEP}      {lines}")).endswith(shown)


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ("config:\n        a: ok\n        b: [x, {c: 'y ${z'}]\n", 8),
        ("config:\n        a: |\n          one\n          two ${x\n", 9),
        ("output:\n        ok: $.a\n        bad: $.a[\n", 8),
        ("output:\n        bad: {path: '$.a[', default: 1}\n", 7),
    ],
)
def test_templates_and_extractions_are_checked_at_collection(lines: str, line: int) -> None:
    error = error_of(f"{STEP}      {lines}")

    assert isinstance(error, ExpressionSyntaxError)
    assert error.location is not None
    assert line == error.location.line


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("name: 5", "put it in quotes"),
        ("tags: [xfail]", "write marks: [xfail]"),
        ("on_error: continu", "did you mean continue?"),
        ("zzz: 1", "possible here: id, name, "),
        ("within: 5s", "what the action itself takes goes under config"),
        ("output: {or: $.x}", "try or_value"),
        ("assert: 5", 'write it in quotes: "status == 200"'),
        ("output: {x: 5}", 'write it in quotes: "$.body.id"'),
        ("save: {}\n      output: {}", "they mean the same: keep output"),
        ('description: "\\d"', "double each backslash"),
    ],
)
def test_hints(line: str, hint: str) -> None:
    assert (error_of(f"{STEP}      {line}\n").hint or "").startswith(hint)
