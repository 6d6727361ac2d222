"""What Loki's refusals mean, by their words; what is not here means the same as for every HTTP API."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_testmesh.errors import TargetError
from pytest_testmesh.integrations._failures import Row
from pytest_testmesh.integrations._watching import NOT_READY

_STARTING = Row(TargetError, "Loki is not ready: {said}", "it says so for a moment after its start", code=NOT_READY)
WORDS: Mapping[str, Row] = {
    r"empty ring": _STARTING,
    r"too many unhealthy instances in the ring": _STARTING,
    r"[Ii]ngester not ready": _STARTING,
    r"no org id": Row(
        TargetError, "Loki wants a tenant: {said}", "name it: `tenant: my-team`", code="AUTHENTICATION_FAILED"
    ),
    r"parse error|syntax error": Row(
        TargetError,
        "the query is not LogQL: {said}",
        'a query begins with a selector, {{app="shop"}}',
        code="BAD_QUERY",
    ),
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
"""The first pattern that is found in what the server said."""


def row_of(status: int, said: str) -> Row | None:
    """Return what a refusal means to Loki alone."""
    return next((row for words, row in WORDS.items() if re.search(words, said)), None)
