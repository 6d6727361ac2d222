"""``loki.*`` against a real Loki, written to and looked at by plain urllib."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from meanwhile import after_a_look

from pytest_testmesh.errors import StepAssertionError, TargetError
from pytest_testmesh.integrations.http.client import HttpClient
from pytest_testmesh.integrations.loki import loki_assert, loki_query
from pytest_testmesh.integrations.loki.trace_lines import lines_of_trace
from pytest_testmesh.polling import Deadline

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def shop(push: Callable[..., int]) -> None:
    """Three lines of a shop, the last one with a trace beside it."""
    push("level=info order=41")
    push('level=error order=42 msg="no stock"')
    push("third", {"trace_id": TRACE})


@pytest.fixture
def run(flows: Any, loki: Any, unique: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run one flow against the common Loki, with app `unique`."""

    def start(name: str) -> Any:
        monkeypatch.setenv("TESTMESH_LOKI_URL", loki.url)
        return flows.run(str(flows.add(f"loki/{name}.yaml")), APP=unique, TRACE=TRACE)

    return start


@pytest.fixture
def step(loki: Any, make_context: Callable[..., Any]) -> Callable[..., Any]:
    """``step(loki_query, query=...)`` runs one step."""
    return lambda action, **config: action({"url": loki.url, **config}, make_context())


@pytest.mark.parametrize("name", ["lines", "metrics"])
@pytest.mark.usefixtures("shop")
def test_flow(run: Callable[..., Any], name: str) -> None:
    done = run(name)

    assert {"passed": 1} == done.outcomes, done.text


@pytest.mark.usefixtures("shop")
def test_lines_are_those_that_another_client_sees(
    step: Callable[..., Any], on_server: Callable[[], list[str]], unique: str
) -> None:
    found = step(loki_query, query=f'{{app="{unique}"}}', direction="forward")

    assert on_server() == found["lines"]
    assert 3 == found["count"]


def test_times_are_exact_to_the_nanosecond(step: Callable[..., Any], push: Callable[..., int], unique: str) -> None:
    time_ns = push("exact")
    found = step(loki_assert, query=f'{{app="{unique}"}}')["entries"][0]["timestamp"]

    assert f"{time_ns % 10**9:09d}Z" == found.rpartition(".")[2]
    for start, end, count in ((time_ns, time_ns + 1, 1), (time_ns + 1, time_ns + 2, 0), (time_ns - 1, time_ns, 0)):
        assert count == step(loki_query, query=f'{{app="{unique}"}}', start=start, end=end)["count"]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('"; } |= `', id="quotes"),
        pytest.param("two\nlines\r\n", id="line ends"),
        pytest.param("🌍 ﷽ \u200b", id="emoji"),
        pytest.param("nul \0 nul", id="NUL"),
        pytest.param("x" * 100_000, id="100 KB"),
        pytest.param("${APP} {{app}}", id="placeholders"),
    ],
)
def test_a_line_comes_as_it_was_written(
    step: Callable[..., Any], push: Callable[..., int], unique: str, line: str
) -> None:
    push(line)

    assert [line] == step(loki_assert, query=f'{{app="{unique}"}}')["lines"]


def test_a_step_waits_for_a_line_that_comes_later(
    loki: Any, make_context: Callable[..., Any], push: Callable[..., int], unique: str
) -> None:
    context = make_context()
    config = {"url": loki.url, "query": f'{{app="{unique}"}}', "start": "step.start", "within": "60s"}
    with after_a_look(context, lambda: push("late")):
        found = loki_assert(config, context)

    assert ["late"] == found["lines"]


def test_a_long_query_is_asked(step: Callable[..., Any], push: Callable[..., int], unique: str) -> None:
    push("needle")
    query = f'{{app="{unique}"}}' + ' != "another thing that is not in the line"' * 120

    assert ["needle"] == step(loki_assert, query=query)["lines"]


@pytest.mark.usefixtures("shop")
def test_a_failure_tells_the_lines_that_were_there(step: Callable[..., Any], unique: str) -> None:
    with pytest.raises(StepAssertionError, match="count == 4 is false: count is 3") as caught:
        step(loki_assert, query=f'{{app="{unique}"}}', within="200ms", **{"assert": ["count == 4"]})

    assert "3 lines were there:\n" in str(caught.value.hint)
    assert "Z  third\n" in str(caught.value.hint)


