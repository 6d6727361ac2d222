"""``otel.*`` without a server: trace headers, ids, OTLP JSON in its dialects, order and text of trees, configs."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations.otel import check_assert, otel_inject
from pytest_testmesh.integrations.otel.ids import asked_trace_id, wire_id
from pytest_testmesh.integrations.otel.question import ByOperation, ByQuery
from pytest_testmesh.integrations.otel.spans import Span, read_attributes, read_spans
from pytest_testmesh.integrations.otel.tempo import traceql
from pytest_testmesh.integrations.otel.trees import in_order, tree, trees
from pytest_testmesh.scope import Scope

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def context(traceparent: str | None = None) -> ActionContext:
    scope = Scope(builtins=BuiltinValues({}), environ={})
    return ActionContext(flow_id="f", execution_id="e", step_id="s", scope=scope, traceparent=traceparent)


def span(span_id: str, parent: str = "", start_ns: int = 0, **more: Any) -> Span:
    given = {"service": "shop", "operation": span_id, "kind": "server", "end_ns": start_ns, **more}
    return Span(trace_id=TRACE_ID, span_id=span_id, parent_span_id=parent, start_ns=start_ns, **given)


def test_headers_are_as_w3c_wants_them() -> None:
    result = otel_inject({}, context())

    assert f"00-{result['trace_id']}-{result['span_id']}-01" == result["traceparent"]
    assert re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01", result["traceparent"])
    assert re.fullmatch(r"[a-z][a-z0-9_*/-]{0,255}=[\x21-\x2b\x2d-\x3c\x3e-\x7e]{1,256}", result["tracestate"])


def test_headers_are_others_at_each_call() -> None:
    made = [otel_inject({"service_name": "a", "span_name": "b"}, context()) for _ in range(100)]

    assert 100 == len({each["trace_id"] for each in made}) == len({each["span_id"] for each in made})


def test_headers_continue_the_trace_of_the_run() -> None:
    result = otel_inject({}, context(f"00-{TRACE_ID}-00f067aa0ba902b7-01"))

    assert TRACE_ID == result["trace_id"]
    assert "00f067aa0ba902b7" == result["span_id"]
    assert f"00-{TRACE_ID}-00f067aa0ba902b7-01" == result["traceparent"]


@pytest.mark.parametrize(
    ("wire", "digits", "expected"),
    [
        pytest.param("S/kvNXezTaajzpKdDg5HNg==", 32, TRACE_ID, id="base64"),
        pytest.param("AAAAAAAACrw=", 16, "0000000000000abc", id="base64-zeros"),
        pytest.param("af7651916cd43dd8448eb211c80319c", 32, "0af7651916cd43dd8448eb211c80319c", id="31-digits"),
        pytest.param("4BF92F3577B34DA6A3CE929D0E0E4736", 32, TRACE_ID, id="upper-case"),
        pytest.param("", 16, "", id="none"),
        pytest.param(None, 16, "", id="null"),
        pytest.param("0000000000000000", 16, "", id="zeros"),
        pytest.param("AAAAAAAAAAA=", 16, "", id="base64-of-zeros"),
    ],
)
def test_ids_become_whole_hex(wire: str | None, digits: int, expected: str) -> None:
    assert expected == wire_id(wire, digits)


@pytest.mark.parametrize("written", ["xyz", "", "0" * 32, "a" * 33, "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"])
def test_what_is_no_trace_id_is_refused(written: str) -> None:
    with pytest.raises(ActionConfigError, match=r"^config\.trace_id: "):
        asked_trace_id(written, "config.trace_id")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"stringValue": "00123"}, "00123", id="text"),
        pytest.param({"stringValue": ""}, "", id="empty-text"),
        pytest.param({"intValue": "9007199254740993"}, 9007199254740993, id="int64"),
        pytest.param({"intValue": 5}, 5, id="int"),
        pytest.param({"doubleValue": 29.95}, 29.95, id="double"),
        pytest.param({"doubleValue": "NaN"}, "NaN", id="nan"),
        pytest.param({"doubleValue": "-Infinity"}, "-Infinity", id="infinity"),
        pytest.param({"boolValue": False}, False, id="bool"),
        pytest.param({"bytesValue": "aGk="}, "hi", id="bytes-that-are-text"),
        pytest.param({"bytesValue": "/wA="}, "/wA=", id="bytes"),
        pytest.param({"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "b"}]}}, [1, "b"], id="array"),
        pytest.param({"arrayValue": {}}, [], id="empty-array"),
        pytest.param({"kvlistValue": {"values": [{"key": "x", "value": {"intValue": "5"}}]}}, {"x": 5}, id="kvlist"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_attributes_keep_their_types(value: Any, expected: Any) -> None:
    found = read_attributes([{"key": "it", "value": value}])["it"]

    assert expected == found
    assert type(expected) is type(found)


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        pytest.param(2, {"code": 2, "message": "no"}, ("server", "error", "no"), id="numbers"),
        pytest.param("SPAN_KIND_CLIENT", {"code": "STATUS_CODE_OK"}, ("client", "ok", ""), id="names"),
        pytest.param(None, {}, ("unspecified", "unset", ""), id="nothing"),
        pytest.param("SPAN_KIND_CONSUMER", {"code": "STATUS_CODE_UNSET"}, ("consumer", "unset", ""), id="unset"),
        pytest.param(5, None, ("consumer", "unset", ""), id="no-status"),
    ],
)
def test_kind_and_status_have_one_form(kind: Any, status: Any, expected: tuple[str, str, str]) -> None:
    (found,) = read_spans([{"scopeSpans": [{"spans": [{"kind": kind, "status": status}]}]}])

    assert expected == (found.kind, found.status, found.status_message)


def test_times_lose_nothing_that_backends_keep() -> None:
    one = {"startTimeUnixNano": "1795364936862344419", "endTimeUnixNano": "1795364936862345919"}
    (found,) = read_spans([{"scopeSpans": [{"spans": [one]}]}])

    assert "2026-11-22T16:28:56.862344Z" == found.result()["start"]
    assert 0.0015 == found.result()["duration_ms"]


def test_parents_come_before_children_and_siblings_by_start() -> None:
    spans = [span("d", "b", 5), span("c", "a", 9), span("b", "a", 4), span("a", "", 7), span("b", "a", 4)]

    assert [(0, "a"), (1, "b"), (2, "d"), (1, "c")] == [(depth, each.span_id) for depth, each in in_order(spans)]


def test_a_span_whose_parent_is_not_there_yet_is_a_root() -> None:
    spans = [span("late", "missing", 1), span("a", "", 2)]

    assert [(0, "a"), (0, "late")] == [(depth, each.span_id) for depth, each in in_order(spans)]


def test_spans_that_are_each_others_parents_are_all_there() -> None:
    assert ["a", "b"] == sorted(each.span_id for _, each in in_order([span("a", "b"), span("b", "a")]))


def test_a_deep_trace_needs_no_stack() -> None:
    chain = [span(f"{number:016x}", f"{number - 1:016x}" if number else "") for number in range(5000)]

    assert 4999 == in_order(chain)[-1][0]


def test_a_tree_shows_durations_and_errors() -> None:
    failed = span("pay", "a", 1, status="error", status_message="card declined", end_ns=90_000_001, service="bank")
    text = tree([span("a", end_ns=182_500_000), failed])

    assert "shop a 182.5 ms\n  bank pay 90 ms error: card declined" == text


def test_trees_are_bounded() -> None:
    many = [[span(f"{trace}{number}") for number in range(30)] for trace in range(5)]

    assert 22 >= len(trees(many).splitlines())
    assert "... and 10 more" == tree(many[0]).splitlines()[-1]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (ByOperation("shop"), '{resource.service.name="shop"}'),
        (ByOperation("shop", "GET /a"), '{resource.service.name="shop" && name="GET /a"}'),
        (ByOperation('a"b\\', "c\n"), '{resource.service.name="a\\"b\\\\" && name="c\\n"}'),
        (ByQuery("{status=error}"), "{status=error}"),
    ],
    ids=["service", "operation", "quoted", "query"],
)
def test_questions_in_traceql(question: Any, expected: str) -> None:
    assert expected == traceql(question)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"min_spans": 1}, "config does not say which trace"),
        ({"trace_id": "a", "service": "b"}, "config has both `trace_id` and `service`"),
        ({"trace_id": "a", "operation": "b"}, "config has `operation` without `service`"),
        ({"query": " "}, "config.query is empty"),
        ({"trace_id": "a", "backend_url": "tempo:3200"}, 'url "tempo:3200" has no scheme'),
        ({"service": "a", "start": "soon"}, "config.start: 'soon' is not a time"),
        ({"trace_id": "a", "assert": ["count =="]}, r"config.assert\[0\]: "),
        ({"assert": ["count =="]}, r"config.assert\[0\]: "),
    ],
    ids=["nothing", "two", "operation", "empty", "url", "start", "expression", "expression-beside-placeholders"],
)
def test_wrong_configs_are_found_at_collection(config: Any, message: str) -> None:
    with pytest.raises(ActionConfigError, match=message):
        check_assert(config)
