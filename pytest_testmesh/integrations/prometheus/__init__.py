"""The actions ``prometheus.*``: their configs and results; their modules are loaded by the first step."""

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
    "url": {"type": "string", "description": "http://host:9090; by default testmesh_prometheus_url, else localhost"},
    "query": {"type": "string", "minLength": 1, "description": 'PromQL, such as sum(orders_total{app="shop"})'},
    "time": {**TIME, "description": f"the one time that is asked for, by default the server's now: {_FORMS}"},
    "start": {**TIME, "description": f"where a range begins: {_FORMS}"},
    "end": {**TIME, "default": "now", "description": f"where a range ends: {_FORMS}"},
    "step": {**DURATION, "description": "distance of two values of a range; by default 1/250 of it, at least 1s"},
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
        "within": {**DURATION, "default": "15s", "description": "how long to wait until the assertions hold"},
        "assert": {**ASSERTIONS, "description": "expressions over the result that must hold; by default count > 0"},
    },
}
RESULT = {
    "value": "value of the only series, over a range its last one; null where there is no or more than one series",
    "metric": "labels of the only series, else null",
    "series": "list of {metric, value, timestamp} or, over a range, {metric, values, timestamps}",
    "count": "number of series",
    "result_type": "vector, matrix, scalar or string",
}

check_query = lazy("prometheus.checks:check")
prometheus_query = lazy("prometheus.action:query")
prometheus_assert = lazy("prometheus.action:assert_metrics")


def register(registry: ActionRegistry) -> None:
    """Add ``prometheus.query`` and ``prometheus.assert``."""
    registry.add(
        "prometheus.query",
        prometheus_query,
        summary="Ask Prometheus by a PromQL query",
        schema=QUERY_SCHEMA,
        result=RESULT,
        check=check_query,
        provider=BUILTIN,
    )
    registry.add(
        "prometheus.assert",
        prometheus_assert,
        summary="Wait until metrics in Prometheus are as they should be",
        schema=ASSERT_SCHEMA,
        result=RESULT,
        expressions=("assert",),
        check=check_query,
        provider=BUILTIN,
    )
