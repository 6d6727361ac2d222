"""What became of each step: plain data for reports, and the same as JSON for machines and xdist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pytest_testmesh.actions import Exchange
    from pytest_testmesh.errors import MeshError
    from pytest_testmesh.model import Assertion, Location, Phase, Step
    from pytest_testmesh.scope import ResultNames

_HISTORY_ENTRIES = 200

StepOutcome = Literal["passed", "failed", "skipped", "not run"]


@dataclass(slots=True, kw_only=True)
class StepRecord:
    """What became of one step.

    *continued* means failed, but ``on_error: continue`` let the flow go on. *parent* is the step whose
    ``error_steps`` this one belongs to. *history* tells how each failed attempt ended, equal neighbours counted.
    *trace_id* is that of the run's trace, if it is traced; *telemetry* are lines about what was found of it.
    """

    id: str
    action: str
    phase: Phase
    location: Location
    name: str | None = None
    parent: str | None = None
    outcome: StepOutcome = "not run"
    continued: bool = False
    reason: str | None = None
    code: str | None = None
    duration_s: float = 0.0
    attempts: int = 0
    max_attempts: int | None = None
    history: list[tuple[str, int]] = field(default_factory=list)
    seen: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    logs: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    sections: list[tuple[str, str]] = field(default_factory=list)
    config: Any = None
    exchange: Exchange | None = None
    trace_id: str | None = None
    telemetry: list[str] = field(default_factory=list)

    def remember(self, message: str, seen: Mapping[str, str]) -> None:
        """Add a failed attempt to the history, and to *seen* what each of its failed comparisons saw."""
        _count(self.history, message)
        for text, value in seen.items():
            _count(self.seen.setdefault(text, []), value)

    @property
    def state(self) -> str:
        """The outcome in words: ``"failed, continued"`` for a failure that the flow went past."""
        return "failed, continued" if self.continued else self.outcome

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON: durations in seconds, no objects."""
        return {
            "id": self.id,
            "name": self.name,
            "action": self.action,
            "phase": self.phase,
            "line": self.location.line,
            "parent": self.parent,
            "outcome": self.outcome,
            "continued": self.continued,
            "reason": self.reason,
            "code": self.code,
            "duration_s": round(self.duration_s, 6),
            "attempts": self.attempts,
            "logs": self.logs,
            "metrics": self.metrics,
        }


def _count(entries: list[tuple[str, int]], text: str) -> None:
    """Add *text* to a list of texts in which equal neighbours are counted; of a long one only the end is kept."""
    if entries and entries[-1][0] == text:
        entries[-1] = (text, entries[-1][1] + 1)
    else:
        entries.append((text, 1))
        del entries[:-_HISTORY_ENTRIES]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAssertion:
    """One assertion that did not hold; *error* says why it could not be evaluated, if that is the case."""

    assertion: Assertion
    group: Literal["assert", "assert_any", "assert_none"]
    error: MeshError | None = None


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One attempt of a step: its filled-in *config*, its *result*, or the *error* that ended it, or both.

    *final* forbids another attempt. *skipped* is the reason why there was none. *names* is what assertions saw.
    """

    config: Any = None
    result: Mapping[str, Any] | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: MeshError | None = None
    final: bool = False
    skipped: str | None = None
    names: ResultNames | None = None


@dataclass(slots=True, kw_only=True)
class Failure:
    """Everything a report needs to tell how a step failed.

    *position* is ``"3/5"``. *secondary* are failures of the step's ``error_steps``.
    """

    step: Step
    position: str
    error: MeshError
    record: StepRecord
    attempt: Attempt
    secondary: list[Failure] = field(default_factory=list)
