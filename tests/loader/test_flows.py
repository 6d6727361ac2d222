"""What the loader makes of good flow files: every key, every way to write it, and where it stands."""

from __future__ import annotations

import textwrap

import pytest

from pytest_testmesh.loader import load_flow
from pytest_testmesh.model import Flow, Step

ONE_STEP = "steps: [{action: log}]"


def load(text: str) -> Flow:
    flow = load_flow(textwrap.dedent(text).encode(), "flows/x.yaml")
    assert flow is not None
    return flow


def load_keys(lines: str) -> Flow:
    """Load a flow with more keys of ``flow``."""
    return load(f"flow:\n  name: N\n  {ONE_STEP}\n{textwrap.indent(textwrap.dedent(lines), '  ')}\n")


def load_step(lines: str) -> Step:
    """Load one step with more keys; it begins in line 4, its keys in line 6."""
    head = "flow:\n  name: N\n  steps:\n    - id: pay\n      action: log\n"
    return load(head + textwrap.indent(textwrap.dedent(lines), "      ") + "\n").steps[0]


def test_the_pages_own_flow_loads() -> None:
    flow = load(
        """\
        flow:
          name: "Product Price Check"

          steps:
            - id: greet
              action: my-plugin.hello
              config:
                name: "TestMesh"
              output:
                message: "$.greeting"

            - id: log_greeting
              action: log
              config:
                message: "Got greeting: ${greet.message}"
        """
    )

    assert "Product Price Check" == flow.name
    assert ["greet", "log_greeting"] == [step.id for step in flow.steps]
    assert ["my-plugin.hello", "log"] == [step.action for step in flow.steps]
    assert ["message"] == [output.name for output in flow.steps[0].outputs]


def test_texts_of_a_flow() -> None:
    flow = load_keys("description: D\nversion: 1.10\nauthor: a@b.c\nsuite: catalog\ntimeout: 2m")

    assert ("D", "1.10", "a@b.c", "catalog") == (flow.description, flow.version, flow.author, flow.suite)
    assert 120.0 == flow.timeout_s


def test_what_a_flow_leaves_out_is_empty() -> None:
    flow = load(f"flow:\n  name: N\n  {ONE_STEP}\n")

    assert (None, None, None) == (flow.description, flow.version, flow.timeout_s)
    assert ((), (), (), (), ()) == (flow.tags, flow.marks, flow.env, flow.setup, flow.output)
    assert {} == flow.faker


def test_what_a_step_leaves_out_has_its_default() -> None:
    step = load(f"flow:\n  name: N\n  {ONE_STEP}\n").steps[0]

    assert ("step_1", "fail") == (step.id, step.on_error)
    assert ((), (), (), ()) == (step.outputs, step.asserts, step.tags, step.error_steps)
    assert (None, None, None, None) == (step.when, step.retry, step.eventually, step.timeout_s)


def test_steps_without_an_id_are_numbered_in_their_phase() -> None:
    flow = load_keys(
        """\
        setup: [{action: log}, {action: log}]
        teardown: [{action: log, error_steps: [{action: log}, {action: log}]}]
        """
    )

    assert ["setup_1", "setup_2", "step_1", "teardown_1", "teardown_1_error_1", "teardown_1_error_2"] == [
        step.id for step in flow.all_steps()
    ]


def test_faker_settings() -> None:
    assert {"seed": 12345, "locale": "en_US"} == load_keys("config: {faker: {seed: 12345, locale: en_US}}").faker


def test_env_keeps_the_order_of_the_file() -> None:
    flow = load_keys("env:\n  B: x\n  A: ${B}\n  PORT: 80\n  LIST: [1, 2]")

    assert [("B", 5), ("A", 6), ("PORT", 7), ("LIST", 8)] == [(entry.name, entry.location.line) for entry in flow.env]


@pytest.mark.parametrize("written", ["[token, user]", "{token: '${a.token}', user: '${a.user}'}"])
def test_output_of_a_flow_is_a_list_of_names_or_a_mapping(written: str) -> None:
    assert ["token", "user"] == [output.name for output in load_keys(f"output: {written}").output]


def test_tags_and_fixtures() -> None:
    flow = load_keys("tags: [smoke, v1.2, weekly_cap, a-b]\nfixtures: [live_server]")

    assert ("smoke", "v1.2", "weekly_cap", "a-b") == flow.tags
    assert ["live_server"] == [name for name, _ in flow.fixtures]


