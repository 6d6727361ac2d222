"""What a step asks Loki: which kind of query, and about which time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.integrations._api_checks import RANGE
from pytest_testmesh.integrations._durations import duration_s
from pytest_testmesh.integrations._times import iso, read_time
from pytest_testmesh.integrations.loki.checks import check_kind
from pytest_testmesh.integrations.loki.logql import is_log_query

START = "-5m"
LIMIT = 100
INSTANT_PATH = "/loki/api/v1/query"
RANGE_PATH = "/loki/api/v1/query_range"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One query; *start_ns* to *end_ns* is the time it is about, *instant* asks for the one time *end_ns*."""

    query: str
    start_ns: int
    end_ns: int
    instant: bool = False
    step_s: float | None = None
    limit: int = LIMIT
    direction: str = "backward"

    @property
    def path(self) -> str:
        """Where it is asked."""
        return INSTANT_PATH if self.instant else RANGE_PATH

    @property
    def newest_first(self) -> bool:
        """Whether lines come in that order."""
        return self.direction == "backward"

    def params(self) -> dict[str, Any]:
        """Return the parameters of the request."""
        if self.instant:
            return {"query": self.query, "time": self.end_ns}
        return {
            "query": self.query,
            "start": self.start_ns,
            "end": self.end_ns,
            "step": self.step_s,
            "limit": self.limit,
            "direction": self.direction,
        }

    def __str__(self) -> str:
        """``{app="shop"}  2026-11-23T00:45:55.123456789Z to ...``."""
        if self.instant:
            return f"{self.query}  time {iso(self.end_ns)}"
        return f"{self.query}  {iso(self.start_ns)} to {iso(self.end_ns)}"


def read_question(config: Mapping[str, Any], began_ns: int, now_ns: int) -> Question:
    """Read the config of a step that began at *began_ns*, for a look at *now_ns*.

    The range begins where it began at the first look, so that nothing leaves it while a step waits; ``end`` goes on.

    Raises:
        ActionConfigError: A time is none, or the keys do not go together.
    """
    check_kind(config)
    query = config["query"]
    if not is_log_query(query) and not any(key in config for key in RANGE):
        time_ns = read_time(config.get("time", "now"), "time", began_ns=began_ns, now_ns=now_ns)
        return Question(query=query, start_ns=time_ns, end_ns=time_ns, instant=True)
    return Question(
        query=query,
        start_ns=read_time(config.get("start", START), "start", began_ns=began_ns, now_ns=began_ns),
        end_ns=read_time(config.get("end", "now"), "end", began_ns=began_ns, now_ns=now_ns),
        step_s=duration_s(config, "step", "0") if "step" in config else None,
        limit=config.get("limit", LIMIT),
        direction=config.get("direction", "backward"),
    )
