"""What was asked and found, as a report shows it; the report masks secrets, nothing is hidden here."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pytest_testmesh.integrations.loki.question import Question
from pytest_testmesh.integrations.loki.server import Found
from pytest_testmesh.values import one_line, shorten

_SHORT = 200
_LONG_LINES = 500


@dataclass(frozen=True, slots=True)
class Sent:
    """``{app="shop"}  2026-11-23T00:45:55.123456789Z to ...  at http://localhost:3100``."""

    question: Question
    url: str

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        return f"{self.question}  at {self.url}"


@dataclass(frozen=True, slots=True)
class Received:
    """``3 lines in 4.2 ms  order 42 is paid``; verbose with all of them."""

    found: Found
    duration_s: float

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        took = f"in {self.duration_s * 1000:.1f} ms"
        samples, entries = self.found.samples, self.found.entries
        if samples is not None:
            what = "series"
            shown = [json.dumps(each, ensure_ascii=False) for each in samples.series]
        else:
            what = "line" if len(entries) == 1 else "lines"
            shown = [f"{entry['timestamp']}  {entry['line']}" for entry in entries] if verbose else []
            shown = shown or [entry["line"] for entry in entries]
        head = f"{len(shown)} {what} {took}"
        if verbose:
            return "\n".join([head, *shown[:_LONG_LINES]])
        return f"{head}  {shorten(one_line(shown[0]), _SHORT)}" if shown else head
