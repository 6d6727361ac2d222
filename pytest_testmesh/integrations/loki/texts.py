"""What was found, as a report shows it; the report masks secrets, nothing is hidden here."""

from __future__ import annotations

from pytest_testmesh.integrations import _sample_texts
from pytest_testmesh.integrations.loki.server import Found
from pytest_testmesh.values import one_line, shorten

_SHORT = 200
_LONG_LINES = 500


def describe(found: Found, duration_s: float, verbose: bool) -> str:
    """Return ``3 lines in 4.2 ms  order 42 is paid``; *verbose* all of them, with their times."""
    if found.samples is not None:
        return _sample_texts.describe(found.samples, duration_s, verbose)
    entries = found.entries
    head = f"{len(entries)} line{'s' * (len(entries) != 1)} in {duration_s * 1000:.1f} ms"
    if verbose:
        return "\n".join([head, *(f"{each['timestamp']}  {each['line']}" for each in entries[:_LONG_LINES])])
    return f"{head}  {shorten(one_line(entries[0]['line']), _SHORT)}" if entries else head
