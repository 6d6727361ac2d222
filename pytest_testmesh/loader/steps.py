"""The steps of a flow file: every key of a step, checked once and compiled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, cast

from pytest_testmesh.expressions import RESERVED
from pytest_testmesh.loader.compiled import (
    ConfigPlaces,
    read_assertion,
    read_assertions,
    read_expression,
    read_extraction,
    read_template,
)
from pytest_testmesh.loader.marks import read_tags
from pytest_testmesh.loader.section import (
    FieldTable,
    Section,
    list_items,
    read_boolean,
    read_duration,
    read_name,
    read_positive_duration,
    read_positive_integer,
    read_text,
    read_word,
    reserved,
)
from pytest_testmesh.loader.source import Node, Source
from pytest_testmesh.loader.values import read_entries, read_value, refused_tag
from pytest_testmesh.model import Assertion, Eventually, Output, Retry, Step
from pytest_testmesh.template import compile_template
from pytest_testmesh.values import near_matches

_STEP_ID = re.compile("[a-z][a-z0-9_-]{0,63}")
_CAUSE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_CAUSES = ("timeout", "connection_error", "error")
"""Causes that are no codes; codes are the actions' own, and cannot be checked."""
_ON_ERROR = ("fail", "continue", "retry")
_BACKOFF = ("constant", "linear", "exponential")


def read_steps(section: Section, key: str, default_prefix: str) -> tuple[Step, ...]:
    """Read a list of steps; a step without an id is called *default_prefix* and its number, from 1."""
    return tuple(
        [
            read_step(section.source, node, f"{default_prefix}_{number}")
            for number, node in enumerate(list_items(section, key), 1)
        ]
    )


def read_step(source: Source, node: Node, default_id: str) -> Step:
    """Read one step."""
    declared = declared_id(node)
    section = Section.read(source, node, STEP_FIELDS, f"step {declared or default_id}")
    entries = section.entries
    if "action" not in entries:
        raise source.error(node, f"{section.label} has no action")
    fields = section.fields(STEP_FIELDS)
    if "id" not in fields:
        fields["id"] = default_id
    if "config" not in fields:
        fields["config"] = compile_template({}, source.ids)
    if "on_error" in entries or "error_steps" in entries:
        _read_error_steps(section, fields)
    if "save" in entries or "retry" in entries or "eventually" in entries:
        _check_combinations(section, fields)
    config = entries["config"][1] if "config" in entries else node
    mark = config.start_mark
    return Step(
        location=source.location(node),
        action_location=source.location(entries["action"][1]),
        config_lines=ConfigPlaces(source, mark.line + 1, mark.column + 1),
        **fields,
    )


def declared_id(node: Node) -> str | None:
    """The text under ``id`` of a step node, before anything is checked."""
    if node.id == "mapping":
        for key, value in node.value:
            if key.value == "id" and value.value.__class__ is str:
                return str(value.value)[:64]
    return None


def ids_with_hyphen(flow: Node) -> Iterator[str]:
    """Every declared step id that holds ``-``, found before anything is checked."""
    for key, value in flow.value if flow.id == "mapping" else ():
        if key.value in ("setup", "steps", "teardown", "error_steps") and value.id == "sequence":
            for step in value.value:
                declared = declared_id(step)
                if declared and "-" in declared:
                    yield declared
                yield from ids_with_hyphen(step)
        elif key.value in ("on_error", "<<"):
            yield from ids_with_hyphen(value)


def _step_id(section: Section, key: str) -> str:
    step_id = read_text(section, key)
    if not _STEP_ID.fullmatch(step_id):
        raise section.error(
            key,
            f"{step_id[:80]!r} is not a step id",
            "a to z, 0 to 9, _ and -, a letter first, at most 64 characters",
        )
    if step_id in RESERVED:
        raise reserved(section.source, section.node(key), "a step id", step_id)
    return step_id


def _action(section: Section, key: str) -> str:
    action = read_text(section, key)
    if not action or action != action.strip() or not action.isprintable():
        raise section.wrong(key, "the name of an action")
    return action


def _config(section: Section, key: str) -> Any:
    node = section.node(key)
    if node.id != "mapping":
        raise section.wrong(key, "a mapping")
    raw = "raw" in section.entries and read_boolean(section, "raw")
    return read_template(section.source, node, raw=raw)


def _outputs(section: Section, key: str) -> tuple[Output, ...]:
    source = section.source
    outputs = []
    for name, (name_node, value) in read_entries(source, section.node(key), where=section.what(key)).items():
        read_name(source, name_node, "an output")
        extraction = read_extraction(source, value, f"output {name} of {section.label}")
        outputs.append(Output(name=name, extraction=extraction, location=source.location(name_node)))
    return tuple(outputs)


def _assertions(section: Section, key: str) -> tuple[Assertion, ...]:
    return read_assertions(section.source, section.node(key), section.what(key))


def _when(section: Section, key: str) -> Assertion:
    node = section.node(key)
    expression = read_expression(section.source, node, section.what(key), or_boolean=True)
    return Assertion(expression=expression, location=section.source.location(node))


