"""The spans of a run, as Jaeger tells them to its own page."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from itertools import repeat
from typing import Any

import pytest

from pytest_testmesh.polling import Deadline, attempts


def spans_of(jaeger: Mapping[str, Any], service: str, count: int) -> list[dict[str, Any]]:
    """Return the spans of the only trace of *service*, as soon as there are *count*."""
    traces: list[dict[str, Any]] = []
    for _ in attempts(repeat(0.1), Deadline.after(60, "")):
        with urllib.request.urlopen(f"{jaeger['url']}/api/traces?service={service}&lookback=1h", timeout=60) as answer:
            traces = json.load(answer)["data"]
        if traces and len(traces[0]["spans"]) >= count:
            (trace,) = traces
            found: list[dict[str, Any]] = trace["spans"]
            return found
    pytest.fail(f"Jaeger has {traces} of {service}")
