"""Says what there is instead of the metrics that a step waited for."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_testmesh.integrations._sample_texts import there
from pytest_testmesh.integrations.prometheus.promql import metric_names
from pytest_testmesh.integrations.prometheus.question import Question
from pytest_testmesh.integrations.prometheus.server import Found, Prometheus
from pytest_testmesh.polling import Deadline
from pytest_testmesh.values import near_matches


def explain(prometheus: Prometheus, question: Question, found: Found, deadline: Deadline) -> Iterator[str]:
    """Say which series were there, else what their metrics may be called; asks only where there was nothing."""
    if found.samples.series:
        yield from there(found.samples)
    else:
        yield from _near_names(prometheus, question, deadline)
    if not question.instant:
        yield from found.answer.clock_hint()


def _near_names(prometheus: Prometheus, question: Question, deadline: Deadline) -> Iterator[str]:
    wanted = metric_names(question.query)
    known = prometheus.metric_names(deadline) if wanted else []
    for name in wanted:
        if name in known:
            yield f"there is a metric {name}, but no series of it matches"
        else:
            near = near_matches(name, known)
            yield f"no metric is called {name}" + (f"; did you mean {' or '.join(near)}?" if near else "")
