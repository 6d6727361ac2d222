"""What the end of a run tells: which real servers the tests used, and which were missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = Counter(_servers(terminalreporter))
    if counts:
        terminalreporter.section("real servers")
    for text, count in sorted(counts.items()):
        terminalreporter.line(f"{text} ({count} test{'s' * (count != 1)})")


def _servers(terminalreporter: pytest.TerminalReporter) -> Iterator[str]:
    """The servers of each test, once: its teardown report has what its fixtures noted."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "teardown":
                yield from (str(value) for name, value in report.user_properties if name == "server")
