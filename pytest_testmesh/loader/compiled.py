"""Expressions, templates and extractions of a flow file, compiled; their errors get a place in the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_testmesh.errors import ExpressionSyntaxError, FlowSchemaError
from pytest_testmesh.expressions import compile_expression
from pytest_testmesh.extraction import UNSET, compile_extraction
from pytest_testmesh.loader.quoting import cut_by_comment, quote_list_entry
from pytest_testmesh.loader.source import Node, Source, children
from pytest_testmesh.loader.values import (
    describe,
    nearest,
    node_at,
    read_entries,
    read_value,
    refused_tag,
    unknown_key,
)
from pytest_testmesh.model import Assertion, Location
from pytest_testmesh.template import compile_template

if TYPE_CHECKING:
    from pytest_testmesh.expressions import Expression
    from pytest_testmesh.extraction import Extraction
    from pytest_testmesh.template import Template

_ASSERTION_KEYS = ("expression", "message")
_EXTRACTION_KEYS = ("path", "default")
_SHOWN = 80  # characters of an expression in an error's first line
# One character of a quoted scalar as it stands in the file.
_IN_SINGLE_QUOTES = re.compile("''|[^']")
_IN_DOUBLE_QUOTES = re.compile(r"\\(?:x..|u.{4}|U.{8}|.)|[^\"\\]")


def read_expression(source: Source, node: Node, what: str, *, or_boolean: bool = False) -> Expression:
    """Compile a text; with *or_boolean* also a plain ``true`` or ``false``."""
    text = _read_text(source, node, what, "an expression", '"status == 200"', or_boolean=or_boolean)
    try:
        return compile_expression(text, source.ids)
    except ExpressionSyntaxError as exc:
        raise _placed(source, node, exc) from None


def _read_text(source: Source, node: Node, what: str, expected: str, example: str, *, or_boolean: bool = False) -> str:
    """Return one text; other scalars, lists and mappings get advice about quotes."""
    if node.value.__class__ is not str:
        raise _not_one_text(source, node, what)
    value = read_value(source, node)
    if value.__class__ is str:
        return str(value)
    if or_boolean and value.__class__ is bool:
        return "true" if value else "false"
    raise source.error(
        node, f"{what} must be {expected}, is {describe(source, node)}", f"write it in quotes: {example}"
    )


def _not_one_text(source: Source, node: Node, what: str) -> FlowSchemaError:
    return source.error(
        node, f"{what} must be one text, and YAML reads {describe(source, node)}", quote_list_entry(source, node)
    )


def read_assertions(source: Source, node: Node, what: str) -> tuple[Assertion, ...]:
    """Read a list of assertions, or a single one."""
    if node.id != "sequence":
        return (read_assertion(source, node, what),)
    if node.tag:
        raise refused_tag(source, node)
    entry = f"an entry of {what}"
    return tuple([read_assertion(source, child, entry) for child in node.value])


def read_assertion(source: Source, node: Node, what: str) -> Assertion:
    """Read one text, or ``{expression, message}``."""
    if node.id != "mapping":
        return Assertion(expression=read_expression(source, node, what), location=source.location(node))
    if node.tag:
        raise refused_tag(source, node)
    keys = {key.value if key.id == "scalar" else "" for key, _ in node.value}
    if not any(key in _ASSERTION_KEYS or nearest(key, _ASSERTION_KEYS) for key in keys):
        raise _not_one_text(source, node, what)
    entries = read_entries(source, node, _ASSERTION_KEYS, what)
    if "expression" not in entries:
        raise source.error(node, f"{what} lacks its expression")
    expression = entries["expression"][1]
    message = entries.get("message")
    return Assertion(
        expression=read_expression(source, expression, "expression"),
        message=_read_text(source, message[1], "message", "text", '"why it holds"') if message else None,
        location=source.location(expression),
    )


def read_template(source: Source, node: Node, *, raw: bool = False) -> Template:
    """Compile a whole tree of values."""
    value = read_value(source, node)
    try:
        return compile_template(value, source.ids, raw=raw)
    except ExpressionSyntaxError as exc:
        raise _placed(source, node_at(source, node, exc.path)[1], exc) from None


def read_extraction(source: Source, node: Node, what: str) -> Extraction:
    """Compile a text, or ``{path, default}``."""
    default: Any = UNSET
    if node.id == "mapping":
        entries = read_entries(source, node)
        unknown = next((pair[0] for key, pair in entries.items() if key not in _EXTRACTION_KEYS), None)
        if unknown is not None:
            raise unknown_key(source, unknown, _EXTRACTION_KEYS, what)
        if "path" not in entries:
            raise source.error(node, f"{what} lacks its path", 'write {path: "$.body.id", default: null}')
        if "default" in entries:
            default = read_value(source, entries["default"][1])
        node = entries["path"][1]
    text = _read_text(source, node, what, "a path or an expression", '"$.body.id"')
    try:
        return compile_extraction(text, source.ids, default=default)
    except ExpressionSyntaxError as exc:
        raise _placed(source, node, exc) from None


def _placed(source: Source, node: Node, exc: ExpressionSyntaxError) -> ExpressionSyntaxError:
    """Return a syntax error with the text it is about, its place in the file and advice from the file's text."""
    placed = ExpressionSyntaxError(
        f"{exc.message} in {_around(str(node.value), exc.offset)}",
        offset=exc.offset,
        path=exc.path,
        hint=cut_by_comment(source, node) or exc.hint,
    )
    placed.location = place_in_scalar(source, node, exc.offset)
    return placed


