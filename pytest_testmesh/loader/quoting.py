"""Advice for the ways in which plain YAML text breaks an expression: show the author's line in quotes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_testmesh.loader.source import Node, Source

if TYPE_CHECKING:
    from yaml.error import Mark

_ENTRY = re.compile(r"\s*((?:- +)*(?:[A-Za-z_][\w-]*: +)?)(\S.*)")
_LIST_ENTRY = re.compile(r"\s*(- +)(\S.*)")
# Characters with a meaning of their own at the start of a YAML value.
_INDICATORS = frozenset("\"'{[!&*%@`|>")


def quoted(text: str) -> str:
    """Write *text* as a YAML scalar in quotes, with as few escapes as possible."""
    if "'" in text and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return "'" + text.replace("'", "''") + "'"


def quote_list_entry(source: Source, node: Node) -> str:
    """Hint for a line of a list that YAML does not see as one text."""
    found = _LIST_ENTRY.fullmatch(source.line(node.start_mark.line).rstrip())
    return _advice(*found.groups()) if found else "put each expression in quotes"


def quote_from_indicator(source: Source, mark: Mark, char: str | None = None) -> str | None:
    """Hint for a line whose value begins with a character that YAML reads as its own, such as ``"x" == y``.

    None when the value begins with no such character, or not with *char*, or when *mark* comes before it.
    """
    found = _ENTRY.fullmatch(source.line(mark.line).rstrip())
    if found is None or not found[1] or mark.column < found.start(2):
        return None
    return _advice(*found.groups()) if found[2][0] in (char or _INDICATORS) else None


def quote_second_colon(source: Source, mark: Mark) -> str | None:
    """Hint for a line with a second ``: `` in it, such as ``when: x ? b : c``."""
    found = _ENTRY.fullmatch(source.line(mark.line).rstrip())
    if found is None or not found[1] or mark.column < found.start(2):
        return None
    return _advice(*found.groups())


def cut_by_comment(source: Source, node: Node) -> str | None:
    """Hint for plain text that a `` #`` ended: the rest of the line became a comment."""
    if node.id != "scalar" or node.style or node.end_mark is None:
        return None
    line = source.line(node.end_mark.line)
    if not line[node.end_mark.column :].lstrip().startswith("#"):
        return None
    return f'" #" starts a comment in YAML: {quote_broken(line)}'


def quote_broken(line: str) -> str:
    """Hint that shows *line* with its value in quotes."""
    found = _ENTRY.fullmatch(line.rstrip())
    return _advice(*found.groups()) if found else "put the whole text in quotes"


def _advice(prefix: str, text: str) -> str:
    return f"put the whole line in quotes: {prefix}{quoted(text)}"
