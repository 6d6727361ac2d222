"""What was asked and found, as a report shows it; the report masks secrets, nothing is hidden here."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_testmesh.integrations.prometheus.explaining import described
from pytest_testmesh.integrations.prometheus.question import Question
from pytest_testmesh.integrations.prometheus.server import Found

_LONG_LINES = 500


@dataclass(frozen=True, slots=True)
class Sent:
    """``up{app="shop"}  at http://localhost:9090``."""

    question: Question
    url: str

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        return f"{self.question}  at {self.url}"


@dataclass(frozen=True, slots=True)
class Received:
    """``vector of 2 series in 4.2 ms  up{app="shop"} 1``; verbose with all of them."""

    found: Found
    duration_s: float

    def __call__(self, verbose: bool = False) -> str:
        """Return the text."""
        samples = self.found.samples
        head = f"{samples.result_type} of {len(samples.series)} series in {self.duration_s * 1000:.1f} ms"
        if verbose:
            return "\n".join([head, *map(described, samples.series[:_LONG_LINES])])
        return f"{head}  {described(samples.series[0])}" if samples.series else head
