"""One Prometheus over HTTP, and what it answers to a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.integrations._http_answers import Answer
from pytest_testmesh.integrations._http_api import Access, HttpApi
from pytest_testmesh.integrations._samples import Samples, read_samples
from pytest_testmesh.integrations.prometheus.failures import row_of
from pytest_testmesh.integrations.prometheus.question import Question
from pytest_testmesh.polling import Deadline


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found, and what the server remarks on the query."""

    answer: Answer
    samples: Samples
    warnings: Sequence[str]
    infos: Sequence[str]

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """What the server remarks, with levels."""
        return [*((each, "warning") for each in self.warnings), *((each, "info") for each in self.infos)]

    def result(self) -> dict[str, Any]:
        """Return it as the step's result holds it."""
        samples = self.samples
        return {
            "value": samples.value,
            "metric": None if samples.only is None else samples.only["metric"],
            "series": samples.series,
            "count": len(samples.series),
            "result_type": samples.result_type,
        }


class Prometheus:
    """One server; for errors of the methods see `HttpApi.ask`."""

    def __init__(self, url: str, access: Access) -> None:
        self._api = HttpApi("Prometheus", url, access, row_of)
        self.url = self._api.url

    def find(self, question: Question, deadline: Deadline) -> Found:
        """Ask a question."""
        answer = self._api.ask(question.path, question.params(), deadline=deadline, form=True)
        return answer.read(lambda parsed: _found(answer, parsed))

    def metric_names(self, deadline: Deadline) -> list[str]:
        """Return the names of all metrics."""
        answer = self._api.ask("/api/v1/label/__name__/values", deadline=deadline)
        return answer.read(lambda parsed: sorted(parsed["data"]))


def _found(answer: Answer, parsed: Mapping[str, Any]) -> Found:
    return Found(answer, read_samples(parsed["data"]), parsed.get("warnings") or (), parsed.get("infos") or ())