def _around(text: str, offset: int) -> str:
    """Show a text on one line; of a long one, what stands around *offset*."""
    start = max(0, offset - _SHOWN // 2) if len(text) > _SHOWN else 0
    end = start + _SHOWN
    shown = " ".join(text[start:end].split())
    return f"{'...' if start else ''}{shown}{'...' if end < len(text) else ''}"


def place_in_scalar(source: Source, node: Node, offset: int) -> Location:
    """Where a character of a scalar's value stands in the file; its start where that is not known."""
    start = source.location(node)
    if node.value.__class__ is not str or node.end_mark is None:
        return start
    if node.style == "|":
        return _place_in_literal(source, node, offset)
    if node.start_mark.line != node.end_mark.line:
        return start
    line = source.line(node.start_mark.line)
    column = node.start_mark.column
    if node.style in ("'", '"'):
        quote = line.find(node.style, column)
        chars = _IN_SINGLE_QUOTES if node.style == "'" else _IN_DOUBLE_QUOTES
        places = [quote + 1, *(found.end() for found in chars.finditer(line, quote + 1))]
        return Location(source.path, start.line, (places[offset] if offset < len(places) else quote) + 1)
    return Location(source.path, start.line, max(line.find(node.value, column), column) + offset + 1)


def _place_in_literal(source: Source, node: Node, offset: int) -> Location:
    before: str = node.value[:offset]
    index = node.start_mark.line + 1 + before.count("\n")
    first = next((line for line in node.value.split("\n") if line.strip()), "")
    shown = source.line(node.start_mark.line + 1 + node.value.split("\n").index(first)) if first else ""
    indent = max(shown.find(first), 0)
    return Location(source.path, index + 1, indent + len(before) - before.rfind("\n"))


class ConfigPlaces(NamedTuple):
    """Finds where a part of a step's ``config`` stands: reads the file's text again when a report asks."""

    source: Source
    line: int
    column: int

    def at(self, path: Sequence[str | int]) -> Location:
        """Return the place of ``("headers", "Accept")``, or of the nearest part above it that is there."""
        from pytest_testmesh.loader.yaml_nodes import read_documents

        config = _mapping_at(read_documents(self.source), self.line, self.column)
        if config is None:
            return Location(self.source.path, self.line, self.column)
        key, value = node_at(self.source, config, path)
        return self.source.location(value if value.id == "scalar" else key)


def _mapping_at(nodes: Iterable[Node], line: int, column: int) -> Node | None:
    for node in nodes:
        mark = node.start_mark
        if node.id == "mapping" and (mark.line + 1, mark.column + 1) == (line, column):
            return node
        if node.id != "scalar":
            found = _mapping_at(children(node), line, column)
            if found is not None:
                return found
    return None
