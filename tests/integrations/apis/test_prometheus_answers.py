"""``prometheus.*``: every form of an answer, servers that refuse, and configs that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_testmesh.errors import ActionConfigError, StepAssertionError, TargetError
from pytest_testmesh.integrations._samples import number, read_samples
from pytest_testmesh.integrations.prometheus import RESULT, check_query, prometheus_assert, prometheus_query
from pytest_testmesh.integrations.prometheus.promql import metric_names

AT = 1795395292.154
STAMP = "2026-11-23T00:54:52.154Z"


def data(kind: str, *result: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": list(result)}}


@pytest.fixture
def query(api: Any, steps: Any) -> Callable[..., Any]:
    """``query("up")`` runs one ``prometheus.query`` against the scripted API."""
    return lambda query="up", **config: prometheus_query({"url": api.url, "query": query, **config}, steps.context())


@pytest.fixture
def wait(api: Any, steps: Any) -> Callable[..., Any]:
    """``wait("up")`` runs one ``prometheus.assert`` against the scripted API."""
    return lambda query="up", **config: prometheus_assert({"url": api.url, "query": query, **config}, steps.context())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("-0", 0),
        ("0.1", 0.1),
        ("1e+06", 1_000_000),
        ("9007199254740993", 9007199254740992.0),
        ("1e+100", 1e100),
        ("NaN", "NaN"),
        ("+Inf", "Infinity"),
        ("-Inf", "-Infinity"),
    ],
)
def test_a_value_is_a_number_where_json_has_it(text: str, expected: object) -> None:
    found = number(text)

    assert (expected, type(expected)) == (found, type(found))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(
            data("vector", {"metric": {"a": "b"}, "value": [AT, "5"]}),
            {"value": 5, "metric": {"a": "b"}, "series": [{"metric": {"a": "b"}, "value": 5, "timestamp": STAMP}]},
            id="one series",
        ),
        pytest.param(data("vector"), {"value": None, "metric": None, "series": [], "count": 0}, id="nothing"),
        pytest.param(
            data("vector", {"metric": {"a": "b"}, "value": [AT, "5"]}, {"metric": {"a": "c"}, "value": [AT, "6"]}),
            {"value": None, "metric": None, "count": 2},
            id="two series",
        ),
        pytest.param(
            data("matrix", {"metric": {}, "values": [[AT, "1"], [AT + 1, "2.5"]]}),
            {"value": 2.5, "metric": {}, "result_type": "matrix"},
            id="range",
        ),
        pytest.param(data("scalar", AT, "NaN"), {"value": "NaN", "metric": {}, "count": 1}, id="scalar"),
        pytest.param(data("string", AT, "5"), {"value": "5", "result_type": "string"}, id="text stays text"),
    ],
)
def test_an_answer_is_read(query: Callable[..., Any], api: Any, answer: Any, expected: dict[str, Any]) -> None:
    api.answer(answer)
    result = query()

    assert RESULT.keys() == result.keys()
    assert expected.items() <= result.items()


def test_a_range_has_values_and_their_times() -> None:
    found = read_samples(data("matrix", {"metric": {}, "values": [[AT, "1"], [AT + 1, "2"]]})["data"]).series

    assert [{"metric": {}, "values": [1, 2], "timestamps": [STAMP, "2026-11-23T00:54:53.154Z"]}] == found


def test_native_histograms_are_read() -> None:
    histogram = {"count": "3", "sum": "1.5", "buckets": [[0, "0.5", "+Inf", "3"]]}
    vector = read_samples(data("vector", {"metric": {}, "histogram": [AT, histogram]})["data"])
    matrix = read_samples(data("matrix", {"metric": {}, "histograms": [[AT, histogram]]})["data"])

    expected = {"count": 3, "sum": 1.5, "buckets": [{"from": 0.5, "to": "Infinity", "count": 3}]}
    assert expected == vector.value == matrix.value


@pytest.mark.parametrize(
    ("config", "path", "params"),
    [
        pytest.param({}, "query", {"query": ["up"]}, id="now"),
        pytest.param({"time": "1795395292.154275448"}, "query", {"time": ["1795395292.154275448"]}, id="one time"),
        pytest.param({"start": 0, "end": 500, "step": "1m"}, "query_range",
            {"start": ["0.000000000"], "end": ["500.000000000"], "step": ["60"]}, id="range"),
        pytest.param({"start": 0, "end": 500}, "query_range", {"step": ["2"]}, id="range without step"),
        pytest.param({"start": 0, "end": 5}, "query_range", {"step": ["1"]}, id="short range without step"),
    ],
)  # fmt: skip
def test_a_question_is_asked_exactly(
    query: Callable[..., Any], api: Any, config: dict[str, Any], path: str, params: dict[str, list[str]]
) -> None:
    api.answer(data("vector"))
    query(**config)

    assert f"/api/v1/{path}" == api.asked[0].path
    assert params.items() <= api.asked[0].params.items()
    assert path == "query_range" or params.keys() == api.asked[0].params.keys() - {"query"} | params.keys() & {"query"}


@pytest.mark.parametrize(
    ("status", "words", "code", "hint"),
    [
        (400, 'invalid parameter "query": 1:5: parse error: unclosed', "BAD_QUERY", 'sum(orders_total{app="shop"})'),
        (400, "exceeded maximum resolution of 11,000 points per timeseries", "TOO_MUCH", "a longer `step`"),
        (400, "end timestamp must not be before start time", "BAD_QUERY", "`start` must be before `end`"),
        (422, "query processing would load too many samples into memory in query execution", "TOO_MUCH", "labels"),
        (422, "found duplicate series for the match group", "BAD_QUERY", "on(...)"),
        (503, "query timed out in query execution", "QUERY_TIMEOUT", "--query.timeout"),
        (503, "Service Unavailable", "NOT_READY", "it reads its data after a start"),
        (401, "", "AUTHENTICATION_FAILED", "no credentials were sent"),
        (403, "denied", "PERMISSION_DENIED", "no credentials were sent"),
        (404, "404 page not found", "NOT_FOUND", "the base address of a Prometheus"),
        (429, "slow down", "RATE_LIMITED", "give it time"),
    ],
)
def test_a_refusal_of_prometheus_is_told(
    query: Callable[..., Any], api: Any, status: int, words: str, code: str, hint: str
) -> None:
    api.answer({"status": "error", "errorType": "x", "error": words}, status)
    with pytest.raises(TargetError, match=rf"^GET {api.url}/api/v1/query: ") as caught:
        query()

    assert code == caught.value.code
    assert hint in str(caught.value.hint)


def test_a_prometheus_that_starts_is_waited_for(wait: Callable[..., Any], api: Any) -> None:
    api.answer("Service Unavailable", 503)
    api.answer(data("scalar", AT, "1"))

    assert 1 == wait(within="60s")["value"]


def test_remarks_of_the_server_are_logged(api: Any, steps: Any) -> None:
    context = steps.context()
    api.answer({**data("vector"), "warnings": ["PromQL warning: w"], "infos": ["PromQL info: i"]})
    prometheus_query({"url": api.url, "query": "up"}, context)

    expected = [("warning", "PromQL warning: w"), ("info", "PromQL info: i")]
    assert expected == [(each["level"], each["message"]) for each in context.logs]


def test_a_misspelt_metric_is_pointed_out(wait: Callable[..., Any], api: Any) -> None:
    api.answer(data("vector"))
    api.answer({"status": "success", "data": ["orders_total", "up"]})
    with pytest.raises(StepAssertionError) as caught:
        wait('sum(rate(orders{shop="a"}[5m])) / up', within=0)

    assert "no metric is called orders; did you mean orders_total?" in str(caught.value.hint)
    assert "there is a metric up, but no series of it matches" in str(caught.value.hint)


def test_the_series_that_were_there_are_told(wait: Callable[..., Any], api: Any) -> None:
    api.answer(data("vector", *({"metric": {"__name__": "up", "n": str(n)}, "value": [AT, "0"]} for n in range(7))))
    with pytest.raises(StepAssertionError, match="count == 1 is false: count is 7") as caught:
        wait(within=0, **{"assert": ["count == 1"]})

    assert '7 series were there, the first 5:\n    up{n="0"} 0\n' in str(caught.value.hint)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("up", ["up"]),
        ('sum by (job) (rate(a:b_total{x="y", z!="{"}[5m])) > on (k) group_left (l) c', ["a:b_total", "c"]),
        ("1 + 2e3 and NaN unless x offset 5m", ["x"]),
        ('label_replace(m, "dst", "$1", "src", "(.*)") # comment n', ["m"]),
        ('{__name__="hidden"}', []),
        ("up == bool up", ["up"]),
    ],
)
def test_the_metrics_of_a_query_are_found(query: str, names: list[str]) -> None:
    assert names == metric_names(query)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        pytest.param({"time": "soon"}, r"config\.time: 'soon' is not a time", id="time"),
        pytest.param({"time": 5, "start": 6}, r"config\.time asks for one time", id="both"),
        pytest.param({"step": "5s"}, r"config\.step is of a range, and config\.start is missing", id="step alone"),
        pytest.param({"start": "-5m", "step": 0}, r"config\.step is 0$", id="no step"),
        pytest.param({"url": "localhost:9090"}, "has no scheme", id="url"),
        pytest.param({"assert": ["value =="]}, r"config\.assert\[0\]", id="expression"),
    ],
)
def test_a_wrong_config_is_found_at_collection(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ActionConfigError, match=told):
        check_query({"query": "up", **config})