def _retry(section: Section, key: str) -> Retry:
    node = section.node(key)
    if node.id == "scalar" and not node.tag and not node.style:
        return Retry(max_attempts=read_positive_integer(section, key))
    nested = Section.read(section.source, node, _RETRY_FIELDS, section.what(key))
    fields = nested.fields(_RETRY_FIELDS)
    for field in ("retry_on", "retry_on_not"):
        if field in fields:
            fields[field], fields[f"{field}_causes"] = fields[field]
    return Retry(**fields)


def _causes(section: Section, key: str) -> tuple[tuple[Assertion, ...], frozenset[str]]:
    """Tell the plain words for causes (``timeout``) from expressions (``status >= 500``)."""
    source, node = section.source, section.node(key)
    if node.id == "sequence" and node.tag:
        raise refused_tag(source, node)
    expressions, causes = [], set()
    for entry in node.value if node.id == "sequence" else (node,):
        word = read_value(source, entry) if entry.id == "scalar" else None
        if isinstance(word, str) and _CAUSE.fullmatch(word):
            meant = near_matches(word, _CAUSES, 1, cutoff=0.9) if word.lower() not in _CAUSES else ()
            if meant:
                raise source.error(entry, f"{word} is no cause of a failure", f"did you mean {meant[0]}?")
            causes.add(word.lower())
        else:
            expressions.append(read_assertion(source, entry, f"an entry of {section.what(key)}"))
    return tuple(expressions), frozenset(causes)


def _backoff(section: Section, key: str) -> Literal["constant", "linear", "exponential"]:
    return cast('Literal["constant", "linear", "exponential"]', read_word(section, key, _BACKOFF))


def _eventually(section: Section, key: str) -> Eventually:
    node = section.node(key)
    if node.id == "scalar":
        return Eventually(within_s=read_positive_duration(section, key))
    nested = Section.read(section.source, node, _EVENTUALLY_FIELDS, section.what(key))
    if "within" not in nested.entries:
        raise section.error(key, f"{nested.label} lacks within", "write {within: 30s, every: 500ms}")
    return Eventually(**nested.fields(_EVENTUALLY_FIELDS))


def _on_error(section: Section, key: str) -> str:
    node = section.node(key)
    if node.id != "mapping":
        return read_word(section, key, _ON_ERROR)
    nested = Section.read(section.source, node, {"action": None, "error_steps": None}, section.what(key))
    return read_word(nested, "action", _ON_ERROR) if "action" in nested.entries else "fail"


def _read_error_steps(section: Section, fields: dict[str, Any]) -> None:
    """Fill in ``error_steps``, which may stand in the step or in its ``on_error``."""
    holder = section
    if "on_error" in section.entries and section.node("on_error").id == "mapping":
        nested = read_entries(section.source, section.node("on_error"))
        if "error_steps" in nested:
            if "error_steps" in section.entries:
                raise section.error("error_steps", f"{section.label} has error_steps twice", "keep one of the two")
            holder = Section(section.source, section.what("on_error"), nested)
    if "error_steps" in holder.entries:
        fields["error_steps"] = read_steps(holder, "error_steps", f"{fields['id']}_error")


def _nothing(section: Section, key: str) -> tuple[()]:
    """Stand in for a key that is read later."""
    return ()


def _check_combinations(section: Section, fields: dict[str, Any]) -> None:
    entries = section.entries
    if "save" in entries and "output" in entries:
        raise section.error("save", f"{section.label} has save and output", "they mean the same: keep output")
    if "eventually" in entries:
        if "retry" in entries:
            raise section.error("eventually", f"{section.label} has retry and eventually", "keep one of the two")
        if fields.get("on_error") == "retry":
            raise section.error(
                "eventually", f"{section.label} has eventually and on_error: retry", "keep one of the two"
            )


_RETRY_FIELDS: FieldTable = {
    "max_attempts": ("max_attempts", read_positive_integer),
    "delay": ("delay_s", read_duration),
    "backoff": ("backoff", _backoff),
    "max_delay": ("max_delay_s", read_duration),
    "retry_on": ("retry_on", _causes),
    "retry_on_not": ("retry_on_not", _causes),
}
_EVENTUALLY_FIELDS: FieldTable = {
    "within": ("within_s", read_positive_duration),
    "every": ("every_s", read_positive_duration),
    "fail_if": ("fail_if", _assertions),
}
STEP_FIELDS: FieldTable = {
    "id": ("id", _step_id),
    "name": ("name", read_text),
    "description": ("description", read_text),
    "action": ("action", _action),
    "config": ("config", _config),
    "raw": ("raw", read_boolean),
    "output": ("outputs", _outputs),
    "save": ("outputs", _outputs),
    "assert": ("asserts", _assertions),
    "assert_any": ("assert_any", _assertions),
    "assert_none": ("assert_none", _assertions),
    "when": ("when", _when),
    "disabled": ("disabled", read_boolean),
    "tags": ("tags", read_tags),
    "retry": ("retry", _retry),
    "eventually": ("eventually", _eventually),
    "timeout": ("timeout_s", read_positive_duration),
    "on_error": ("on_error", _on_error),
    "error_steps": ("error_steps", _nothing),
}