@pytest.mark.parametrize(
    ("written", "name", "args", "kwargs"),
    [
        ("slow", "slow", (), {}),
        ("{slow: }", "slow", (), {}),
        ("{timeout: 30}", "timeout", (30,), {}),
        ("{flaky: {reruns: 2}}", "flaky", (), {"reruns": 2}),
        ("{two: [1, x]}", "two", (1, "x"), {}),
        ("skip", "skip", (), {}),
        ('{skip: "not now"}', "skip", (), {"reason": "not now"}),
        ("{skip: {reason: later}}", "skip", (), {"reason": "later"}),
        ("xfail", "xfail", (), {}),
        ('{xfail: "bug 12"}', "xfail", (), {"reason": "bug 12"}),
        ("{xfail: {reason: r, strict: true, run: false}}", "xfail", (), {"reason": "r", "strict": True, "run": False}),
    ],
)
def test_marks(written: str, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    [mark] = load_keys(f"marks: [{written}]").marks

    assert (name, args, kwargs, None) == (mark.name, mark.args, dict(mark.kwargs), mark.condition)


@pytest.mark.parametrize(
    "written",
    [
        '{skipif: {condition: "CI == true", reason: r}}',
        "{skipif: {condition: true, reason: r}}",
        '{xfail: {condition: "CI == true", reason: r}}',
    ],
)
def test_a_condition_never_reaches_pytest_as_text(written: str) -> None:
    [mark] = load_keys(f"marks: [{written}]").marks

    assert mark.condition is not None
    assert ((), {"reason": "r"}) == (mark.args, dict(mark.kwargs))


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        ("assert: status == 200", [6]),
        ("assert:\n  - status == 200\n  - body.id exists", [7, 8]),
        ('assert: ["a == 1", {expression: "b == 2", message: why}]', [6, 6]),
        ("assert:\n  - message: why\n    expression: b == 2", [8]),
        ("assert: []", []),
    ],
)
def test_assertions_are_a_text_a_list_or_mappings(written: str, lines: list[int]) -> None:
    assert lines == [entry.location.line for entry in load_step(written).asserts]


def test_an_assertion_may_say_why() -> None:
    [assertion] = load_step('assert: [{expression: "body.id exists", message: an id is returned}]').asserts

    assert "an id is returned" == assertion.message


def test_each_kind_of_assertion_has_its_own_list() -> None:
    step = load_step("assert: [a, b]\nassert_any: [c]\nassert_none: [d, e, f]")

    assert (2, 1, 3) == (len(step.asserts), len(step.assert_any), len(step.assert_none))


@pytest.mark.parametrize("key", ["output", "save"])
def test_save_is_output(key: str) -> None:
    step = load_step(f"{key}:\n  user_id: $.body.id\n  maybe: {{path: $.x, default: null}}")

    assert [("user_id", 7), ("maybe", 8)] == [(output.name, output.location.line) for output in step.outputs]


def test_two_steps_may_have_an_output_of_one_name() -> None:
    flow = load_keys("setup:\n  - {action: log, output: {x: $.a}}\n  - {action: log, output: {x: $.b}}")

    assert ["x", "x"] == [output.name for step in flow.setup for output in step.outputs]


