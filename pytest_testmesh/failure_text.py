"""The text of a failure: one layout for every action, the first line alone tells where, what and why."""

from __future__ import annotations

import json
import re
import textwrap
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pytest_testmesh.errors import MeshError, StepAssertionError
from pytest_testmesh.loader import excerpt
from pytest_testmesh.model import Flow, Location
from pytest_testmesh.records import FailedAssertion, Failure, StepRecord
from pytest_testmesh.runner import FlowRun
from pytest_testmesh.scope import ResultNames, Scope
from pytest_testmesh.secrets import MASK, Masker
from pytest_testmesh.units import format_duration
from pytest_testmesh.values import Namespace, one_line

Compare = Callable[[Any, Any], list[str]]

_VALUE_WIDTH = 80
_DIFF_LINES = 14
_DIFFS = 3
_CHAIN_STEPS = 7
_HISTORY_LINES = 6
_LOG_LINES = 10
_ASSERTION_LINES = 10
_BODY_LINES = 36
_LINE_WIDTH = 500
HEADLINE_WIDTH = 300
_MESSAGE_WIDTH = 1000
_OWN_CODE = (str(Path(__file__).parent), "pluggy")
_PHASE_WORDS = {"setup": "setup step", "steps": "step", "teardown": "teardown step"}


def headline(failure: Failure, masker: Masker) -> str:
    """Return the one line that is also the short summary and the JUnit message."""
    error, step, record = failure.error, failure.step, failure.record
    where = getattr(error, "location", None) or step.location
    attempt = f", attempt {record.attempts}/{_limit(failure)}" if record.attempts > 1 else ""
    return _headline(
        f'{where}: {_PHASE_WORDS[failure.record.phase]} {failure.position} "{step.id}" ({step.action}) failed '
        f"after {format_duration(record.duration_s)}{attempt}",
        error,
        masker,
    )


def running_step(record: StepRecord, flow: Flow) -> str:
    """Return the start of a headline for a step that something ended from outside: file, line, position, action."""
    ids = [step.id for step in getattr(flow, record.phase)]
    position = f" {ids.index(record.id) + 1}/{len(ids)}" if record.id in ids else ""
    return f'{record.location}: {_PHASE_WORDS[record.phase]}{position} "{record.id}" ({record.action})'


def flow_error_headline(error: MeshError, fallback: Location | str, masker: Masker) -> str:
    """Return the one line for an error that belongs to the file rather than to a step that ran."""
    return _headline(str(getattr(error, "location", None) or fallback), error, masker)


def _headline(start: str, error: MeshError, masker: Masker) -> str:
    near = _near_match(error)
    line = cut(masker.text(f"{start}: {one_line(error.message)}"), HEADLINE_WIDTH)
    return f"{line}: {masker.text(near)}" if near else line


def _near_match(error: MeshError) -> str:
    """Return the hint up to its question mark if it says what was probably meant: ``did you mean x?``"""
    hint = error.hint or ""
    return hint[: hint.find("?") + 1] if hint.startswith("did you mean") else ""


def describe_flow_error(error: MeshError, fallback: Location | str, source: bytes | None, masker: Masker) -> list[str]:
    """Return the report of an error found before any step ran: headline, excerpt with a caret, hint."""
    location: Location | None = getattr(error, "location", None)
    lines = [flow_error_headline(error, fallback, masker), *_message(error, masker)]
    if location is not None and source is not None:
        lines += excerpt(source, location.line)
        lines.append(_caret(location))
    lines += [f"  stderr    {line}" for line in getattr(error, "stderr", ())[-_LOG_LINES:]]
    return _finished([*lines, *_hint(error)], masker)


def describe_failure(
    failure: Failure, run: FlowRun, source: bytes | None, compare: Compare, masker: Masker
) -> list[str]:
    """Return the masked report of a failed step, 40 lines or so; *compare* gives pytest's own diff of two values."""
    body = [
        f"  {_chain(failure, run.records)}",
        *_message(failure.error, masker),
        *_excerpt(failure, source, masker),
        *_assertions(failure, compare, masker),
        *_history(failure, masker),
        *_values(failure, run.scope, masker),
        *_exchange(failure.record, masker),
        *_details(failure.error, masker),
        *_logs(failure.record, masker),
        *_raised(failure.error),
    ]
    more = [f"  ... {len(body) - _BODY_LINES} more lines"] if len(body) > _BODY_LINES else []
    secondary = [f"  error step too: {headline(each, masker)}" for each in failure.secondary]
    found = _telemetry(failure.record)
    return _finished(
        [headline(failure, masker), *body[:_BODY_LINES], *more, *found, *_hint(failure.error), *secondary], masker
    )


def _finished(lines: list[str], masker: Masker) -> list[str]:
    # Masked before it is cut: a cut secret would not be known any more.
    first, *rest = masker.text("\n".join(lines)).split("\n")
    return [first, *(cut(line, _LINE_WIDTH) for line in rest)]


