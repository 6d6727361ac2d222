"""The text of a failure: one layout for every action, the first line alone tells where, what and why."""

from __future__ import annotations

import textwrap
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_testmesh.assertion_text import HISTORY_ENTRIES, Compare, assertion_facts, describe_assertions, list_problems
from pytest_testmesh.errors import MeshError, StepAssertionError
from pytest_testmesh.loader import excerpt
from pytest_testmesh.masked_text import HEADLINE_WIDTH, cut, part_text, shown
from pytest_testmesh.model import Flow, Location
from pytest_testmesh.records import Failure, StepRecord
from pytest_testmesh.runner import FlowRun
from pytest_testmesh.scope import Scope
from pytest_testmesh.secrets import MASK, Masker
from pytest_testmesh.units import format_duration
from pytest_testmesh.values import Namespace, one_line

_CHAIN_STEPS = 7
_LOG_LINES = 10
_BODY_LINES = 36
_LINE_WIDTH = 500
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
        *list_problems(failure.error, masker),
        *describe_assertions(failure, compare, masker),
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
        "assertions": assertion_facts(failure, masker),
        "problems": list(getattr(error, "problems", ())),
    }
    for side in ("sent", "received"):
        make = getattr(record.exchange, side, None)
        facts[side] = make() if make is not None else None
    return facts


def describe_interrupted(nodeid: str, run: FlowRun, failures: list[Failure], masker: Masker) -> list[str]:
    """Return what to print for an item that Ctrl-C or SIGTERM ended: the step it was in, and its teardown."""
    steps = [record.id for record in run.records if record.reason == "interrupted"]
    torn_down = [_link(record) for record in run.records if record.phase == "teardown" and record.parent is None]
    return [
        f"{nodeid}: interrupted in step {', '.join(steps) or '-'}",
        *([f"  teardown: {' > '.join(torn_down)}"] if torn_down else []),
        *(f"  {headline(failure, masker)}" for failure in failures),
    ]


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
        parts = ", ".join(f"{part.text} = {part_text(part, masker)}" for part in expression.parts(names))
        if parts:
            yield f"      |{' ' * location.column}{parts}"
    elif getattr(failure.error, "location", None) is not None:
        yield _caret(location)


def _caret(location: Location) -> str:
    return f"      |{' ' * location.column}^ column {location.column}"


def _history(failure: Failure, masker: Masker) -> Iterator[str]:
    if failure.record.attempts < 2:
        return
    number, label = 1, "attempts"
    entries = failure.record.history
    if len(entries) > HISTORY_ENTRIES:
        entries = [*entries[: HISTORY_ENTRIES // 2], *entries[-HISTORY_ENTRIES // 2 :]]
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
