"""``otel.assert`` against what a real Tempo answered: every recorded answer is used by a test here."""

from __future__ import annotations

import ast
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from replayed_tempo import INDEX, Answer, Heard, ReplayedTempo, recorded

from pytest_testmesh.errors import StepAssertionError, TargetError
from pytest_testmesh.integrations.otel import otel_assert
from pytest_testmesh.integrations.otel.ids import wire_id
from pytest_testmesh.integrations.otel.spans import read_spans
from pytest_testmesh.integrations.otel.tempo import read_hits

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER_TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
MISSING = "1" * 32
ORDER = ["POST /orders", "SELECT orders", "POST /pay", "orders publish"]
NOT_FOUND = Answer(404, "text/plain", b"404 page not found\n")


@pytest.fixture
def ask(step: Callable[..., Any], tempo: ReplayedTempo) -> Callable[..., Any]:
    """``ask(trace_id=...)`` runs one ``otel.assert`` against the replayed Tempo."""
    return lambda **config: step(**{"backend_url": tempo.url, "within": 0, **config})


def only_first_version(heard: Heard) -> Answer | None:
    return NOT_FOUND if heard.path.startswith("/api/v2/traces/") else None


def test_every_recorded_answer_is_used_here() -> None:
    texts = {each.value for each in ast.walk(ast.parse(Path(__file__).read_text())) if isinstance(each, ast.Constant)}
    names = {each["name"] for each in INDEX["answers"]}

    assert 26 == len(names)
    assert set() == names - texts


def test_a_trace_is_what_was_sent(ask: Callable[..., Any], tempo: ReplayedTempo) -> None:
    result = ask(trace_id=TRACE_ID)

    assert ["echo", "trace-v2"] == tempo.given
    assert ORDER == [span["operation"] for span in result["spans"]]
    assert {
        "trace_id": TRACE_ID,
        "span_id": "00f067aa0ba902b9",
        "parent_span_id": "00f067aa0ba902b7",
        "service": "payment-service",
        "operation": "POST /pay",
        "kind": "server",
        "start": "2026-11-22T16:28:56.902344Z",
        "duration_ms": 90,
        "status": "error",
        "status_message": "card declined",
        "attributes": {"http.response.status_code": 402},
        "events": [
            {
                "name": "exception",
                "time": "2026-11-22T16:28:56.903344Z",
                "attributes": {"exception.message": "insufficient funds", "exception.type": "CardDeclined"},
            }
        ],
        "resource": {"deployment.environment": "test", "service.name": "payment-service"},
    } == result["spans"][2]


def test_the_older_format_gives_the_same(ask: Callable[..., Any], tempo: ReplayedTempo) -> None:
    newer = ask(trace_id=TRACE_ID)
    tempo.change = only_first_version
    older = ask(trace_id=TRACE_ID)

    assert "trace-v1" == tempo.given[-1]
    assert newer == older
    assert recorded("trace-v1").json == recorded("trace-v1-range").json


def test_the_recorded_trace_has_the_spans_of_the_one_that_was_sent() -> None:
    sent = json.loads((Path(__file__).with_name("tempo_answers") / "otlp-sent.json").read_text())
    spans = {span.span_id: span for span in read_spans(sent["resourceSpans"]) if span.trace_id == TRACE_ID}
    answered = {span.span_id: span for span in read_spans(recorded("trace-v1").json["batches"])}

    assert spans == answered


def test_ids_get_their_leading_zeros(ask: Callable[..., Any], tempo: ReplayedTempo) -> None:
    tempo.change = only_first_version
    (found,) = ask(trace_id="abc123")["spans"]

    assert "trace-short-id" == tempo.given[-1]
    assert "00000000000000000000000000abc123" == found["trace_id"]
    assert "0000000000000abc" == found["span_id"]
    assert tempo.heard[-1].path.endswith("/00000000000000000000000000abc123")


@pytest.mark.parametrize(
    "change", [lambda heard: None, only_first_version], ids=["trace-v2-missing", "trace-v1-missing"]
)
def test_a_missing_trace_is_told(
    ask: Callable[..., Any], tempo: ReplayedTempo, change: Any, request: pytest.FixtureRequest
) -> None:
    tempo.change = change
    with pytest.raises(StepAssertionError) as failed:
        ask(trace_id=MISSING)

    assert request.node.callspec.id == tempo.given[-1]
    assert f"trace {MISSING}: count >= 1 is false: count is 0" == failed.value.message
    assert f"Tempo at {tempo.url} knows no such trace" in str(failed.value.hint)


