"""``loki.*`` where a Loki of another version, a starting or a guarded one answers, and configs that are wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_testmesh.errors import ActionConfigError, StepAssertionError, TargetError
from pytest_testmesh.integrations.http.client import HttpClient
from pytest_testmesh.integrations.loki import RESULT, check_query, loki_assert, loki_query
from pytest_testmesh.integrations.loki.logql import is_log_query, selector
from pytest_testmesh.integrations.loki.trace_lines import lines_of_trace
from pytest_testmesh.polling import Deadline

NS = 1_795_395_292_154_275_448


def streams(*values: list[Any], labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "status": "success",
        "data": {"resultType": "streams", "result": [{"stream": labels or {"app": "shop"}, "values": list(values)}]},
    }


@pytest.fixture
def query(api: Any, steps: Any) -> Callable[..., Any]:
    """``query('{app="shop"}')`` runs one ``loki.query`` against the scripted API."""
    return lambda query='{app="shop"}', **config: loki_query(
        {"url": api.url, "query": query, **config}, steps.context()
    )


@pytest.fixture
def wait(api: Any, steps: Any) -> Callable[..., Any]:
    """``wait(within=...)`` runs one ``loki.assert`` against the scripted API."""
    return lambda query='{app="shop"}', **config: loki_assert(
        {"url": api.url, "query": query, **config}, steps.context()
    )


def test_a_line_of_loki_2_has_its_labels(query: Callable[..., Any], api: Any) -> None:
    api.answer(streams([str(NS), "hello"], labels={"app": "shop", "trace_id": "t1"}))

    expected = {"timestamp": "2026-11-23T00:54:52.154275448Z", "line": "hello", "structured_metadata": {}}
    assert [{**expected, "labels": {"app": "shop", "trace_id": "t1"}}] == query()["entries"]


def test_a_line_of_loki_3_tells_its_structured_metadata(query: Callable[..., Any], api: Any) -> None:
    api.answer(streams([str(NS), "hello", {"structuredMetadata": {"trace_id": "t1"}, "parsed": {"level": "info"}}]))
    entry = query()["entries"][0]

    assert "categorize-labels" == api.asked[0].headers["x-loki-response-encoding-flags"]
    assert {"app": "shop", "trace_id": "t1", "level": "info"} == entry["labels"]
    assert {"trace_id": "t1"} == entry["structured_metadata"]


@pytest.mark.parametrize(("direction", "lines"), [("backward", ["c", "b", "a"]), ("forward", ["a", "b", "c"])])
def test_lines_of_several_streams_come_in_one_order(
    query: Callable[..., Any], api: Any, direction: str, lines: list[str]
) -> None:
    answer = streams([str(NS + 1), "b"])
    answer["data"]["result"] += streams([str(NS + 2), "c"], [str(NS), "a"])["data"]["result"]
    api.answer(answer)

    assert lines == query(direction=direction)["lines"]


def test_a_result_always_has_the_same_keys(query: Callable[..., Any], api: Any) -> None:
    api.answer({"status": "success", "data": {"resultType": "streams", "result": []}})
    api.answer({"status": "success", "data": {"resultType": "scalar", "result": [1795395292930, "2"]}})

    assert RESULT.keys() == query().keys()
    metric = query("1 + 1")
    assert RESULT.keys() == metric.keys()
    assert (2, 1, [], "2026-11-23T00:54:52.930Z") == (
        metric["value"], metric["count"], metric["lines"], metric["series"][0]["timestamp"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("config", "path", "params"),
    [
        pytest.param({"start": 5, "end": 6, "limit": 7, "direction": "forward"}, "query_range",
            {"start": ["5000000000"], "end": ["6000000000"], "limit": ["7"], "direction": ["forward"]}, id="lines"),
        pytest.param({"query": "sum(x)", "time": 5}, "query", {"time": ["5000000000"]}, id="one time"),
        pytest.param({"query": "sum(x)", "start": 5, "end": 6, "step": "500ms"}, "query_range",
            {"start": ["5000000000"], "end": ["6000000000"], "step": ["0.5"]}, id="range"),
    ],
)  # fmt: skip
def test_a_question_is_asked_exactly(
    query: Callable[..., Any], api: Any, config: dict[str, Any], path: str, params: dict[str, list[str]]
) -> None:
    api.answer(streams())
    query(**config)

    assert f"/loki/api/v1/{path}" == api.asked[0].path
    assert params.items() <= api.asked[0].params.items()


def test_a_range_begins_where_it_began_while_a_step_waits(wait: Callable[..., Any], api: Any) -> None:
    api.answer(streams())
    api.answer(streams())
    api.answer(streams([str(NS), "hello"]))
    wait(within="60s")
    starts, ends = ([each.params[key][0] for each in api.asked] for key in ("start", "end"))

    assert 3 == len(ends) == len(set(ends))
    assert 1 == len(set(starts))
    assert 300e9 <= int(ends[0]) - int(starts[0]) < 400e9


@pytest.mark.parametrize("words", ["empty ring", "too many unhealthy instances in the ring"])
def test_a_loki_that_starts_is_waited_for(wait: Callable[..., Any], api: Any, words: str) -> None:
    api.answer(words, 500)
    api.answer(streams([str(NS), "hello"]))

    assert ["hello"] == wait(within="60s")["lines"]


def test_a_loki_that_never_gets_ready_is_told(wait: Callable[..., Any], api: Any) -> None:
    api.answer("empty ring", 500)
    with pytest.raises(TargetError, match=r"query_range: Loki is not ready: empty ring$") as caught:
        wait(within="100ms")

    assert "NOT_READY" == caught.value.code
    assert re.search(r"looks?; it says so for a moment after its start", str(caught.value.hint))


def test_a_query_does_not_wait_for_a_loki_that_starts(query: Callable[..., Any], api: Any) -> None:
    api.answer("empty ring", 500)
    with pytest.raises(TargetError, match="Loki is not ready"):
        query()

    assert 1 == len(api.asked)


@pytest.mark.parametrize(
    ("status", "words", "code", "hint"),
    [
        (401, "no org id", "AUTHENTICATION_FAILED", "name it: `tenant: my-team`"),
        (403, "forbidden", "PERMISSION_DENIED", "no credentials were sent"),
        (429, "Maximum active stream limit exceeded", "RATE_LIMITED", "give it time"),
        (400, "parse error at line 1, col 10: syntax error", "BAD_QUERY", 'such as {app="shop"} |='),
        (400, "max entries limit per query exceeded, limit > max", "BAD_QUERY", "a smaller `limit`"),
        (400, "the query time range exceeds the limit (query length: 9d)", "TOO_MUCH", "narrow it"),
        (500, "maximum of series (500) reached for a single query", "TOO_MUCH", "narrow it"),
        (504, "context deadline exceeded", "QUERY_TIMEOUT", "narrow it"),
        (400, "end timestamp must not be before or equal to start time", "BAD_QUERY", "`start` must be before"),
        (502, "<html>", "SERVICE_UNAVAILABLE", "the proxy before Loki"),
    ],
)
def test_a_refusal_of_loki_is_told(
    query: Callable[..., Any], api: Any, status: int, words: str, code: str, hint: str
) -> None:
    api.answer(words, status)
    with pytest.raises(TargetError, match=rf"^GET {api.url}/loki/api/v1/query_range: ") as caught:
        query()

    assert code == caught.value.code
    assert hint in str(caught.value.hint)


def test_warnings_are_told_once(wait: Callable[..., Any], api: Any, steps: Any) -> None:
    context = steps.context()
    api.answer({**streams(), "warnings": ["max shards reached"]})
    with pytest.raises(StepAssertionError):
        loki_assert({"url": api.url, "query": '{app="shop"}', "within": "100ms"}, context)

    assert [{"level": "warning", "message": "max shards reached"}] == context.logs


def test_a_line_in_the_future_is_pointed_out(wait: Callable[..., Any], api: Any) -> None:
    api.answer(streams())
    api.answer(streams([str(9 * NS), "from a clock that is ahead"]))
    with pytest.raises(StepAssertionError) as caught:
        wait(within=0)

    assert "is the clock of its sender ahead? write `end: +10m`" in str(caught.value.hint)


def test_why_there_is_nothing_costs_no_more_than_the_failure(wait: Callable[..., Any], api: Any) -> None:
    api.answer(streams())
    api.answer("broken", 500)
    with pytest.raises(StepAssertionError, match="nothing matches") as caught:
        wait(within=0)

    assert "why could not be asked: GET" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        pytest.param({"start": "soon"}, r"config\.start: 'soon' is not a time", id="start"),
        pytest.param({"time": 5}, r"config\.time is for metric queries", id="one time for lines"),
        pytest.param({"step": "5s"}, r"config\.step is for metric queries", id="step for lines"),
        pytest.param({"query": "rate(x)", "step": "0s"}, r"config\.step is 0$", id="no step"),
        pytest.param({"query": "rate(x)", "step": "often"}, r"config\.step: ", id="step"),
        pytest.param({"query": "rate(x)", "time": 5, "end": 6}, r"config\.time asks for one time", id="both"),
        pytest.param({"url": "localhost:3100"}, "has no scheme", id="url"),
        pytest.param({"assert": ["count =="]}, r"config\.assert\[0\]", id="expression"),
    ],
)
def test_a_wrong_config_is_found_at_collection(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ActionConfigError, match=told):
        check_query({"query": '{app="shop"}', **config})


def test_a_part_of_a_config_can_be_checked() -> None:
    check_query({})
    check_query({"query": 5, "url": None, "start": [], "assert": "x"})


@pytest.mark.parametrize(
    ("query", "is_log"),
    [
        ('{app="shop"} |= "x"', True),
        (' \n# the {shop}\n( {app="shop"} )', True),
        ('sum(count_over_time({app="shop"}[5m]))', False),
        ("1 + 1", False),
        ('(sum(rate({a="b"}[1m])))', False),
    ],
)
def test_queries_for_lines_are_told_from_others(query: str, is_log: bool) -> None:
    assert is_log == is_log_query(query)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('{app="shop"} |= "x"', '{app="shop"}'),
        ('sum(rate({a="}", b=~`{x}`, c="\\"}"}[1m]))', '{a="}", b=~`{x}`, c="\\"}"}'),
        ("vector(1)", None),
    ],
)
def test_the_selector_is_found(query: str, found: str | None) -> None:
    assert found == selector(query)


def test_the_lines_of_a_trace_are_found(api: Any, steps: Any) -> None:
    api.answer(streams([str(NS + 1), "trace t1 fails"]))
    api.answer(streams([str(NS), "beside", {"structuredMetadata": {"trace_id": "t1"}}]))
    url = api.url.replace("//", "//u:secret@")
    found = lines_of_trace("t1", NS, NS + 5, {"loki_url": url}, HttpClient.of(steps.context()), Deadline.after(60, ""))

    assert ["beside", "trace t1 fails"] == [entry["line"] for entry in found]
    assert ['{service_name=~".+"} |= "t1"', '{service_name=~".+"} | trace_id="t1" != "t1"'] == [
        each.params["query"][0] for each in api.asked
    ]


def test_without_a_loki_a_trace_has_no_lines(steps: Any) -> None:
    client = HttpClient.of(steps.context())

    assert [] == lines_of_trace("t1", NS, NS + 5, {}, client, Deadline.after(60, ""))


def test_settings_name_the_server_for_steps_that_do_not(api: Any, steps: Any) -> None:
    api.answer(streams([str(NS), "hello"]))
    context = replace(steps.context(), settings={"loki_url": api.url})

    assert ["hello"] == loki_query({"query": '{app="shop"}'}, context)["lines"]
