"""The part of a failure's text that is about assertions: which did not hold, and what they saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pytest_testmesh.errors import MeshError, StepAssertionError
from pytest_testmesh.masked_text import HEADLINE_WIDTH, VALUE_WIDTH, cut, holds_secret, part_text, shown
from pytest_testmesh.records import FailedAssertion, Failure, StepRecord
from pytest_testmesh.scope import ResultNames
from pytest_testmesh.secrets import Masker
from pytest_testmesh.values import one_line

Compare = Callable[[Any, Any], list[str]]

_DIFF_LINES = 14
_DIFFS = 3
HISTORY_ENTRIES = 6
_ASSERTION_LINES = 10


def describe_assertions(failure: Failure, compare: Compare, masker: Masker) -> Iterator[str]:
    """Say of each assertion of the step that did not hold what it saw, with a diff where that helps."""
    error, names = failure.error, failure.attempt.names
    if not isinstance(error, StepAssertionError) or not error.failed or names is None:
        return
    yield f"  {len(error.failed)} of {error.total} assertions failed:"
    width = min(48, max(len(each.assertion.expression.text) for each in error.failed))
    for number, each in enumerate(error.failed[:_ASSERTION_LINES]):
        text = each.assertion.expression.text
        before = "" if holds_secret(text, masker) else _seen_before(text, failure.record)
        yield f"    {text:<{width}}  {seen(each, names, masker)}{before}"
        if number < _DIFFS:
            yield from _diff(each, names, compare, masker)
    yield from _more(error.failed)


def list_problems(error: MeshError, masker: Masker) -> Iterator[str]:
    """List what an action's own assertions found; a single one is the first line already."""
    if not isinstance(error, StepAssertionError) or len(error.problems) < 2:
        return
    yield f"  {len(error.problems)} of {error.total} assertions failed:"
    for each in error.problems[:_ASSERTION_LINES]:
        yield f"    {cut(masker.text(one_line(each)), HEADLINE_WIDTH)}"
    yield from _more(error.problems)


def seen(failed: FailedAssertion, names: ResultNames, masker: Masker) -> str:
    """Return the values of a failed assertion's parts on one line: ``25 == 30``."""
    if failed.error is not None:
        hint = f" ({failed.error.hint})" if failed.error.hint else ""
        return cut(masker.text(one_line(failed.error.message) + hint), HEADLINE_WIDTH)
    if failed.group == "assert_none":
        return "true, listed under assert_none"
    expression = failed.assertion.expression
    comparison = expression.comparison(names)
    parts = expression.parts(names)
    if comparison is None or any(holds_secret(part.text, masker) for part in parts):
        return ", ".join(f"{part.text} = {part_text(part, masker)}" for part in parts)
    return f"{shown(comparison.left, masker, 60)} {comparison.operator} {shown(comparison.right, masker, 60)}"


def assertion_facts(failure: Failure, masker: Masker) -> list[dict[str, Any]]:
    """Return what `describe_assertions` tells, as JSON for machines."""
    names = failure.attempt.names
    if not isinstance(failure.error, StepAssertionError) or names is None:
        return []
    return [
        {
            "expression": failed.assertion.expression.text,
            "group": failed.group,
            "message": failed.assertion.message,
            "seen": seen(failed, names, masker),
            "line": failed.assertion.location.line,
        }
        for failed in failure.error.failed
    ]


def _more(listed: Sequence[object]) -> Iterator[str]:
    if len(listed) > _ASSERTION_LINES:
        yield f"    ... {len(listed) - _ASSERTION_LINES} more"


def _seen_before(text: str, record: StepRecord) -> str:
    entries = record.seen.get(text, [])
    if record.attempts < 2 or not entries:
        return ""
    values = [f"{value} x{count}" if count > 3 else ", ".join([value] * count) for value, count in entries]
    told = ["...", *values[-HISTORY_ENTRIES:]] if len(values) > HISTORY_ENTRIES else values
    return f"  (attempts: {', '.join(told)})"


def _diff(failed: FailedAssertion, names: ResultNames, compare: Compare, masker: Masker) -> Iterator[str]:
    comparison = failed.assertion.expression.comparison(names) if failed.error is None else None
    if comparison is None or comparison.operator != "==" or not _worth_a_diff(comparison):
        return
    lines = compare(masker.tree(comparison.left), masker.tree(comparison.right))[1:]
    yield from (f"      {line}" for line in lines[:_DIFF_LINES])
    if len(lines) > _DIFF_LINES:
        yield f"      ... {len(lines) - _DIFF_LINES} more lines of the difference"


def _worth_a_diff(comparison: Any) -> bool:
    sides = (comparison.left, comparison.right)
    if all(isinstance(side, (dict, list)) for side in sides):
        return True
    return all(isinstance(side, str) for side in sides) and max(map(len, sides)) > VALUE_WIDTH // 2
