"""Samples as reports show them; the report masks secrets, nothing is hidden here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_testmesh.integrations._samples import Samples
from pytest_testmesh.values import shorten

_SERIES_SHOWN = 5
_LONGEST_SERIES = 300
_LONG_LINES = 500


def describe(samples: Samples, duration_s: float, verbose: bool) -> str:
    """Return ``vector of 2 series in 4.2 ms  up{app="shop"} 1``; *verbose* all of them, a line each."""
    head = f"{samples.result_type} of {len(samples.series)} series in {duration_s * 1000:.1f} ms"
    if verbose:
        return "\n".join([head, *map(_described, samples.series[:_LONG_LINES])])
    return f"{head}  {_described(samples.series[0])}" if samples.series else head


def there(samples: Samples) -> Iterator[str]:
    """Say which series were there instead of those that a step waited for."""
    count = len(samples.series)
    more = f", the first {_SERIES_SHOWN}:" if count > _SERIES_SHOWN else ":"
    yield f"{count} series {'were' if count != 1 else 'was'} there{more}"
    yield from (f"  {_described(each)}" for each in samples.series[:_SERIES_SHOWN])


def _described(series: Mapping[str, Any]) -> str:
    """``up{app="shop"} 1``."""
    labels = dict(series["metric"])
    name = labels.pop("__name__", "")
    matchers = ", ".join(f"{label}={json.dumps(value, ensure_ascii=False)}" for label, value in labels.items())
    value = series["value"] if "value" in series else series["values"]
    return shorten(f"{name}{{{matchers}}} {json.dumps(value, ensure_ascii=False)}", _LONGEST_SERIES)
