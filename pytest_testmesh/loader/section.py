"""One mapping of a flow file with a fixed set of keys, and readers for the plain types of its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_testmesh.errors import FlowSchemaError
from pytest_testmesh.expressions import RESERVED
from pytest_testmesh.loader.source import Node, Source
from pytest_testmesh.loader.values import Entries, describe, nearest, read_entries, read_value, refused_tag
from pytest_testmesh.units import parse_duration


class Section:
    """The entries of one mapping; *label* names it in messages: ``flow``, ``retry of step pay``."""

    __slots__ = ("entries", "label", "source")

    def __init__(self, source: Source, label: str, entries: Entries) -> None:
        self.source = source
        self.label = label
        self.entries = entries

    @classmethod
    def read(cls, source: Source, node: Node, known: Mapping[str, Any], label: str) -> Section:
        """Check the keys of a mapping node."""
        return cls(source, label, read_entries(source, node, known, label))

    def fields(self, table: FieldTable) -> dict[str, Any]:
        """Read every entry by the table; what is not in the file is not in the result."""
        fields = {}
        for key in self.entries:
            field, read = table[key]
            fields[field] = read(self, key)
        return fields

    def node(self, key: str) -> Node:
        """Return the value node of a key that is there."""
        return self.entries[key][1]

    def what(self, key: str) -> str:
        """Name an entry: ``timeout of step pay``."""
        return f"{key} of {self.label}"

    def error(self, key: str, message: str, hint: str | None = None) -> FlowSchemaError:
        """Make an error that points at the key."""
        return self.source.error(self.entries[key][0], message, hint)

    def wrong(self, key: str, expected: str, hint: str | None = None) -> FlowSchemaError:
        """Make the error for a value of another type or range; points at the value."""
        node = self.node(key)
        seen = describe(self.source, node)
        return self.source.error(node, f"{self.what(key)} must be {expected}, is {seen}", hint)


FieldTable = Mapping[str, tuple[str, Callable[[Section, str], Any]]]


def read_text(section: Section, key: str) -> str:
    """A text; a number or a boolean has to be quoted."""
    value = read_value(section.source, section.node(key))
    if value.__class__ is not str:
        raise section.wrong(key, "text", "put it in quotes" if value is not None else None)
    return str(value)


def read_text_as_written(section: Section, key: str) -> str:
    """A text, or a number as it stands in the file: ``version: 1.10`` is ``"1.10"``."""
    node = section.node(key)
    value = read_value(section.source, node)
    if value.__class__ in (int, float):
        return str(node.value)
    return read_text(section, key)


def read_boolean(section: Section, key: str) -> bool:
    """``true`` or ``false``."""
    value = read_value(section.source, section.node(key))
    if value is True or value is False:
        return bool(value)
    raise section.wrong(key, "true or false")


def read_duration(section: Section, key: str) -> float:
    """Seconds; may be 0."""
    node = section.node(key)
    try:
        return parse_duration(read_value(section.source, node))
    except FlowSchemaError as exc:
        if exc.location is not None:
            raise
        raise section.source.error(node, f"{section.what(key)}: {exc.message}", exc.hint) from None


def read_positive_duration(section: Section, key: str) -> float:
    """Seconds, more than 0."""
    seconds = read_duration(section, key)
    if not seconds:
        raise section.wrong(key, "longer than 0")
    return seconds


def read_positive_integer(section: Section, key: str) -> int:
    """A whole number from 1 on."""
    value = read_value(section.source, section.node(key))
    if value.__class__ is int and value >= 1:
        return int(value)
    raise section.wrong(key, "a whole number from 1 on")


def read_word(section: Section, key: str, words: tuple[str, ...]) -> str:
    """One of *words*."""
    value = read_value(section.source, section.node(key))
    if value in words:
        return str(value)
    near = nearest(value, words) if isinstance(value, str) else None
    expected = f"{', '.join(words[:-1])} or {words[-1]}"
    raise section.wrong(key, expected, f"did you mean {near}?" if near else None)


def list_items(section: Section, key: str) -> list[Node]:
    """The nodes of a list."""
    node = section.node(key)
    if node.id != "sequence":
        raise section.wrong(key, "a list")
    if node.tag:
        raise refused_tag(section.source, node)
    items: list[Node] = node.value
    return items


def read_name(source: Source, node: Node, what: str) -> str:
    """A name that expressions can use: letters, digits, ``_``, and no word of the language."""
    name = read_value(source, node)
    if not isinstance(name, str):
        raise source.error(node, f"{what} must be a name, is {describe(source, node)}")
    if not (name.isascii() and name.isidentifier()):
        raise source.error(
            node, f"{what} cannot be called {name[:40]!r}", "use letters, digits and _, and begin with no digit"
        )
    if name in RESERVED:
        raise reserved(source, node, what, name)
    return name


def reserved(source: Source, node: Node, what: str, name: str) -> FlowSchemaError:
    """Make the error for a name that is a word of the expression language."""
    return source.error(node, f"{what} cannot be called {name}: a word of the expression language", f"try {name}_value")
