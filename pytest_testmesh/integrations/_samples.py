"""Samples as Prometheus writes them in JSON, and Loki where a query counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.integrations._json import from_float
from pytest_testmesh.integrations._times import iso, unix_ns

_EXACT = 2**53
_MS_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Samples:
    """What a query found: ``{metric, value, timestamp}`` or, over a range, ``{metric, values, timestamps}``."""

    result_type: str
    series: list[dict[str, Any]]

    @property
    def only(self) -> Mapping[str, Any] | None:
        """The series, where there is exactly one."""
        return self.series[0] if len(self.series) == 1 else None

    @property
    def value(self) -> Any:
        """The value of the only series, over a range its last one; else null."""
        only = self.only
        if only is None:
            return None
        return only["value"] if "value" in only else next(iter(only["values"][-1:]), None)


def read_samples(data: Mapping[str, Any]) -> Samples:
    """Read ``{"resultType": ..., "result": ...}``.

    Raises:
        KeyError, TypeError, ValueError, IndexError: It is not in the form of the source.

    Source: https://prometheus.io/docs/prometheus/latest/querying/api/#expression-query-result-formats
    """
    kind, found = data["resultType"], data["result"]
    if kind == "matrix":
        return Samples(kind, [_range(each) for each in found])
    if kind == "vector":
        return Samples(kind, [{"metric": each["metric"], **_sample(_pair(each))} for each in found])
    if kind in ("scalar", "string"):
        return Samples(kind, [{"metric": {}, **_sample(found, text=kind == "string")}])
    raise ValueError(f"unknown result type {kind}")


def number(text: str) -> int | float | str:
    """Return a sample's value: int where it is whole and exact; NaN and infinities are text."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < _EXACT else from_float(value)


def _pair(series: Mapping[str, Any]) -> Any:
    return series["histogram"] if "histogram" in series else series["value"]


def _sample(pair: Any, *, text: bool = False) -> dict[str, Any]:
    at, value = pair
    return {"value": str(value) if text else _value(value), "timestamp": iso(unix_ns(at), _MS_DIGITS)}


def _range(series: Mapping[str, Any]) -> dict[str, Any]:
    pairs = [*series.get("values", ()), *series.get("histograms", ())]
    samples = [_sample(pair) for pair in sorted(pairs, key=lambda pair: float(pair[0]))]
    return {
        "metric": series["metric"],
        "values": [each["value"] for each in samples],
        "timestamps": [each["timestamp"] for each in samples],
    }


def _value(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return number(value)
    # a native histogram; each bucket is [kind of its ends, from, to, count]
    buckets = [
        {"from": number(low), "to": number(high), "count": number(count)}
        for _ends, low, high, count in value.get("buckets", ())
    ]
    return {"count": number(value["count"]), "sum": number(value["sum"]), "buckets": buckets}
