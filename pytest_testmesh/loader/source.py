"""The text of a flow file: its lines for reports, positions for errors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from pytest_testmesh.errors import FlowSchemaError
from pytest_testmesh.model import Location
from pytest_testmesh.sniff import as_utf8

if TYPE_CHECKING:
    from yaml.error import Mark

# What YAML counts as a line break; an editor may count fewer, libyaml's marks do not.
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_LONGEST_SHOWN_LINE = 160


class Node(Protocol):
    """What a YAML node of either parser has.

    *id* is ``scalar``, ``sequence`` or ``mapping``, *value* a text, a list of nodes or a list of pairs of nodes;
    only scalars have a *style*: a quote, ``|``, ``>``, or nothing for plain text.
    """

    id: str
    tag: str | None
    value: Any
    style: str | None
    start_mark: Mark
    end_mark: Mark | None


def children(node: Node) -> Iterable[Node]:
    """The keys and values of a mapping, or the entries of a list."""
    for part in node.value if node.id != "scalar" else ():
        if node.id == "mapping":
            yield from part
        else:
            yield part


def split_lines(data: bytes) -> list[str]:
    """Split a file into lines as YAML counts them; bytes that are no UTF-8 become U+FFFD."""
    return _LINE_BREAK.split(as_utf8(data).decode("utf-8", "replace").removeprefix("\ufeff"))


def excerpt_lines(data: bytes, line: int, context: int) -> list[str]:
    """Do what `pytest_testmesh.loader.excerpt` says."""
    lines = split_lines(data)
    if not 1 <= line <= len(lines):
        return []
    return [
        f"{'>' if number == line else ' '} {number:>3} | {_printable(lines[number - 1])}".rstrip()
        for number in range(max(1, line - context), line + 1)
    ]


def _printable(line: str) -> str:
    """Keep columns where they are, but let no control character reach the terminal."""
    if len(line) > _LONGEST_SHOWN_LINE:
        line = line[: _LONGEST_SHOWN_LINE - 3] + "..."
    return "".join(char if char.isprintable() else " " if char == "\t" else "\ufffd" for char in line)


class Source:
    """One file while it is read; *ids* are the step ids in it that hold ``-``: expressions must know them."""

    __slots__ = ("data", "ids", "path")

    def __init__(self, path: str, data: bytes, ids: frozenset[str] = frozenset()) -> None:
        self.path = path
        self.data = data
        self.ids = ids

    def location(self, node: Node) -> Location:
        """Where *node* starts."""
        mark = node.start_mark
        return Location(self.path, mark.line + 1, mark.column + 1)

    def error(self, node: Node, message: str, hint: str | None = None) -> FlowSchemaError:
        """Make the error that points at *node*."""
        return FlowSchemaError(message, hint=hint, location=self.location(node))

    def line(self, index: int) -> str:
        """Return a line of the file, counted from 0; empty behind the last."""
        lines = split_lines(self.data)
        return lines[index] if index < len(lines) else ""
