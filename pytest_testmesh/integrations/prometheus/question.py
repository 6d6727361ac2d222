"""What a step asks Prometheus: a query, and about which time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.integrations._durations import duration_s
from pytest_testmesh.integrations._times import NS, in_seconds, iso, read_time
from pytest_testmesh.integrations.prometheus.checks import check_kind

_POINTS = 250
_MS_DIGITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One query: about *start_ns* to *end_ns*, about one time *time_ns*, or about the server's now."""

    query: str
    time_ns: int | None = None
    start_ns: int | None = None
    end_ns: int = 0
    step_s: float = 0.0

    @property
    def path(self) -> str:
        """Where it is asked."""
        return "/api/v1/query" if self.instant else "/api/v1/query_range"

    @property
    def instant(self) -> bool:
        """Whether it is about one time."""
        return self.start_ns is None

    def params(self) -> dict[str, Any]:
        """Return the parameters of the request."""
        if self.start_ns is None:
            return {"query": self.query, "time": None if self.time_ns is None else in_seconds(self.time_ns)}
        return {
            "query": self.query,
            "start": in_seconds(self.start_ns),
            "end": in_seconds(self.end_ns),
            "step": self.step_s,
        }

    def __str__(self) -> str:
        """``up  2026-11-23T00:45:55.123Z to 2026-11-23T00:50:55.123Z, step 1s``."""
        if self.start_ns is not None:
            start, end = iso(self.start_ns, _MS_DIGITS), iso(self.end_ns, _MS_DIGITS)
            return f"{self.query}  {start} to {end}, step {self.step_s:g}s"
        return self.query if self.time_ns is None else f"{self.query}  time {iso(self.time_ns, _MS_DIGITS)}"


def read_question(config: Mapping[str, Any], began_ns: int, now_ns: int) -> Question:
    """Read the config of a step that began at *began_ns*, for a look at *now_ns*.

    A range begins where it began at the first look; its end goes on.

    Raises:
        ActionConfigError: A time is none, or the keys do not go together.
    """
    check_kind(config)
    query = config["query"]
    if "start" in config:
        start_ns = read_time(config["start"], "start", began_ns=began_ns, now_ns=began_ns)
        end_ns = read_time(config.get("end", "now"), "end", began_ns=began_ns, now_ns=now_ns)
        step_s = duration_s(config, "step", "0") if "step" in config else max((end_ns - start_ns) // NS // _POINTS, 1)
        return Question(query=query, start_ns=start_ns, end_ns=end_ns, step_s=step_s)
    if "time" in config:
        return Question(query=query, time_ns=read_time(config["time"], "time", began_ns=began_ns, now_ns=now_ns))
    return Question(query=query)
