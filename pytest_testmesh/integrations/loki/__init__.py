"""The actions ``loki.*``: what their configs and results look like; their modules are loaded by the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_testmesh.actions import BUILTIN
from pytest_testmesh.integrations._assertions import ASSERTIONS
from pytest_testmesh.integrations._durations import DURATION
from pytest_testmesh.integrations._http_api_schema import API_PROPERTIES
from pytest_testmesh.integrations._lazy import lazy
from pytest_testmesh.integrations._times import TIME

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionRegistry

_FORMS = "ISO 8601, Unix time (s, ms, us, ns), -5m, now or step.start"
_QUERY: dict[str, Any] = {
    "url": {"type": "string", "description": "http://host:3100; by default testmesh_loki_url, else localhost"},
    "query": {"type": "string", "minLength": 1, "description": 'LogQL, such as {app="shop"} |= "order 42"'},
    "start": {**TIME, "default": "-5m", "description": f"where the range begins: {_FORMS}"},
    "end": {**TIME, "default": "now", "description": f"where it ends, itself not included: {_FORMS}, +5m"},
    "step": {**DURATION, "description": "metric queries over a range: distance of two values"},
    "time": {**TIME, "default": "now", "description": f"metric queries at one time: {_FORMS}"},
    "limit": {"type": "integer", "minimum": 1, "default": 100, "description": "return no more lines than this"},
    "direction": {
        "enum": ["backward", "forward"],
        "default": "backward",
        "description": "backward: the newest lines first; forward: the oldest first",
    },
    **API_PROPERTIES,
}
QUERY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["query"],
    "additionalProperties": False,
    "properties": _QUERY,
}
ASSERT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["query"],
    "additionalProperties": False,
    "properties": {
        **_QUERY,
        "within": {**DURATION, "default": "10s", "description": "how long to wait until the assertions hold"},
        "assert": {**ASSERTIONS, "description": "expressions over the result that must hold; by default count > 0"},
    },
}
RESULT = {
    "lines": "the log lines, in the order of `direction`",
    "entries": "list of {timestamp, line, labels, structured_metadata}; labels holds those of the stream, structured "
    "metadata and what the query parsed",
    "limited": "whether there were as many lines as `limit` allows, so that there may be more",
    "count": "number of lines, of a metric query number of series",
    "value": "metric queries: value of the only series, over a range its last; else null",
    "series": "metric queries: list of {metric, value, timestamp} or {metric, values, timestamps}",
    "result_type": "streams, vector, matrix or scalar",
}

check_query = lazy("loki.checks:check")
loki_query = lazy("loki.action:query")
loki_assert = lazy("loki.action:assert_lines")


def register(registry: ActionRegistry) -> None:
    """Add ``loki.query`` and ``loki.assert``."""
    registry.add(
        "loki.query",
        loki_query,
        summary="Ask Grafana Loki for log lines or for what a LogQL query counts",
        schema=QUERY_SCHEMA,
        result=RESULT,
        check=check_query,
        provider=BUILTIN,
    )
    registry.add(
        "loki.assert",
        loki_assert,
        summary="Wait until the log lines in Grafana Loki are as they should be",
        schema=ASSERT_SCHEMA,
        result=RESULT,
        expressions=("assert",),
        check=check_query,
        provider=BUILTIN,
    )
