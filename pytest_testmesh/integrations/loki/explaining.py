"""Says why lines may be missing that a step waited for, by what Loki knows of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pytest_testmesh.integrations._sample_texts import there
from pytest_testmesh.integrations._times import NS, read_time
from pytest_testmesh.integrations.loki.logql import is_log_query, selector
from pytest_testmesh.integrations.loki.question import Question
from pytest_testmesh.integrations.loki.server import Found, Loki
from pytest_testmesh.polling import Deadline
from pytest_testmesh.units import format_duration
from pytest_testmesh.values import shorten

_LINES_SHOWN = 5
_LONGEST_LINE = 300
_LABELS_SHOWN = 20
_AHEAD_NS = 600 * NS
"""Loki takes lines from up to 10 minutes in the future."""


def explain(loki: Loki, question: Question, found: Found, deadline: Deadline) -> Iterator[str]:
    """Say what was there, else why there may be nothing; asks only where there was nothing."""
    if found.entries:
        yield from _newest(found)
    elif found.samples is not None and found.samples.series:
        yield from there(found.samples)
    else:
        yield from _why_none(loki, question, deadline)
    yield from found.answer.clock_hint()


def _why_none(loki: Loki, question: Question, deadline: Deadline) -> Iterator[str]:
    streams = selector(question.query)
    if question.instant or streams is None:
        return
    if is_log_query(question.query):
        yield from _in_the_future(loki, question, deadline)
    count = loki.streams(streams, question, deadline)
    if count:
        yield f"{streams} matches {count} stream{'s' * (count != 1)}, but no line passes the rest of the query"
        return
    names = loki.labels(question, deadline)
    shown = ", ".join(names[:_LABELS_SHOWN]) + ", ..." * (len(names) > _LABELS_SHOWN)
    yield f"no stream matches {streams} in that time; labels that Loki has then: {shown or 'none'}"


def _in_the_future(loki: Loki, question: Question, deadline: Deadline) -> Iterator[str]:
    """Lines of a machine whose clock is ahead are there, but after the end of the range."""
    end_ns = question.end_ns
    later = replace(question, start_ns=end_ns, end_ns=end_ns + _AHEAD_NS, limit=1, direction="backward")
    entries = loki.find(later, deadline).entries
    if entries:
        stamp = entries[0]["timestamp"]
        ahead_s = (read_time(stamp, "end", began_ns=0, now_ns=0) - end_ns) / NS
        yield (
            f"a line that matches lies {format_duration(ahead_s)} after the end of the range, at {stamp}: "
            "is the clock of its sender ahead? write `end: +10m`"
        )


def _newest(found: Found) -> Iterator[str]:
    entries = sorted(found.entries, key=lambda entry: entry["timestamp"], reverse=True)
    count = len(entries)
    yield f"{count} line{'s' * (count != 1)} {'were' if count != 1 else 'was'} there" + (
        f", the newest {_LINES_SHOWN}:" if count > _LINES_SHOWN else ":"
    )
    for entry in entries[:_LINES_SHOWN]:
        yield f"  {entry['timestamp']}  {shorten(entry['line'], _LONGEST_LINE)}"
