"""``otel.*`` against the real Jaeger: equal to Tempo, real spans of an OpenTelemetry SDK, and what goes wrong."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from meanwhile import after_a_look
from running_shop import RunningShop, running_shop

from pytest_testmesh.errors import (
    ActionConfigError,
    ActionTimeoutError,
    StepAssertionError,
    TargetUnavailableError,
)
from pytest_testmesh.integrations.otel import otel_assert
from pytest_testmesh.integrations.otel.lookup import is_configured, spans_of_trace
from pytest_testmesh.integrations.otel.trees import tree
from pytest_testmesh.polling import Deadline

RECORDED = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def shop(jaeger: Mapping[str, Any], unique: str) -> Iterator[RunningShop]:
    """An instrumented service that sends its spans to Jaeger."""
    with running_shop(unique, jaeger["otlp_http"]) as running:
        yield running


@pytest.fixture
def ask(step: Callable[..., Any], jaeger: Mapping[str, Any]) -> Callable[..., Any]:
    """``ask(trace_id=...)`` runs one ``otel.assert`` against Jaeger."""
    return lambda **config: step(**{"backend_url": jaeger["url"], "within": "60s", **config})


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Return a result with other texts in place of some."""
    if isinstance(value, dict):
        return {key: renamed(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


def test_equal_traces_give_equal_results(
    send_recorded: Callable[[], tuple[str, str, str]], step: Callable[..., Any], ask: Callable[..., Any], tempo: Any
) -> None:
    trace_id, orders, payments = send_recorded()
    found = ask(trace_id=trace_id, min_spans=4)
    names = {trace_id: RECORDED, orders: "order-service", payments: "payment-service", "jaeger": "tempo"}

    assert step(backend_url=tempo.url, trace_id=RECORDED) == renamed(found, names)


def test_injected_headers_lead_to_the_spans(flows: Any, shop: RunningShop, jaeger: Mapping[str, Any]) -> None:
    done = flows.run(str(flows.add("otel/inject.yaml")), SHOP_URL=shop.url, BACKEND_URL=jaeger["url"])

    assert {"passed": 1} == done.outcomes, done.text


def test_spans_are_waited_for(make_context: Callable[..., Any], shop: RunningShop, jaeger: Mapping[str, Any]) -> None:
    trace_id = secrets.token_hex(16)
    context = make_context()
    wanted = {"min_spans": 2, "assert": ["spans[0].kind == 'server'"]}
    with after_a_look(context, lambda: shop.order({"traceparent": f"00-{trace_id}-{'1' * 16}-01"})):
        result = otel_assert({"backend_url": jaeger["url"], "trace_id": trace_id, "within": "60s", **wanted}, context)

    assert ["POST /orders", "INSERT orders"] == [span["operation"] for span in result["spans"]]
    assert ["a", "b"] == result["spans"][0]["attributes"]["items"]


def test_a_search_finds_only_what_is_asked_for(ask: Callable[..., Any], shop: RunningShop) -> None:
    for card in ("good", "declined"):
        shop.order(card=card)
    both = ask(service=shop.name, operation="POST /orders", min_spans=2)

    assert ["error", "unset"] == [span["status"] for span in both["spans"]]
    assert 4 == ask(service=shop.name, min_spans=4)["count"]
    assert both["traces"][0]["start"] > both["traces"][1]["start"]


def test_a_later_start_leaves_older_spans_out(ask: Callable[..., Any], shop: RunningShop) -> None:
    shop.order()
    ask(service=shop.name)
    time.sleep(0.01)

    assert 0 == ask(service=shop.name, start="step.start", min_spans=0)["count"]


def test_the_report_shows_the_tree(
    flows: Any, shop: RunningShop, ask: Callable[..., Any], jaeger: Mapping[str, Any]
) -> None:
    trace_id = shop.order(card="declined")
    ask(trace_id=trace_id, min_spans=2)
    flow = flows.write(
        "declined.yaml",
        "flow:\n  name: declined\n  steps:\n    - action: otel.assert\n      config:\n"
        f"        backend_url: {jaeger['url']}\n        trace_id: {trace_id}\n        within: 200ms\n"
        "        assert: [\"all(spans, {.status != 'error'})\"]\n",
    )
    done = flows.run(str(flow))

    assert {"failed": 1} == done.outcomes
    assert f"{shop.name} POST /orders" in done.text
    assert "error: card declined" in done.text
    assert f"  {shop.name} INSERT orders" in done.text


def test_what_jaeger_adds_to_spans_is_taken_away(ask: Callable[..., Any], send_spans: Callable[..., str]) -> None:
    first = {"spanId": "1" * 16, "name": "first"}
    link = {"traceId": "THE TRACE", "spanId": "1" * 16}
    trace_id = send_spans(first, {"spanId": "2" * 16, "name": "linked", "links": [link]})
    spans = ask(trace_id=trace_id, min_spans=2)["spans"]

    assert [None, None] == [span["parent_span_id"] for span in spans]
    assert [None, None] == [span["service"] for span in spans]
    assert [{}, {}] == [span["resource"] for span in spans]


def test_traceql_is_told_to_be_of_tempo(ask: Callable[..., Any]) -> None:
    with pytest.raises(ActionConfigError, match=r"config\.query is TraceQL, which Jaeger does not speak"):
        ask(query="{}")


def test_an_unknown_service_is_told_with_those_that_there_are(ask: Callable[..., Any], shop: RunningShop) -> None:
    shop.order()
    ask(service=shop.name)
    with pytest.raises(StepAssertionError) as failed:
        ask(service=f"{shop.name}x", within=0)

    assert f"did you mean {shop.name}? services that Jaeger knows: " in str(failed.value.hint)


def test_a_server_that_is_not_there_is_told(step: Callable[..., Any], closed_url: str) -> None:
    with pytest.raises(TargetUnavailableError, match=r"/api/echo: connection refused"):
        step(backend_url=closed_url, trace_id=RECORDED)


def test_a_frozen_server_ends_with_the_deadline(
    alone: None, service: Any, step: Callable[..., Any], jaeger: Mapping[str, Any]
) -> None:
    with service("jaeger").frozen(), pytest.raises(ActionTimeoutError, match="waiting for"):
        step(Deadline.after(1, "step timeout 1s"), backend_url=jaeger["url"], trace_id=RECORDED)


def test_a_look_up_gives_the_spans_for_a_report(
    make_context: Callable[..., Any], shop: RunningShop, ask: Callable[..., Any], jaeger: Mapping[str, Any]
) -> None:
    trace_id = shop.order(card="declined")
    ask(trace_id=trace_id, min_spans=2)
    context = make_context(jaeger_url=jaeger["url"])
    spans = spans_of_trace(trace_id, context, Deadline.after(60, "look-up"))

    assert is_configured(context)
    assert 2 == len(spans)
    assert "error: card declined" in tree(spans).splitlines()[0]


def test_a_look_up_of_an_unknown_trace_gives_none(make_context: Callable[..., Any], jaeger: Mapping[str, Any]) -> None:
    context = make_context(jaeger_url=jaeger["url"])

    assert [] == spans_of_trace(secrets.token_hex(16), context, Deadline.after(60, "look-up"))
    assert not is_configured(make_context())
