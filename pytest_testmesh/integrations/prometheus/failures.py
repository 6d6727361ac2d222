"""What Prometheus's refusals mean, by their words; what is not here means the same as for every HTTP API."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_testmesh.errors import TargetError
from pytest_testmesh.integrations._failures import Row
from pytest_testmesh.integrations._watching import NOT_READY

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
    r"parse error|unknown function|bad_data|invalid parameter \"query\"|expected type": Row(
        TargetError, "the query is not PromQL: {said}", 'such as sum(orders_total{{app="shop"}})', code="BAD_QUERY"
    ),
    r"found duplicate series|many-to-many matching|multiple matches for labels": Row(
        TargetError, "the query cannot be computed: {said}", "say which labels to match by: on(...)", code="BAD_QUERY"
    ),
}
"""The first pattern that is found in what the server said."""


def row_of(status: int, said: str) -> Row | None:
    """Return what a refusal means to Prometheus alone."""
    return next((row for words, row in WORDS.items() if re.search(words, said)), None)