@pytest.mark.usefixtures("shop")
def test_a_failure_tells_why_there_may_be_no_line(run: Callable[..., Any], unique: str) -> None:
    done = run("missing")

    assert {"failed": 1} == done.outcomes
    assert "(loki.assert) failed after" in done.causes[0]
    assert "count == 1 is false: count is 0" in done.causes[0]
    assert f'{{app="{unique}"}} matches 1 stream, but no line passes the rest of the query' in done.text


def test_a_failure_tells_that_no_stream_matches(step: Callable[..., Any], push: Callable[..., int]) -> None:
    push("so that there is a label")
    with pytest.raises(StepAssertionError, match="nothing matches: count > 0 is false") as caught:
        step(loki_assert, query='{app="nobody"}', within="200ms")

    assert 'no stream matches {app="nobody"} in that time; labels that Loki has then: ' in str(caught.value.hint)
    assert "service_name" in str(caught.value.hint)


def test_a_line_from_a_clock_that_is_ahead_is_pointed_out(
    step: Callable[..., Any], push: Callable[..., int], unique: str
) -> None:
    push("early", ahead_s=60)
    with pytest.raises(StepAssertionError) as caught:
        step(loki_assert, query=f'{{app="{unique}"}}', within="200ms")

    assert "is the clock of its sender ahead? write `end: +10m`" in str(caught.value.hint)
    assert ["early"] == step(loki_assert, query=f'{{app="{unique}"}}', end="+10m")["lines"]


@pytest.mark.parametrize(
    ("config", "code", "told"),
    [
        ({"query": '{app="x"'}, "BAD_QUERY", "the query is not LogQL: parse error at line 1, col 9: syntax error"),
        ({"query": "{}"}, "BAD_QUERY", "at least one regexp or equality matcher"),
        ({"query": '{a="b"}', "limit": 999_999}, "BAD_QUERY", "max entries limit per query exceeded"),
        ({"query": '{a="b"}', "start": 6, "end": 5}, "BAD_QUERY", "the range is empty: end timestamp"),
        ({"query": '{a="b"}', "start": "2020-01-01"}, "TOO_MUCH", "the query time range exceeds the limit"),
    ],
    ids=["syntax", "empty selector", "limit", "range", "long range"],
)
def test_a_refusal_is_told(step: Callable[..., Any], config: dict[str, Any], code: str, told: str) -> None:
    with pytest.raises(TargetError) as caught:
        step(loki_query, **config)

    assert code == caught.value.code
    assert told in caught.value.message


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("{app=shop}", "text stands in double quotes"),
        ("{app='shop'}", "text stands in double quotes"),
        ('{app="shop"} |= order', "text stands in double quotes"),
        ('app="shop"', "begins with a selector in braces"),
        ('sum({app="shop"})', "a range, [5m], stands before the closing parenthesis"),
        ('rate({app="shop"} |= "x")', "a range, [5m], stands before the closing parenthesis"),
        ('{app="shop"}[5m]', "a range, [5m], stands before the closing parenthesis"),
        ("{}", "at least one label with a value"),
        ('{app="shop"', 'such as {app="shop"}'),
    ],
)
def test_a_common_mistake_has_a_hint(step: Callable[..., Any], query: str, hint: str) -> None:
    with pytest.raises(TargetError, match="the query is not LogQL: parse error") as caught:
        step(loki_query, query=query)

    assert hint in str(caught.value.hint)


def test_another_server_is_told(step: Callable[..., Any], loki: Any) -> None:
    with pytest.raises(TargetError, match="not found: 404 page not found") as caught:
        step(loki_query, query='{a="b"}', url=f"{loki.url}/nowhere")

    assert f"is {loki.url}/nowhere the base address of a Loki?" == caught.value.hint


def test_the_lines_of_a_trace_are_found(
    loki: Any, push: Callable[..., int], unique: str, make_context: Callable[..., Any]
) -> None:
    trace, client = unique * 2, HttpClient.of(make_context())
    start_ns = push(f'{{"trace_id": "{trace}", "msg": "in the line"}}')
    push("beside the line", {"trace_id": trace})
    push(f"both {trace}", {"trace_id": trace})
    end_ns = push("another")
    found = lines_of_trace(trace, start_ns, end_ns, {"loki_url": loki.url}, client, Deadline.after(60, ""))

    assert ["in the line", "beside the line", "both"] == [
        word for entry in found for word in ("in the line", "beside the line", "both") if word in entry["line"]
    ]
