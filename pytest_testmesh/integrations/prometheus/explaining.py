"""Says what there is instead of the metrics that a step waited for."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.integrations.prometheus.promql import metric_names
from pytest_testmesh.integrations.prometheus.question import Question
from pytest_testmesh.integrations.prometheus.server import Found, Prometheus
from pytest_testmesh.polling import Deadline
from pytest_testmesh.values import shorten

_SERIES_SHOWN = 5
_LONGEST_SERIES = 300


@dataclass(frozen=True, slots=True)
class LastLook:
    """What the last look asked and found."""

    question: Question
    found: Found

    def explain(self, prometheus: Prometheus, deadline: Deadline) -> Iterator[str]:
        """Say which series were there, else what their metrics may be called."""
        series = self.found.samples.series
        if series:
            yield _counted(len(series))
            yield from (f"  {described(each)}" for each in series[:_SERIES_SHOWN])
        else:
            yield from self._near_names(prometheus, deadline)
        if not self.question.instant:
            yield from self.found.answer.clock_hint()

    def _near_names(self, prometheus: Prometheus, deadline: Deadline) -> Iterator[str]:
        wanted = metric_names(self.question.query)
        known = prometheus.metric_names(deadline) if wanted else []
        for name in wanted:
            if name in known:
                yield f"there is a metric {name}, but no series of it matches"
            else:
                near = difflib.get_close_matches(name, known, n=3)
                yield f"no metric is called {name}" + (f"; did you mean {' or '.join(near)}?" if near else "")


def described(series: dict[str, Any]) -> str:
    """``up{app="shop"} 1``."""
    labels = dict(series["metric"])
    name = labels.pop("__name__", "")
    matchers = ", ".join(f"{label}={json.dumps(value, ensure_ascii=False)}" for label, value in labels.items())
    value = series["value"] if "value" in series else series["values"]
    return shorten(f"{name}{{{matchers}}} {json.dumps(value, ensure_ascii=False)}", _LONGEST_SERIES)


def _counted(count: int) -> str:
    more = f", the first {_SERIES_SHOWN}:" if count > _SERIES_SHOWN else ":"
    return f"{count} series {'were' if count != 1 else 'was'} there{more}"
