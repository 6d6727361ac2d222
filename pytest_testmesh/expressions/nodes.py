"""The syntax tree of an expression; *start* and *end* are offsets into its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_testmesh.expressions.jsonpath import JsonPath


@dataclass(frozen=True, slots=True)
class Node:
    """Any part of an expression."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """``5``, ``'text'``, ``null``."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A name that is looked up."""

    name: str


@dataclass(frozen=True, slots=True)
class Element(Node):
    """``#``, or what stands before the dot of ``.price``: the element a predicate looks at."""


@dataclass(frozen=True, slots=True)
class Path(Node):
    """``$.a.b``, searched in the step's result."""

    path: JsonPath


@dataclass(frozen=True, slots=True)
class Text(Node):
    """Text with placeholders in it; *typed*: what it renders to is a value by the rule of `values.from_text`."""

    parts: tuple[str | Node, ...]
    typed: bool = False


@dataclass(frozen=True, slots=True)
class Placeholder(Node):
    """``${content}`` or ``{{content}}``."""

    content: Node


@dataclass(frozen=True, slots=True)
class Default(Node):
    """``NAME:default``, or with *also_empty* ``NAME:-default``."""

    name: str
    default: Node
    also_empty: bool


@dataclass(frozen=True, slots=True)
class Array(Node):
    """``[a, b]``."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Map(Node):
    """``{key: value}``."""

    entries: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Member(Node):
    """``base.name``, or with *optional* ``base?.name``."""

    base: Node
    name: str
    optional: bool


@dataclass(frozen=True, slots=True)
class Index(Node):
    """``base[index]``, or with *optional* ``base?.[index]``."""

    base: Node
    index: Node
    optional: bool


@dataclass(frozen=True, slots=True)
class Slice(Node):
    """``base[low:high]``."""

    base: Node
    low: Node | None
    high: Node | None


@dataclass(frozen=True, slots=True)
class Method(Node):
    """``base.name(args)``, or with *optional* ``base?.name(args)``."""

    base: Node
    name: str
    args: tuple[Node, ...]
    optional: bool


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """A row of members with a ``?.`` in it: where that finds null, all of the row is null."""

    content: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    """``function(args)``; the function's name is in the table of functions."""

    function: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``!a``, ``-a``, ``+a``; *operator* is ``not``, ``-`` or ``+``."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """``a + b``, ``a == b``, ``a and b``; with *negated* ``a not in b``."""

    operator: str
    left: Node
    right: Node
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Exists(Node):
    """``a exists``, ``a not exists``."""

    operand: Node
    negated: bool


@dataclass(frozen=True, slots=True)
class Is(Node):
    """``a is null``, ``a is not empty``."""

    operand: Node
    what: str
    negated: bool


@dataclass(frozen=True, slots=True)
class Ternary(Node):
    """``condition ? yes : no``."""

    condition: Node
    yes: Node
    no: Node


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below *node*, in source order."""
    found: list[Node] = []
    for name in node.__slots__ if type(node) is not Node else ():
        value = getattr(node, name)
        found.extend(_nodes_in(value))
    return tuple(found)


def _nodes_in(value: object) -> list[Node]:
    if isinstance(value, Node):
        return [value]
    if isinstance(value, tuple):
        return [node for each in value for node in _nodes_in(each)]
    return []