def test_spans_are_searched_by_service_and_operation(ask: Callable[..., Any], tempo: ReplayedTempo) -> None:
    result = ask(service="order-service", operation="POST /orders")

    assert "search-traceql" in tempo.given
    assert [(TRACE_ID, "POST /orders")] == [(each["trace_id"], each["operation"]) for each in result["spans"]]
    assert ORDER == [span["operation"] for span in result["traces"][0]["spans"]]
    asked = next(each.params for each in tempo.heard if each.path == "/api/search")
    assert {"q", "start", "end", "limit", "spss"} == asked.keys()
    assert 3600 <= int(asked["end"]) - int(asked["start"]) - 300 < 3700


def test_a_service_alone_gives_its_spans_of_all_traces(ask: Callable[..., Any], tempo: ReplayedTempo) -> None:
    other = {"traceId": OTHER_TRACE_ID, "spanId": "b7ad6b7169203331", "name": "GET /orders/{id}"}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "order-service"}}]}
    body = {"trace": {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [other]}]}]}}
    answer = Answer(200, "application/json", json.dumps(body).encode())
    tempo.change = lambda heard: answer if heard.path.endswith(OTHER_TRACE_ID) else None
    result = ask(service="order-service")

    assert "search-no-range" in tempo.given
    assert ["POST /orders", "SELECT orders", "orders publish", "GET /orders/{id}"] == [
        span["operation"] for span in result["spans"]
    ]


@pytest.mark.parametrize(
    ("name", "query", "expected"),
    [
        ("search-traceql-duration", "{duration > 100ms}", ["POST /orders"]),
        (
            "search-traceql-select",
            '{resource.service.name="payment-service" && status=error} '
            "| select(span.http.response.status_code, status, statusMessage)",
            ["POST /pay"],
        ),
    ],
)
def test_traceql_gives_the_spans_that_it_selects(
    ask: Callable[..., Any], tempo: ReplayedTempo, name: str, query: str, expected: list[str]
) -> None:
    result = ask(query=query)

    assert name in tempo.given
    assert expected == [span["operation"] for span in result["spans"]]


def test_a_search_that_finds_nothing_tells_of_the_lag_and_of_the_services(
    ask: Callable[..., Any], tempo: ReplayedTempo
) -> None:
    with pytest.raises(StepAssertionError) as failed:
        ask(service="order-servic", operation="POST /orders")

    hint = str(failed.value.hint)
    assert {"search-none", "tag-values-v2"} <= set(tempo.given)
    assert "Tempo's search shows a trace about 30s after it came in" in hint
    assert "did you mean order-service? services that Tempo knows: order-service, payment-service, short-" in hint


def test_nothing_can_be_what_is_asserted(ask: Callable[..., Any]) -> None:
    result = ask(query='{resource.service.name="nobody"}', min_spans=0, **{"assert": ["count == 0"]})

    assert [] == result["spans"] == result["traces"]


def test_a_search_by_tags_means_the_same_traces() -> None:
    by_tags = {hit.trace_id for hit in read_hits(recorded("search-tags").json)}
    by_two = {hit.trace_id for hit in read_hits(recorded("search-tags-two").json)}

    assert {hit.trace_id for hit in read_hits(recorded("search-no-range").json)} == by_tags
    assert {hit.trace_id for hit in read_hits(recorded("search-traceql").json)} == by_two
    exemplars = recorded("metrics-query-range").json["series"][0]["exemplars"]
    labels = {each["key"]: each["value"]["stringValue"] for exemplar in exemplars for each in exemplar["labels"]}
    assert wire_id(labels["trace:id"], 32) in by_tags


def test_attributes_are_those_that_tempo_knows(ask: Callable[..., Any]) -> None:
    known = {each["name"]: set(each["tags"]) for each in recorded("tags-v2").json["scopes"]}
    spans = ask(trace_id=TRACE_ID)["spans"]

    assert known["span"] == {name for span in spans for name in span["attributes"]}
    assert known["resource"] == {name for span in spans for name in span["resource"]}
    assert known["event"] == {name for span in spans for event in span["events"] for name in event["attributes"]}


def test_values_are_those_of_the_format_that_tempo_makes_for_readers(ask: Callable[..., Any]) -> None:
    for_readers = {
        span["spanId"]: (span["durationMs"], span["attributes"])
        for service in recorded("trace-llm-v2").json["trace"]["services"]
        for scope in service["scopes"]
        for span in scope["spans"]
    }
    spans = ask(trace_id=TRACE_ID)["spans"]

    assert for_readers == {span["span_id"]: (span["duration_ms"], span["attributes"]) for span in spans}