def _telemetry(record: StepRecord) -> list[str]:
    trace = [f"trace     {record.trace_id}"] if record.trace_id else []
    return [f"  {line}" for line in (*trace, *record.telemetry)]


def _message(error: MeshError, masker: Masker) -> Iterator[str]:
    """Give the first line's message again, longer, where it is much longer than that line."""
    message = one_line(error.message)
    if len(message) > HEADLINE_WIDTH:
        yield from textwrap.wrap(
            cut(masker.text(message), _MESSAGE_WIDTH),
            120,
            initial_indent="  message   ",
            subsequent_indent="            ",
        )


def failure_facts(failure: Failure, masker: Masker) -> dict[str, Any]:
    """Return what `describe_failure` tells, as JSON for machines; still to be masked."""
    error, record = failure.error, failure.record
    location = getattr(error, "location", None) or failure.step.location
    facts = {
        "message": headline(failure, masker),
        "step": failure.step.id,
        "phase": record.phase,
        "code": record.code,
        "hint": error.hint,
        "details": getattr(error, "details", {}),
        "location": {"path": location.path, "line": location.line, "column": location.column},
        "attempts": record.attempts,
        "trace_id": record.trace_id,
        "assertions": _assertion_facts(failure, masker),
    }
    for side in ("sent", "received"):
        make = getattr(record.exchange, side, None)
        facts[side] = make() if make is not None else None
    return facts


def _assertion_facts(failure: Failure, masker: Masker) -> list[dict[str, Any]]:
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


def describe_interrupted(nodeid: str, run: FlowRun, failures: list[Failure], masker: Masker) -> list[str]:
    """Return what to print for an item that Ctrl-C or SIGTERM ended: the step it was in, and its teardown."""
    steps = [record.id for record in run.records if record.reason == "interrupted"]
    torn_down = [_link(record) for record in run.records if record.phase == "teardown" and record.parent is None]
    return [
        f"{nodeid}: interrupted in step {', '.join(steps) or '-'}",
        *([f"  teardown: {' > '.join(torn_down)}"] if torn_down else []),
        *(f"  {headline(failure, masker)}" for failure in failures),
    ]


def shown(value: Any, masker: Masker, width: int = _VALUE_WIDTH) -> str:
    """Write a value as JSON on one line, masked and cut to *width* characters."""
    value = masker.tree(value)
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = masker.text(repr(value))
    return cut(text, width)


def cut(text: str, width: int) -> str:
    """Cut a text, masked before, to *width* characters."""
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _limit(failure: Failure) -> str:
    return str(failure.record.max_attempts) if failure.record.max_attempts else str(failure.record.attempts)


def _chain(failure: Failure, records: list[StepRecord]) -> str:
    links = [record for record in records if record.phase == failure.record.phase and record.parent is None]
    at = next(number for number, record in enumerate(links) if record is failure.record)
    first = max(0, at - _CHAIN_STEPS + 3)
    last = first + _CHAIN_STEPS
    texts = [_link(record) for record in links[first:last]]
    if first:
        texts.insert(0, f"{first} before")
    if len(links) > last:
        texts.append(f"{len(links) - last} more {links[-1].outcome}")
    return " > ".join(texts)


def _link(record: StepRecord) -> str:
    if record.outcome == "passed":
        return f"{record.id} {format_duration(record.duration_s)} ok"
    if record.outcome == "failed":
        return f"{record.id} FAILED" + (", continued" if record.continued else "")
    return f"{record.id} {record.outcome}"


def _excerpt(failure: Failure, source: bytes | None, masker: Masker) -> Iterator[str]:
    if source is None:
        return
    location = getattr(failure.error, "location", None) or failure.step.location
    yield from excerpt(source, location.line)
    names = failure.attempt.names
    if isinstance(failure.error, StepAssertionError) and failure.error.failed and names is not None:
        expression = failure.error.failed[0].assertion.expression
        parts = ", ".join(f"{part.text} = {_part(part, masker)}" for part in expression.parts(names))
        if parts:
            yield f"      |{' ' * location.column}{parts}"
    elif getattr(failure.error, "location", None) is not None:
        yield _caret(location)


def _caret(location: Location) -> str:
    return f"      |{' ' * location.column}^ column {location.column}"


def _part(part: Any, masker: Masker) -> str:
    if _is_secret(part.text, masker):
        return MASK
    return cut(masker.text(one_line(part.error)), 60) if part.error is not None else shown(part.value, masker, 60)


