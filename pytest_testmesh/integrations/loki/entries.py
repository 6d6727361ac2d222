"""Log lines as Loki's API writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from pytest_testmesh.integrations._times import iso

CATEGORIZED = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
"""A header by which Loki tells structured metadata and parsed labels from those of the stream; older ones ignore it."""


class Entry(TypedDict):
    """One line; *timestamp* is ISO 8601 to the nanosecond, *labels* holds everything known about it."""

    timestamp: str
    line: str
    labels: dict[str, str]
    structured_metadata: dict[str, str]


def read_entries(streams: Any, *, newest_first: bool) -> list[Entry]:
    """Read the ``result`` of type ``streams``: the lines of all streams in one order.

    Raises:
        KeyError, TypeError, ValueError, IndexError: It is not in the form of the source.

    Source: https://grafana.com/docs/loki/latest/reference/loki-http-api/#query-logs-within-a-range-of-time
    """
    found = sorted(_timed(streams), key=lambda timed: timed[0], reverse=newest_first)
    return [entry for _, entry in found]


def _timed(streams: Any) -> Iterator[tuple[int, Entry]]:
    for stream in streams:
        for time_ns, line, *more in stream["values"]:
            yield int(time_ns), _entry(int(time_ns), line, stream["stream"], *more)


def _entry(time_ns: int, line: str, labels: Mapping[str, str], more: Mapping[str, Any] | None = None) -> Entry:
    """Make an entry of the pair or, with categorized labels, triple that Loki writes."""
    metadata = (more or {}).get("structuredMetadata") or {}
    parsed = (more or {}).get("parsed") or {}
    return Entry(
        timestamp=iso(time_ns),
        line=line,
        labels={**labels, **metadata, **parsed},
        structured_metadata=dict(metadata),
    )
