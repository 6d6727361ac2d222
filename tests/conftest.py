"""Signals and made-up examples as every test expects them; the end of a run tells which real servers were used."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest

with suppress(ImportError):  # a part of the tests also runs without any extra
    from hypothesis import settings

    # A machine may be busy for longer than an example takes; what does not end, ends with the run.
    settings.register_profile("unhurried", settings.default, deadline=None)
    settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def hang_up_ends_what_tests_start() -> Iterator[None]:
    """Undo ``nohup``: what this process ignores its children ignore, too; what it handles they do not."""
    if getattr(signal, "SIGHUP", None) is None or signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGHUP, lambda number, frame: None)
    yield
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


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
