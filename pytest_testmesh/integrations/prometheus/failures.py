"""What Prometheus's refusals mean, by their words; what is not here means the same as for every HTTP API."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_testmesh.errors import TargetError
from pytest_testmesh.integrations._failures import Row
from pytest_testmesh.integrations._http_answers import by_words
from pytest_testmesh.integrations._watching import NOT_READY


def _not_promql(hint: str) -> Row:
    return Row(TargetError, "the query is not PromQL: {said}", hint, code="BAD_QUERY")


WORDS: Mapping[str, Row] = {
    r"Service Unavailable|not ready|TSDB not ready": Row(
        TargetError, "Prometheus is not ready: {said}", "it reads its data after a start", code=NOT_READY
    ),
    r"query processing would load too many samples": Row(
        TargetError,
        "the query needs more samples than Prometheus takes into memory: {said}",
        "name more labels, ask for a shorter range, or a longer `step`",
        code="TOO_MUCH",
    ),
    r"exceeded maximum resolution": Row(
        TargetError,
        "the range has too many points: {said}",
        "write a longer `step` or a later `start`",
        code="TOO_MUCH",
    ),
    r"end timestamp must not be before": Row(
        TargetError, "the range is empty: {said}", "`start` must be before `end`", code="BAD_QUERY"
    ),
    r"query timed out|context deadline exceeded|query was canceled": Row(
        TargetError,
        "Prometheus gave the query up: {said}",
        "ask for less, or raise its --query.timeout",
        code="QUERY_TIMEOUT",
    ),
    r"in label matching, expected string": _not_promql('values of labels stand in quotes: up{{job="api"}}'),
    r"inside braces": _not_promql('labels stand between {{ and }}, with commas: up{{job="api", state="paid"}}'),
    r"expected type range vector": _not_promql(
        "name the range that the function looks back over: rate(orders_total[5m])"
    ),
    r"got range vector|\"range vector\" for range query|ranges only allowed": _not_promql(
        "a range, [5m], stands beside the name of a metric and within a function that looks back, such as "
        "rate(orders_total[5m]); sums are made of that: sum(rate(orders_total[5m]))"
    ),
    r"parse error|unknown function|bad_data|invalid parameter \"query\"|expected type": _not_promql(
        'such as sum(orders_total{{app="shop"}})'
    ),
    r"found duplicate series|many-to-many matching|multiple matches for labels": Row(
        TargetError, "the query cannot be computed: {said}", "say which labels to match by: on(...)", code="BAD_QUERY"
    ),
}
row_of = by_words(WORDS)
"""What a refusal means to Prometheus alone."""
