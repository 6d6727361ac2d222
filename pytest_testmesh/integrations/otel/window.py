"""The time that a search for traces covers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.integrations._times import NS, iso, read_time

START = "-1h"
_AHEAD_NS = 300 * NS
"""Clocks of servers differ; spans from a clock that is ahead are found, too."""


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when, in Unix nanoseconds."""

    start_ns: int
    end_ns: int

    def in_seconds(self) -> dict[str, int]:
        """Return the parameters as Tempo wants them."""
        return {"start": self.start_ns // NS, "end": self.end_ns // NS}

    def in_rfc3339(self) -> tuple[str, str]:
        """Return start and end as texts."""
        return iso(self.start_ns), iso(self.end_ns)


def read_window(config: Mapping[str, Any], began_ns: int, now_ns: int) -> Window:
    """Return from when ``start`` says, read when the step began, until a little of what fast clocks call the present.

    Raises:
        ActionConfigError: ``start`` is not a time.
    """
    start_ns = read_time(config.get("start", START), "start", began_ns=began_ns, now_ns=began_ns)
    return Window(start_ns, now_ns + _AHEAD_NS)
