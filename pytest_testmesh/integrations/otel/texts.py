"""What was asked and seen, as a report shows it; the report masks secrets, nothing is hidden here."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pytest_testmesh.integrations.otel.question import Question
from pytest_testmesh.integrations.otel.seen import Seen
from pytest_testmesh.integrations.otel.trees import trees

_MANY_LINES = 500


@dataclass(frozen=True, slots=True)
class Sent:
    """``trace 4bf92f35... of Tempo at http://localhost:3200``."""

    question: Question
    backend: str
    url: str

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        return f"{self.question} of {self.backend} at {self.url}"


@dataclass(frozen=True, slots=True)
class Received:
    """``3 spans in 4.2 ms``; verbose with the trees of their traces and all that is known of each span."""

    seen: Seen
    duration_s: float

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        count = len(self.seen.spans)
        line = f"{count} span{'s' * (count != 1)} in {self.duration_s * 1000:.1f} ms"
        if not verbose or not self.seen.traces:
            return line
        spans = "\n".join(json.dumps(span.result(), ensure_ascii=False) for each in self.seen.traces for span in each)
        return f"{line}\n{trees(self.seen.traces, _MANY_LINES)}\n\n{spans}"
