"""The syntax tree of an expression; *start* and *end* are offsets into its text.

Nobody changes a node once it is made. To freeze them takes six times as long for each node and half a millisecond for
each of these classes, before the first flow; nobody compares them either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_testmesh.expressions.jsonpath import JsonPath


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """Any part of an expression."""

    start: int
    end: int


@dataclass(slots=True, eq=False, repr=False)
class Literal(Node):
    """``5``, ``'text'``, ``null``."""

    value: Any


@dataclass(slots=True, eq=False, repr=False)
class Name(Node):
    """A name that is looked up."""

    name: str


@dataclass(slots=True, eq=False, repr=False)
class Element(Node):
    """``#``, or what stands before the dot of ``.price``: the element a predicate looks at."""


@dataclass(slots=True, eq=False, repr=False)
class Path(Node):
    """``$.a.b``, searched in the step's result."""

    path: JsonPath


@dataclass(slots=True, eq=False, repr=False)
class Text(Node):
    """Text with placeholders in it; *typed*: what it renders to is a value by the rule of `values.from_text`."""

    parts: tuple[str | Node, ...]
    typed: bool = False


@dataclass(slots=True, eq=False, repr=False)
class Placeholder(Node):
    """``${content}`` or ``{{content}}``."""

    content: Node


@dataclass(slots=True, eq=False, repr=False)
class Default(Node):
    """``NAME:default``, or with *also_empty* ``NAME:-default``."""

    name: str
    default: Node
    also_empty: bool


@dataclass(slots=True, eq=False, repr=False)
class Array(Node):
    """``[a, b]``."""

    items: tuple[Node, ...]


@dataclass(slots=True, eq=False, repr=False)
class Map(Node):
    """``{key: value}``."""

    entries: tuple[tuple[str, Node], ...]


@dataclass(slots=True, eq=False, repr=False)
class Member(Node):
    """``base.name``, or with *optional* ``base?.name``."""

    base: Node
    name: str
    optional: bool


@dataclass(slots=True, eq=False, repr=False)
class Index(Node):
    """``base[index]``, or with *optional* ``base?.[index]``."""

    base: Node
    index: Node
    optional: bool


@dataclass(slots=True, eq=False, repr=False)
class Slice(Node):
    """``base[low:high]``."""

    base: Node
    low: Node | None
    high: Node | None


@dataclass(slots=True, eq=False, repr=False)
class Method(Node):
    """``base.name(args)``, or with *optional* ``base?.name(args)``."""

    base: Node
    name: str
    args: tuple[Node, ...]
    optional: bool


@dataclass(slots=True, eq=False, repr=False)
class Chain(Node):
    """A row of members with a ``?.`` in it: where that finds null, all of the row is null."""

    content: Node


@dataclass(slots=True, eq=False, repr=False)
class Call(Node):
    """``function(args)``; the function's name is in the table of functions."""

    function: str
    args: tuple[Node, ...]


@dataclass(slots=True, eq=False, repr=False)
class Unary(Node):
    """``!a``, ``-a``, ``+a``; *operator* is ``not``, ``-`` or ``+``."""

    operator: str
    operand: Node


@dataclass(slots=True, eq=False, repr=False)
class Binary(Node):
    """``a + b``, ``a == b``, ``a and b``; with *negated* ``a not in b``."""

    operator: str
    left: Node
    right: Node
    negated: bool = False


@dataclass(slots=True, eq=False, repr=False)
class Exists(Node):
    """``a exists``, ``a not exists``."""

    operand: Node
    negated: bool


@dataclass(slots=True, eq=False, repr=False)
class Is(Node):
    """``a is null``, ``a is not empty``."""

    operand: Node
    what: str
    negated: bool


@dataclass(slots=True, eq=False, repr=False)
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
