"""What Loki's refusals mean, by their words; what is not here means the same as for every HTTP API."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_testmesh.errors import TargetError
from pytest_testmesh.integrations._failures import Row
from pytest_testmesh.integrations._http_answers import by_words
from pytest_testmesh.integrations._watching import NOT_READY

_STARTING = Row(TargetError, "Loki is not ready: {said}", "it says so for a moment after its start", code=NOT_READY)


def _not_logql(hint: str) -> Row:
    return Row(TargetError, "the query is not LogQL: {said}", hint, code="BAD_QUERY")


WORDS: Mapping[str, Row] = {
    r"empty ring": _STARTING,
    r"too many unhealthy instances in the ring": _STARTING,
    r"[Ii]ngester not ready": _STARTING,
    r"expecting STRING|invalid char literal|literal not terminated": _not_logql(
        'text stands in double quotes or backticks: {{app="shop"}} |= "order 42"'
    ),
    r"col 1: syntax error: unexpected": _not_logql('a query begins with a selector in braces: {{app="shop"}}'),
    r"unexpected \)|unexpected RANGE": _not_logql(
        "a range, [5m], stands before the closing parenthesis of a function that counts over time: "
        'sum(count_over_time({{app="shop"}} |= "order" [5m]))'
    ),
    r"at least one regexp or equality matcher": _not_logql(
        'a selector names at least one label with a value: {{app="shop"}}, {{app=~".+"}}'
    ),
    r"parse error|syntax error": _not_logql('such as {{app="shop"}} |= "order 42"'),
    r"max entries limit": Row(TargetError, "{said}", "write a smaller `limit`", code="BAD_QUERY"),
    r"end timestamp must not be before": Row(
        TargetError, "the range is empty: {said}", "`start` must be before `end`", code="BAD_QUERY"
    ),
    r"query time range exceeds|maximum (?:of )?series|too many outstanding requests|query.*limit": Row(
        TargetError,
        "the query asks for more than Loki gives: {said}",
        "narrow it: `start`, `end`, labels",
        code="TOO_MUCH",
    ),
    r"context deadline exceeded|context canceled": Row(
        TargetError, "Loki gave the query up: {said}", "narrow it: `start`, `end`, labels", code="QUERY_TIMEOUT"
    ),
}
row_of = by_words(WORDS)
"""What a refusal means to Loki alone."""
