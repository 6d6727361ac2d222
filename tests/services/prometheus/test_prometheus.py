"""``prometheus.*`` against a real Prometheus, looked at by plain urllib."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

import pytest
from meanwhile import after_a_look

from pytest_testmesh.errors import StepAssertionError, TargetError
from pytest_testmesh.integrations.prometheus import prometheus_assert, prometheus_query
from pytest_testmesh.polling import Deadline, attempts

METRICS = """\
# TYPE orders_total counter
orders_total{state="paid"} 40
orders_total{state="open"} 2
# TYPE temperature gauge
temperature 21.5
odd{n="1"} NaN
odd{n="2"} +Inf
odd{n="3"} -Inf
"""


@pytest.fixture
def shop(exporter: Any, on_server: Callable[..., list[Any]]) -> Any:
    """An exporter with the metrics of a shop, which Prometheus has scraped."""
    exporter.text = METRICS
    for _ in attempts(repeat(0.05), Deadline.after(120, "")):
        if on_server(f'temperature{{app="{exporter.app}"}}'):
            return exporter
    pytest.fail("Prometheus does not scrape it")


@pytest.fixture
def run(flows: Any, prometheus: Any, unique: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run one flow against the common Prometheus, with app `unique`."""

    def start(name: str) -> Any:
        monkeypatch.setenv("TESTMESH_PROMETHEUS_URL", prometheus.url)
        return flows.run(str(flows.add(f"prometheus/{name}.yaml")), APP=unique)

    return start


@pytest.fixture
def step(prometheus: Any, make_context: Callable[..., Any]) -> Callable[..., Any]:
    """``step(prometheus_query, query=...)`` runs one step."""
    return lambda action, **config: action({"url": prometheus.url, **config}, make_context())


@pytest.mark.usefixtures("shop")
def test_flow(run: Callable[..., Any]) -> None:
    done = run("metrics")

    assert {"passed": 1} == done.outcomes, done.text


def test_series_are_those_that_another_client_sees(
    step: Callable[..., Any], on_server: Callable[..., list[Any]], shop: Any
) -> None:
    query = f'orders_total{{app="{shop.app}"}}'
    found = step(prometheus_assert, query=query, within="60s", **{"assert": ["count == 2"]})["series"]

    seen = {each["metric"]["state"]: float(each["value"][1]) for each in on_server(query, time=found[0]["timestamp"])}
    assert seen == {each["metric"]["state"]: each["value"] for each in found}


def test_a_step_waits_until_the_next_scrape_brings_a_value(
    prometheus: Any, make_context: Callable[..., Any], shop: Any
) -> None:
    context = make_context()
    query = f'temperature{{app="{shop.app}"}}'
    config = {"url": prometheus.url, "query": query, "within": "60s", "assert": ["value > 22"]}
    with after_a_look(context, lambda: setattr(shop, "text", METRICS.replace("21.5", "22.5"))):
        assert 22.5 == prometheus_assert(config, context)["value"]


def test_a_series_that_vanished_is_there_no_more(step: Callable[..., Any], shop: Any) -> None:
    query = f'odd{{app="{shop.app}"}}'
    step(prometheus_assert, query=query, within="60s", **{"assert": ["count == 3"]})
    shop.text = "other 1\n"

    assert 0 == step(prometheus_assert, query=query, within="60s", **{"assert": ["count == 0"]})["count"]


def test_a_range_covers_what_was_scraped(step: Callable[..., Any], shop: Any) -> None:
    query = f'temperature{{app="{shop.app}"}}'
    found = step(prometheus_query, query=query, start="-10m", step="1s")["series"][0]

    assert {21.5} == set(found["values"])
    assert sorted(found["timestamps"]) == found["timestamps"]


@pytest.mark.usefixtures("shop")
def test_a_failure_tells_a_misspelt_metric(run: Callable[..., Any]) -> None:
    done = run("missing")

    assert {"failed": 1} == done.outcomes
    assert "nothing matches: count > 0 is false: count is 0" in done.causes[0]
    assert "no metric is called order_total; did you mean orders_total" in done.text


def test_a_failure_tells_the_series_that_were_there(step: Callable[..., Any], shop: Any) -> None:
    query = f'temperature{{app="{shop.app}"}}'
    seen_at = step(prometheus_assert, query=query, within="60s")["series"][0]["timestamp"]
    with pytest.raises(StepAssertionError, match=r"value > 30 is false: value is 21\.5") as caught:
        step(prometheus_assert, query=query, time=seen_at, within="200ms", **{"assert": ["value > 30"]})

    assert "1 series was there:\n    temperature{" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("config", "code", "told"),
    [
        ({"query": "sum("}, "BAD_QUERY", "the query is not PromQL: "),
        ({"query": "nope(up)"}, "BAD_QUERY", "unknown function with name"),
        ({"query": "up", "start": 6, "end": 5}, "BAD_QUERY", "the range is empty: "),
        ({"query": "up", "start": 0, "step": "1s"}, "TOO_MUCH", "the range has too many points: "),
        ({"query": "vector(1) + on(a) group_left vector(time()) or up{", "time": 5}, "BAD_QUERY", "parse error"),
    ],
    ids=["syntax", "function", "empty range", "too many points", "brace"],
)
def test_a_refusal_is_told(step: Callable[..., Any], config: dict[str, Any], code: str, told: str) -> None:
    with pytest.raises(TargetError) as caught:
        step(prometheus_query, **config)

    assert told in caught.value.message
    assert code == caught.value.code


@pytest.mark.parametrize(
    ("config", "hint"),
    [
        ({"query": "up{job=api}"}, "values of labels stand in quotes"),
        ({"query": 'up{job="api"'}, "labels stand between { and }"),
        ({"query": 'up{job:"api"}'}, "labels stand between { and }"),
        ({"query": "sum(rate(up))"}, "name the range that the function looks back over"),
        ({"query": "sum(up[5m])"}, "within a function that looks back"),
        ({"query": "rate(sum(up)[5m])"}, "within a function that looks back"),
        ({"query": "up[5m]", "start": "-5m"}, "within a function that looks back"),
        ({"query": "avg(up"}, 'such as sum(orders_total{app="shop"})'),
    ],
    ids=lambda value: value["query"] if isinstance(value, dict) else None,
)
def test_a_common_mistake_has_a_hint(step: Callable[..., Any], config: dict[str, Any], hint: str) -> None:
    with pytest.raises(TargetError, match="the query is not PromQL: ") as caught:
        step(prometheus_query, **config)

    assert hint in str(caught.value.hint)


def test_another_server_is_told(step: Callable[..., Any], prometheus: Any) -> None:
    with pytest.raises(TargetError, match="not found: 404 page not found") as caught:
        step(prometheus_query, query="up", url=f"{prometheus.url}/nowhere")

    assert f"is {prometheus.url}/nowhere the base address of a Prometheus?" == caught.value.hint


def test_a_remark_of_the_server_is_logged(prometheus: Any, make_context: Callable[..., Any]) -> None:
    context = make_context()
    prometheus_query({"url": prometheus.url, "query": "histogram_quantile(2, up)"}, context)

    assert {"warning"} == {each["level"] for each in context.logs}
    assert any("quantile value should be between 0 and 1" in each["message"] for each in context.logs)


def test_a_long_query_is_asked(step: Callable[..., Any]) -> None:
    assert 2001 == step(prometheus_query, query="1" + " + 1" * 2000)["value"]
