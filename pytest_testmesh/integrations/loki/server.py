"""One Loki over HTTP, and what it answers to a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.integrations._http_answers import Answer
from pytest_testmesh.integrations._http_api import Access, HttpApi
from pytest_testmesh.integrations._samples import Samples, read_samples
from pytest_testmesh.integrations.loki.entries import CATEGORIZED, Entry, read_entries
from pytest_testmesh.integrations.loki.failures import row_of
from pytest_testmesh.integrations.loki.question import Question
from pytest_testmesh.polling import Deadline


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found: *entries* of a log query or *samples* of a metric query."""

    answer: Answer
    entries: Sequence[Entry]
    samples: Samples | None
    warnings: Sequence[str]
    limited: bool = False

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """Loki's warnings, and ours where lines may be missing."""
        return [(each, "warning") for each in self.warnings]

    def result(self) -> dict[str, Any]:
        """Return it as the step's result holds it."""
        samples = self.samples
        return {
            "lines": [entry["line"] for entry in self.entries],
            "entries": list(self.entries),
            "limited": self.limited,
            "count": len(self.entries if samples is None else samples.series),
            "value": None if samples is None else samples.value,
            "series": [] if samples is None else samples.series,
            "result_type": "streams" if samples is None else samples.result_type,
        }


class Loki:
    """One server; for errors of the methods see `HttpApi.ask`."""

    def __init__(self, url: str, access: Access) -> None:
        self._api = HttpApi("Loki", url, access, row_of, CATEGORIZED)
        self.url = self._api.url

    def find(self, question: Question, deadline: Deadline) -> Found:
        """Ask a question."""
        answer = self._api.ask(question.path, question.params(), deadline=deadline, form=True)
        return answer.read(lambda parsed: _found(answer, parsed, question))

    def streams(self, selector: str, question: Question, deadline: Deadline) -> int:
        """Return how many streams there are in the time that *question* is about."""
        params = {"match[]": selector, "start": question.start_ns, "end": question.end_ns}
        answer = self._api.ask("/loki/api/v1/series", params, deadline=deadline)
        return answer.read(lambda parsed: len(parsed.get("data") or ()))

    def labels(self, question: Question, deadline: Deadline) -> list[str]:
        """Return the names of all labels in the time that *question* is about."""
        params = {"start": question.start_ns, "end": question.end_ns}
        answer = self._api.ask("/loki/api/v1/labels", params, deadline=deadline)
        return answer.read(lambda parsed: sorted(parsed.get("data") or ()))


def _found(answer: Answer, parsed: Mapping[str, Any], question: Question) -> Found:
    data, warnings = parsed["data"], parsed.get("warnings") or ()
    if data["resultType"] == "streams":
        entries = read_entries(data["result"] or (), newest_first=question.newest_first)
        limited = len(entries) >= question.limit
        cut = [f"there may be more than these {len(entries)} lines: raise `limit`"] if limited else []
        return Found(answer, entries, None, [*warnings, *cut], limited)
    return Found(answer, (), read_samples(data), warnings)
