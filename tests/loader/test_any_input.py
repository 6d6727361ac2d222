"""Whatever bytes a file holds, the loader returns a flow, None, or raises a `FlowError` with a place."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pytest_testmesh.errors import FlowError
from pytest_testmesh.loader import excerpt, load_flow, looks_like_flow

FLOW = """\
x-base: &base {level: info}
flow:
  name: Shop
  version: 1.0
  tags: [smoke, critical]
  marks: [slow, {xfail: "bug 12"}, {skipif: {condition: "CI == true", reason: r}}]
  env: {API_URL: "${API_BASE_URL:http://localhost:8080}", N: 5}
  fixtures: [live_server]
  timeout: 2m
  config: {faker: {seed: 12345, locale: en_US}}
  setup:
    - action: delay
      config: {duration: 1s}
  steps:
    - id: create-user
      action: http_request
      config:
        <<: *base
        url: "{{API_URL}}/users/${UUID}"
        body: {name: 'it''s', items: [1, 2.5, null, true, ~]}
      output: {user_id: "$.body.id", maybe: {path: $.x, default: null}}
      assert:
        - status == 201
        - {expression: "body.id exists", message: "an id is returned"}
      assert_any: ["a in [1, 2]", b > 2]
      retry: {max_attempts: 3, delay: 1s, backoff: exponential, retry_on: ["status >= 500", timeout]}
      on_error: {action: continue, error_steps: [{action: log}]}
    - action: log
      when: "${create-user.status} == 201"
      eventually: {within: 30s, every: 500ms, fail_if: ["body.state == 'FAILED'"]}
      config:
        message: |
          two
          lines ${user_id}
  teardown:
    - {id: clean, action: log, timeout: 10s, disabled: false, raw: true}
  output: {user: "${user_id}"}
"""
PIECES = [
    *("", " ", "  ", "\n", "\t", ":", ": ", "- ", "[", "]", "{", "}", "'", '"', "#", " #", "|", ">", "&base ", "*base"),
    *(
        "!x ",
        "!!binary ",
        "<<: ",
        "~",
        "null",
        "5",
        "1e999",
        ".inf",
        "true",
        "${",
        "}}",
        "{{",
        "$",
        "@",
        "`",
        "%",
        "\\",
    ),
    *("\x00", "\x85", "\u2028", "\ufeff", "---\n", "...\n", "? ", "é", "\U0001f600", "::", "-1", "0x", "flow:\n"),
]


def load_anything(data: bytes) -> None:
    error = error_of(data)
    if error is not None:
        assert error.location is not None
        assert error.location.line >= 1
        assert error.location.column >= 1
        assert str(error)
        excerpt(data, error.location.line)


def error_of(data: bytes) -> FlowError | None:
    try:
        load_flow(data, "x.yaml")
    except FlowError as exc:
        return exc
    return None


def test_the_text_that_is_mutated_is_a_flow() -> None:
    assert load_flow(FLOW.encode(), "x.yaml") is not None


@given(st.binary(max_size=200))
@example(b"flow:\n  name: &a [*a]")
def test_any_bytes(data: bytes) -> None:
    looks_like_flow(data)
    load_anything(data)
    load_anything(b"flow:\n  name: x\n  steps:\n    - " + data)


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    load_anything(b"flow:\n  name: " + data)
    load_anything(b"flow:\n  name: x\n  steps:\n    - action: log\n      assert:\n        - " + data)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(FLOW)), st.integers(0, 12), st.sampled_from(PIECES)), min_size=1, max_size=4)
)
def test_a_flow_with_pieces_replaced(changes: list[tuple[int, int, str]]) -> None:
    text = FLOW
    for start, length, piece in changes:
        text = text[:start] + piece + text[start + length :]
    load_anything(text.encode("utf-8", "surrogatepass"))


@settings(deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_flow_with_lines_moved(rng: random.Random) -> None:
    lines = FLOW.splitlines(keepends=True)
    for _ in range(rng.randint(1, 4)):
        line = lines.pop(rng.randrange(len(lines)))
        lines.insert(rng.randrange(len(lines) + 1), " " * rng.choice((0, 0, 1, 2, 4)) + line)
    load_anything("".join(lines).encode())


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "{{", "a:\n" + " ", "&a [", "!x ["])
def test_deep_nesting_ends_in_an_error_not_in_a_crash(opening: str) -> None:
    load_anything(b"flow:\n  name: x\n  steps: " + opening.encode() * 100_000)


def test_a_thousand_nested_error_steps_end_in_an_error() -> None:
    step = "{action: log, error_steps: ["
    with pytest.raises(FlowError):
        load_flow(f"flow:\n  name: x\n  steps: [{step * 1000}{']}' * 1000}]".encode(), "x.yaml")