def _assertions(failure: Failure, compare: Compare, masker: Masker) -> Iterator[str]:
    error, names = failure.error, failure.attempt.names
    if not isinstance(error, StepAssertionError) or not error.failed or names is None:
        return
    yield f"  {len(error.failed)} of {error.total} assertions failed:"
    width = min(48, max(len(each.assertion.expression.text) for each in error.failed))
    for number, each in enumerate(error.failed[:_ASSERTION_LINES]):
        text = each.assertion.expression.text
        before = "" if _is_secret(text, masker) else _seen_before(text, failure.record)
        yield f"    {text:<{width}}  {seen(each, names, masker)}{before}"
        if number < _DIFFS:
            yield from _diff(each, names, compare, masker)
    if len(error.failed) > _ASSERTION_LINES:
        yield f"    ... {len(error.failed) - _ASSERTION_LINES} more"


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
    if comparison is None or any(_is_secret(part.text, masker) for part in parts):
        return ", ".join(f"{part.text} = {_part(part, masker)}" for part in parts)
    return f"{shown(comparison.left, masker, 60)} {comparison.operator} {shown(comparison.right, masker, 60)}"


def _is_secret(text: str, masker: Masker) -> bool:
    return any(masker.is_secret_name(name) for name in re.findall(r"[\w-]+", text))


def _seen_before(text: str, record: StepRecord) -> str:
    entries = record.seen.get(text, [])
    if record.attempts < 2 or not entries:
        return ""
    values = [f"{value} x{count}" if count > 3 else ", ".join([value] * count) for value, count in entries]
    cut = ["...", *values[-_HISTORY_LINES:]] if len(values) > _HISTORY_LINES else values
    return f"  (attempts: {', '.join(cut)})"


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
    return all(isinstance(side, str) for side in sides) and max(map(len, sides)) > _VALUE_WIDTH // 2


def _history(failure: Failure, masker: Masker) -> Iterator[str]:
    if failure.record.attempts < 2:
        return
    number, label = 1, "attempts"
    entries = failure.record.history
    if len(entries) > _HISTORY_LINES:
        entries = [*entries[: _HISTORY_LINES // 2], *entries[-_HISTORY_LINES // 2 :]]
    for message, count in entries:
        numbers = f"{number}-{number + count - 1}" if count > 1 else str(number)
        yield f"  {label:<9} {numbers}: {cut(masker.text(one_line(message)), 160)}"
        number, label = number + count, ""


def _values(failure: Failure, scope: Scope, masker: Masker) -> Iterator[str]:
    label = "values"
    for name in sorted(_names_used(failure)):
        try:
            value = scope.lookup(name)
        except MeshError:
            continue
        if isinstance(value, Namespace):
            continue  # a group of names, such as fixtures, has no value of its own
        text = MASK if masker.tree({name: value})[name] == MASK else shown(value, masker, 60)
        yield f"  {label:<9} {name} = {text}  <- {scope.origin(name)}"
        label = ""


def _names_used(failure: Failure) -> set[str]:
    step, result = failure.step, failure.attempt.result or {}
    names = set(step.config.names)
    for assertion in (*step.asserts, *step.assert_any, *step.assert_none):
        names |= assertion.expression.placeholder_names
        names |= {name for name in assertion.expression.names if name not in result}
    if step.when is not None:
        names |= step.when.expression.names | step.when.expression.placeholder_names
    return names


def _exchange(record: StepRecord, masker: Masker) -> Iterator[str]:
    exchange = record.exchange
    if exchange is None:
        return
    for label, make in (("sent", exchange.sent), ("received", exchange.received)):
        if make is not None:
            first, *rest = masker.text(make()).splitlines() or [""]
            yield f"  {label:<9} {first}"
            yield from (f"            {line}" for line in rest[:8])


def _details(error: MeshError, masker: Masker) -> Iterator[str]:
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    if code and details is not None and code not in _OWN_CODES:
        yield f"  code      {cut(masker.text(one_line(code)), 100)}"
    if details:
        yield f"  details   {shown(details, masker, 300)}"


_OWN_CODES = frozenset(
    {"ACTION_FAILED", "CONFIG_ERROR", "TIMEOUT", "CONNECTION_ERROR", "TARGET_ERROR", "ACTION_RAISED"}
)


def _logs(record: StepRecord, masker: Masker) -> Iterator[str]:
    label = "logs"
    for log in record.logs[-_LOG_LINES:]:
        yield f"  {label:<9} {log.get('level', 'info')}: {cut(masker.text(one_line(str(log.get('message', '')))), 200)}"
        label = ""


def _raised(error: MeshError) -> Iterator[str]:
    cause = error.__cause__
    if getattr(error, "code", None) != "ACTION_RAISED" or cause is None:
        return
    frames = [frame for frame in traceback.extract_tb(cause.__traceback__) if not _is_ours(frame.filename)]
    for frame in frames[-4:]:
        yield f"  raised    {frame.filename}:{frame.lineno} in {frame.name}: {frame.line}"


def _is_ours(filename: str) -> bool:
    return filename.startswith(_OWN_CODE[0]) or "pluggy" in Path(filename).parts


def _hint(error: MeshError) -> list[str]:
    rest = (error.hint or "").removeprefix(_near_match(error)).strip()
    first, *more = rest.splitlines() or [""]
    return [f"  hint: {first}", *(line if line.startswith("  ") else f"    {line}" for line in more)] if rest else []