@pytest.mark.parametrize(
    ("name", "config", "code", "said"),
    [
        (
            "search-bad-traceql",
            {"query": "{resource.service.name=}"},
            "BAD_QUERY",
            "/api/search: invalid TraceQL query: parse error at line 1, col 24: syntax error: unexpected }",
        ),
        ("search-bad-limit", {"query": "{}"}, "BAD_REQUEST", 'invalid limit: strconv.ParseUint: parsing "-1"'),
        ("trace-bad-id", {"trace_id": TRACE_ID}, "BAD_REQUEST", "trace IDs can only contain hex characters"),
        ("trace-v1-protobuf", {"trace_id": TRACE_ID}, "NOT_JSON", "the answer is not JSON"),
        ("trace-v2-protobuf", {"trace_id": TRACE_ID}, "NOT_JSON", "the answer is not JSON"),
    ],
)
def test_errors_are_told_with_the_words_of_the_server(
    ask: Callable[..., Any], tempo: ReplayedTempo, name: str, config: Any, code: str, said: str
) -> None:
    tempo.change = lambda heard: None if heard.path == "/api/echo" else recorded(name)
    with pytest.raises(TargetError) as failed:
        ask(**config)

    assert code == failed.value.code
    assert said in failed.value.message


def test_a_tempo_behind_a_gateway_without_echo_is_recognized(ask: Callable[..., Any], tempo: ReplayedTempo) -> None:
    tempo.change = lambda heard: recorded("unknown") if heard.path == "/api/echo" else None
    result = ask(trace_id=TRACE_ID)

    assert ["buildinfo", "trace-v2"] == tempo.given
    assert "tempo" == result["backend"]


def partial(code: int, **more: Any) -> Answer:
    body = recorded("trace-v2").json | recorded("trace-v1").json | more
    return Answer(code, "application/json", json.dumps(body).encode())


@pytest.mark.parametrize(
    ("version", "answer", "told"),
    [
        ("/api/v2/", partial(200, status="PARTIAL", message="Trace exceeds maximum size"), "Trace exceeds maximum"),
        ("/api/traces/", partial(206), "206 Partial Content"),
    ],
    ids=["v2", "v1"],
)
def test_a_part_of_a_trace_is_refused(
    ask: Callable[..., Any], tempo: ReplayedTempo, version: str, answer: Answer, told: str
) -> None:
    tempo.change = lambda heard: answer if heard.path.startswith(version) else only_first_version(heard)
    with pytest.raises(TargetError, match=f"only a part of the trace could be read: {told}") as failed:
        ask(trace_id=TRACE_ID, within="3s", **{"assert": ["count == 4"]})

    assert "TRACE_INCOMPLETE" == failed.value.code
    assert "looks" in str(failed.value.hint), "a trace that arrives may be whole the next time"


@pytest.mark.parametrize("answer", [partial(200, status="PARTIAL"), partial(206)], ids=["v2", "v1"])
def test_a_trace_that_is_whole_at_the_next_look_is_taken(
    ask: Callable[..., Any], tempo: ReplayedTempo, answer: Answer
) -> None:
    looks = iter([answer, answer])
    tempo.change = lambda heard: next(looks, None) if heard.path.endswith(TRACE_ID) else None
    result = ask(trace_id=TRACE_ID, within="60s", **{"assert": ["count == 4"]})

    assert 4 == result["count"]
    assert 3 == sum(heard.path.endswith(TRACE_ID) for heard in tempo.heard)


def finds(tempo: ReplayedTempo, *hits: Mapping[str, Any]) -> None:
    body = json.dumps({"traces": hits}).encode()
    tempo.change = lambda heard: Answer(200, "application/json", body) if heard.path == "/api/search" else None


def test_traces_that_a_search_may_leave_out_are_warned_of(
    make_context: Callable[..., Any], tempo: ReplayedTempo
) -> None:
    finds(tempo, *recorded("search-traceql").json["traces"] * 20)
    context = make_context()
    otel_assert({"backend_url": tempo.url, "query": "{}"}, context)

    assert [("warning", "there may be more than these 20 traces: write a later `start`, or ask for less")] == [
        (each["level"], each["message"]) for each in context.logs
    ]


def test_spans_that_a_search_leaves_out_are_refused(ask: Callable[..., Any], tempo: ReplayedTempo) -> None:
    (hit,) = recorded("search-traceql").json["traces"]
    for each in hit["spanSets"]:
        each["matched"] = 150
    finds(tempo, hit)
    with pytest.raises(TargetError, match=f"selects 149 more spans of trace {TRACE_ID} than Tempo tells") as failed:
        ask(query="{}")

    assert "TOO_MANY_SPANS" == failed.value.code