@pytest.mark.parametrize(("written", "value"), [("default: null", None), ("default: [1]", [1])])
def test_an_output_may_have_a_default(written: str, value: object) -> None:
    [output] = load_step(f"output: {{x: {{path: $.x, {written}}}}}").outputs

    assert value == output.extraction.extract({}, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("written", ["'${create.status} == 201'", "status == 201", "true", "false"])
def test_when_is_a_text_or_a_boolean(written: str) -> None:
    when = load_step(f"when: {written}").when

    assert when is not None
    assert (6, 13) == (when.location.line, when.location.column)


@pytest.mark.parametrize("written", ["retry: 5", "retry: {max_attempts: 5}"])
def test_retry_is_a_number_or_a_mapping(written: str) -> None:
    retry = load_step(written).retry

    assert retry is not None
    assert (5, 1.0, "constant", None) == (retry.max_attempts, retry.delay_s, retry.backoff, retry.max_delay_s)


def test_retry_tells_causes_from_expressions() -> None:
    retry = load_step(
        """\
        retry:
          max_attempts: 4
          delay: 500ms
          backoff: exponential
          max_delay: 30s
          retry_on: [status >= 500, timeout, connection_error, RATE_LIMITED]
          retry_on_not: status == 401
        """
    ).retry

    assert retry is not None
    assert (4, 0.5, "exponential", 30.0) == (retry.max_attempts, retry.delay_s, retry.backoff, retry.max_delay_s)
    assert {"timeout", "connection_error", "rate_limited"} == retry.retry_on_causes
    assert (1, 1, frozenset()) == (len(retry.retry_on), len(retry.retry_on_not), retry.retry_on_not_causes)


@pytest.mark.parametrize(
    ("written", "within_s", "every_s", "fail_if"),
    [
        ("30s", 30.0, 0.5, 0),
        ("30", 30.0, 0.5, 0),
        ("{within: 1m, every: 100ms}", 60.0, 0.1, 0),
        ("{within: 1m, fail_if: [\"body.state == 'FAILED'\"]}", 60.0, 0.5, 1),
    ],
)
def test_eventually_is_a_duration_or_a_mapping(written: str, within_s: float, every_s: float, fail_if: int) -> None:
    eventually = load_step(f"eventually: {written}").eventually

    assert eventually is not None
    assert (within_s, every_s, fail_if) == (eventually.within_s, eventually.every_s, len(eventually.fail_if))


@pytest.mark.parametrize(
    ("written", "on_error", "ids"),
    [
        ("on_error: continue", "continue", []),
        ('on_error: "retry"', "retry", []),
        ("error_steps: [{action: log}]", "fail", ["pay_error_1"]),
        ("on_error: continue\nerror_steps: [{action: log, id: tell}]", "continue", ["tell"]),
        ("on_error: {action: continue, error_steps: [{action: log}]}", "continue", ["pay_error_1"]),
        ("on_error: {error_steps: [{action: log}]}", "fail", ["pay_error_1"]),
    ],
)
def test_on_error_and_error_steps(written: str, on_error: str, ids: list[str]) -> None:
    step = load_step(written)

    assert (on_error, ids) == (step.on_error, [error_step.id for error_step in step.error_steps])


def test_other_keys_of_a_step() -> None:
    step = load_step("name: Pay\ndescription: D\ndisabled: true\nraw: true\ntags: [slow]\ntimeout: 1m30s")

    assert ("pay", "Pay", "D") == (step.id, step.name, step.description)
    assert (True, True, ("slow",), 90.0) == (step.disabled, step.raw, step.tags, step.timeout_s)


def test_raw_config_is_not_a_template() -> None:
    assert load_step("raw: true\nconfig: {query: '${never closed'}").raw


def test_a_step_id_with_a_hyphen_is_one_name_in_every_expression_of_the_flow() -> None:
    flow = load(
        """\
        flow:
          name: N
          steps:
            - {id: create-1st, action: log, assert: ["create-1st.id exists"]}
            - action: log
              when: ${create-1st.id} == 1 && ${tell-2nd.x} == 2
              config: {m: "${create-1st.id}"}
              output: {x: create-1st.id}
              on_error: {error_steps: [{id: tell-2nd, action: log}]}
        """
    )

    assert ["create-1st", "step_2", "tell-2nd"] == [step.id for step in flow.all_steps()]


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ((), 6, 1 + 6),
        (("url",), 7, 1 + 8 + len("url: ")),
        (("headers",), 8, 1 + 8),
        (("headers", "Accept"), 9, 1 + 10 + len("Accept: ")),
        (("headers", "absent"), 8, 1 + 8),
        (("items", 1, "n"), 10, len("        items: [1, {n: ") + 1),
        (("absent", 3), 6, 1 + 6),
    ],
)
def test_parts_of_a_config_are_found_in_the_file(path: tuple[str | int, ...], line: int, column: int) -> None:
    step = load_step("config:\n  url: /a\n  headers:\n    Accept: x\n  items: [1, {n: 2}]")

    location = step.config_lines.at(path)

    if path and path[0] != "absent":
        assert ("flows/x.yaml", line, column) == (location.path, location.line, location.column)
    else:
        assert line <= location.line <= line + 1


def test_positions_of_a_step() -> None:
    step = load_step("")

    assert ("flows/x.yaml", 4, 7) == (step.location.path, step.location.line, step.location.column)
    assert (5, 15) == (step.action_location.line, step.action_location.column)


def test_anchors_and_merge_keys() -> None:
    flow = load(
        """\
        x-defaults: &defaults
          action: log
          config: &config {level: info}
        flow:
          name: N
          steps:
            - {<<: *defaults, id: a}
            - {<<: [{timeout: 1s}, *defaults], timeout: 2s}
            - action: log
              config: {<<: *config, message: x}
        """
    )

    assert ["log", "log", "log"] == [step.action for step in flow.steps]
    assert 2.0 == flow.steps[1].timeout_s


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfflow:\n  name: N\n  steps: [{action: log}]\n",
        b"# flow\r\nflow:\r\n  name: N\r\n  steps:\r\n  - action: log\r\n",
        b"---\nflow:\n  name: N\n  steps: [{action: log}]\n...\n",
        b"%YAML 1.2\n---\nflow: {name: N, steps: [{action: log}]}\n",
        b'"flow":\n  "name": N\n  "steps": [{"action": "log"}]\n',
        b"flow:\n  <<: {name: N, steps: [{action: log}]}\n",
        b"x-anchors: 1\nflow:\n  name: N\n  steps: [{action: log}]\n",
    ],
    ids=["bom", "crlf", "markers", "directive", "json", "merge", "x-key"],
)
def test_ways_to_write_a_file(data: bytes) -> None:
    flow = load_flow(data, "x.yaml")

    assert flow is not None
    assert ("N", "log") == (flow.name, flow.steps[0].action)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"flow:\n",
        b"flow: 5\n",
        b"flow: text\n",
        b"flow: [a]\n",
        b"flow:\n  nodes: []\n",
        b"- flow:\n    name: x\n",
        b"other: {flow: {name: x}}\n",
        b"kind: a\n---\nflow:\n  nodes: []\n",
        b"flow:\n  when: !cron '* * * * *'\n",
        b"flow:\n  x: {{ template }} y\n",
        b"flow:\n  x: \xff\n",
        b"flow:\n- name: x: y\n",
        b"flow:\nname: x\n\tsteps: y\n",
        b"flow:\n  x: [" + b"#" * 3_000_000,
    ],
)
def test_yaml_of_other_tools_is_left_alone(data: bytes) -> None:
    assert load_flow(data, "x.yaml") is None
