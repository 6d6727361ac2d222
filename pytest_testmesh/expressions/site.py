"""The place in an expression where an operation stands, for the texts of its errors."""

from __future__ import annotations

from typing import Any, NoReturn

from pytest_testmesh.errors import ExpressionError
from pytest_testmesh.expressions.nodes import Binary, Call, Literal, Method, Node
from pytest_testmesh.values import Missing, describe, shorten, type_name

_ARTICLES = {"array": "an", "object": "an"}


class Site:
    """A node and the text it comes from."""

    __slots__ = ("node", "source")

    def __init__(self, source: str, node: Node) -> None:
        self.source = source
        self.node = node

    @property
    def text(self) -> str:
        """The node as the author wrote it."""
        return self.of(self.node)

    @property
    def operator(self) -> str:
        """The binary operator as messages name it."""
        assert isinstance(self.node, Binary)
        return f"not {self.node.operator}" if self.node.negated else self.node.operator

    def of(self, node: Node) -> str:
        """Return another node's text."""
        return self.source[node.start : node.end]

    def operands(self) -> tuple[Node, ...]:
        """The nodes whose values the operation takes, in the order of its parameters."""
        node = self.node
        if isinstance(node, Binary):
            return node.left, node.right
        if isinstance(node, Call):
            return node.args
        return (node.base, *node.args) if isinstance(node, Method) else ()

    def operand(self, index: int) -> Node:
        """Return one of the operands."""
        return self.operands()[index]

    def name(self) -> str:
        """The operation as messages name it: ``==``, ``upper()``."""
        node = self.node
        if isinstance(node, Call):
            return f"{node.function}()"
        return f".{node.name}()" if isinstance(node, Method) else self.operator

    def fact(self, index: int, value: Any) -> str:
        """Say what an operand is: ``status is the number 201``, or only ``"x"`` for a literal."""
        node = self.operand(index)
        text = shorten(self.of(node)) or "the element"
        return text if isinstance(node, Literal) else f"{text} is {describe(value)}"

    def fail(self, message: str, hint: str | None = None) -> NoReturn:
        """Raise the error of this operation."""
        raise ExpressionError(f"{self.name()} {message}", hint=hint)

    def fail_need(self, wanted: str, index: int, value: Any, hint: str | None = None) -> NoReturn:
        """Raise the error of an operand of the wrong type."""
        if isinstance(value, Missing):
            raise value.error()
        self.fail(f"needs {wanted}: {self.fact(index, value)}", hint)


def with_article(kind: str) -> str:
    """Return ``a number``, ``an array``, ``null``."""
    return kind if kind == "null" else f"{_ARTICLES.get(kind, 'a')} {kind}"


def refuse_missing(*values: Any) -> None:
    """Raise the error of the first value that is missing."""
    for value in values:
        if type(value) is Missing:
            raise value.error()


def kinds(*values: Any) -> list[str]:
    """Return the type names of values, none of which may be missing."""
    refuse_missing(*values)
    return [type_name(value) for value in values]