def test_a_missing_tenant_is_told(ask: Callable[..., Any], tempo: ReplayedTempo) -> None:
    tempo.change = lambda heard: None if heard.path == "/api/echo" else Answer(401, "text/plain", b"no org id")
    with pytest.raises(TargetError, match="Tempo wants a tenant: no org id") as failed:
        ask(trace_id=TRACE_ID)

    assert "name it: `tenant: my-team`" == failed.value.hint


def test_what_is_no_server_of_traces_is_told(ask: Callable[..., Any], tempo: ReplayedTempo) -> None:
    tempo.change = lambda heard: recorded("ready")
    with pytest.raises(TargetError, match="is neither a Tempo nor a Jaeger") as failed:
        ask(trace_id=TRACE_ID)

    assert "NOT_A_TRACE_BACKEND" == failed.value.code


@pytest.mark.parametrize("config", [{"backend": "tempo"}, {}], ids=["named", "by-setting"])
def test_a_named_kind_is_not_asked_for(step: Callable[..., Any], tempo: ReplayedTempo, config: Any) -> None:
    named = {"backend_url": tempo.url} if config else {}
    step(settings={"tempo_url": tempo.url + "/"}, trace_id=TRACE_ID, **named, **config)

    assert ["trace-v2"] == tempo.given


def test_the_kind_is_asked_for_once_in_a_session(ask: Callable[..., Any], tempo: ReplayedTempo) -> None:
    ask(trace_id=TRACE_ID)
    ask(trace_id=TRACE_ID)

    assert ["echo", "trace-v2", "trace-v2"] == tempo.given


def test_credentials_and_tenant_go_out(ask: Callable[..., Any], tempo: ReplayedTempo) -> None:
    ask(trace_id=TRACE_ID, tenant="team-a", auth={"type": "bearer", "token": "tok-123456"})

    assert {"team-a"} == {heard.headers["X-Scope-OrgID"] for heard in tempo.heard}
    assert {"Bearer tok-123456"} == {heard.headers["Authorization"] for heard in tempo.heard}


def growing(*counts: int) -> Callable[[Heard], Answer | None]:
    """Answer with so many of the four spans, one count for each look; the last one stays."""
    looks = itertools.chain(counts, itertools.repeat(counts[-1]))

    def change(heard: Heard) -> Answer | None:
        if not heard.path.startswith("/api/v2/traces/"):
            return None
        body = recorded("trace-v2").json
        left = next(looks)
        for batch in body["trace"]["resourceSpans"]:
            for scope in batch["scopeSpans"]:
                scope["spans"], left = scope["spans"][:left], max(0, left - len(scope["spans"]))
        return Answer(200, "application/json", json.dumps(body).encode())

    return change


@pytest.mark.parametrize(
    "wanted", [{"min_spans": 4}, {"assert": ["any(spans, {.status == 'error'})"]}], ids=["min_spans", "assert"]
)
def test_a_trace_that_arrives_span_by_span_is_waited_for(
    ask: Callable[..., Any], tempo: ReplayedTempo, wanted: Any
) -> None:
    tempo.change = growing(0, 1, 2, 4)
    result = ask(trace_id=TRACE_ID, within="60s", **wanted)

    assert 4 == result["count"]


def test_without_a_wish_one_span_is_enough(ask: Callable[..., Any], tempo: ReplayedTempo) -> None:
    tempo.change = growing(0, 1, 4)

    assert 1 == ask(trace_id=TRACE_ID, within="60s")["count"]


def test_all_of_nothing_is_not_enough(ask: Callable[..., Any]) -> None:
    with pytest.raises(StepAssertionError, match="count >= 1 is false: count is 0"):
        ask(trace_id=MISSING, **{"assert": ["all(spans, {.status != 'error'})"]})


def test_a_time_out_shows_the_spans_that_were_there_as_a_tree(ask: Callable[..., Any], tempo: ReplayedTempo) -> None:
    tempo.change = growing(2)
    with pytest.raises(StepAssertionError) as failed:
        ask(trace_id=TRACE_ID, min_spans=4)

    assert f"trace {TRACE_ID}: count >= 4 is false: count is 2" == failed.value.message
    assert str(failed.value.hint).endswith(
        f"the spans that were there:\ntrace {TRACE_ID}\n  order-service POST /orders 182.5 ms\n"
        "    order-service SELECT orders 20 ms"
    )
