"""A compiled expression, and what a failure report asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from pytest_testmesh.errors import ExpressionError, MeshError
from pytest_testmesh.expressions.evaluation import Compiler, Run
from pytest_testmesh.expressions.names import Names
from pytest_testmesh.expressions.nodes import (
    Binary,
    Call,
    Element,
    Exists,
    Is,
    Name,
    Node,
    Path,
    Placeholder,
    Ternary,
    Text,
    Unary,
    children,
)
from pytest_testmesh.expressions.operators import COMPARISONS
from pytest_testmesh.expressions.parser import Parsed, parse_expression
from pytest_testmesh.values import Missing, describe, shorten, to_json, write_json

_MAX_SHOWN = 200


class Part(NamedTuple):
    """A sub-expression of a false assertion: its text, where it stands, and its value or why it has none."""

    text: str
    offset: int
    length: int
    value: Any = None
    error: str | None = None

    def shown(self) -> str:
        """Write the value, or the error, for a report."""
        if self.error is not None:
            return self.error
        return shorten(write_json(self.value), _MAX_SHOWN)


class Comparison(NamedTuple):
    """The two sides of an expression that is a comparison; *operator* as in ``==``, ``not in``, ``startsWith``."""

    operator: str
    left: Any
    right: Any


class Expression:
    """One expression, parsed; it is compiled when it is first evaluated, since many never are."""

    __slots__ = ("_parsed", "_run", "text")

    def __init__(self, text: str, parsed: Parsed) -> None:
        self.text = text
        self._parsed = parsed
        self._run: Run | None = None

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    @property
    def names(self) -> frozenset[str]:
        """The bare names it reads."""
        return self._parsed.names

    @property
    def placeholder_names(self) -> frozenset[str]:
        """The names it reads inside ``${}`` and ``{{}}``."""
        return self._parsed.placeholder_names

    def evaluate(self, names: Names) -> Any:
        """Return the JSON value.

        Raises:
            ExpressionError: A name is undefined, a path is missing, or types do not fit.
        """
        return to_json(self.value(names))

    def value(self, names: Names) -> Any:
        """Return the value, which may still be `Missing`.

        Raises:
            ExpressionError: As for `evaluate`.
        """
        run = self._run
        if run is None:
            run = self._run = Compiler(self.text).compile(self._parsed.node)
        try:
            return run(names, None)
        except RecursionError:
            raise ExpressionError(f"{shorten(self.text)}: the values are nested too deeply") from None

    def test(self, names: Names) -> bool:
        """Return the boolean value.

        Raises:
            ExpressionError: As for `evaluate`, and where the value is anything else than true or false.
        """
        value = self.value(names)
        if value is True or value is False:
            return bool(value)
        if isinstance(value, Missing):
            raise value.error()
        text = shorten(self.text)
        raise ExpressionError(
            f"an assertion must give true or false, and {text} is {describe(value)}",
            hint=f"compare it: {text} == ..., or ask: {text} exists",
        )

    def parts(self, names: Names) -> tuple[Part, ...]:
        """Return the values of the sub-expressions that explain a false result, in source order; never raises."""
        found: dict[str, Part] = {}
        for part in _Explanation(self.text, names).parts(self._parsed.node):
            found.setdefault(part.text, part)
        return tuple(found.values())

    def comparison(self, names: Names) -> Comparison | None:
        """Return the sides if the whole is a comparison and both have values; never raises."""
        node = self._parsed.node
        if not isinstance(node, Binary) or node.operator not in COMPARISONS:
            return None
        explanation = _Explanation(self.text, names)
        left, right = explanation.part(node.left), explanation.part(node.right)
        if left.error is not None or right.error is not None:
            return None
        operator = f"not {node.operator}" if node.negated else node.operator
        return Comparison(operator=operator, left=left.value, right=right.value)


class _Explanation:
    """Evaluates parts of an expression one by one."""

    def __init__(self, source: str, names: Names) -> None:
        self._source = source
        self._names = names

    def parts(self, node: Node) -> Iterator[Part]:
        """Yield the parts that explain the value of *node*."""
        if isinstance(node, Binary):
            yield from self._of_binary(node)
        elif isinstance(node, (Unary, Exists, Is)):
            yield from self.parts(node.operand)
        elif isinstance(node, Ternary):
            yield from self.parts(node.condition)
            yield from self.parts(node.yes if self.part(node.condition).value is True else node.no)
        elif isinstance(node, Call):
            yield from self._of_call(node)
        elif not _is_constant(node):
            yield self.part(node)

    def _of_binary(self, node: Binary) -> Iterator[Part]:
        if node.operator in {"and", "or"}:
            yield from self.parts(node.left)
            if self.part(node.left).value is (node.operator == "and"):
                yield from self.parts(node.right)
        elif node.operator in COMPARISONS:
            for side in (node.left, node.right):
                if not _is_constant(side):
                    yield self.part(side)
        elif not _is_constant(node):
            yield self.part(node)

    def _of_call(self, node: Call) -> Iterator[Part]:
        for argument in node.args:
            if not _is_constant(argument) and not _reads_element(argument):
                yield self.part(argument)
        if node.function in {"all", "none"} and len(node.args) == 2:
            yield from self._culprit(node)

    def _culprit(self, node: Call) -> Iterator[Part]:
        """The first element for which ``all`` or ``none`` is false."""
        items = self.part(node.args[0])
        predicate = Compiler(self._source).compile(node.args[1])
        for index, item in enumerate(items.value if isinstance(items.value, list) else ()):
            part = self._measured(node.args[0], lambda item=item: predicate(self._names, item))  # type: ignore[misc]
            if part.value is (node.function == "none"):
                yield Part(text=f"{items.text}[{index}]", value=item, offset=items.offset, length=items.length)
                return

    def part(self, node: Node) -> Part:
        """Evaluate a node."""
        return self._measured(node, lambda: Compiler(self._source).compile(node)(self._names, None))

    def _measured(self, node: Node, run: Callable[[], Any]) -> Part:
        text = self._source[node.start : node.end]
        offset, length = node.start, node.end - node.start
        try:
            return Part(text=text, value=to_json(run()), offset=offset, length=length)
        except MeshError as exc:
            return Part(text=text, error=exc.message, offset=offset, length=length)
        except RecursionError:
            return Part(text=text, error="nested too deeply", offset=offset, length=length)


def _is_constant(node: Node) -> bool:
    if isinstance(node, (Name, Path, Placeholder, Element, Call, Text)):
        return False
    return all(map(_is_constant, children(node)))


def _reads_element(node: Node) -> bool:
    return isinstance(node, Element) or any(map(_reads_element, children(node)))


# As many texts as a few dozen flows have; the garbage collector walks all that is kept, again and again.
@lru_cache(maxsize=512)
def compile_expression(text: str, ids: frozenset[str] = frozenset()) -> Expression:
    """Parse *text*; equal texts give the same object. *ids* are the step ids with ``-`` that are one name each.

    Raises:
        ExpressionSyntaxError: Not an expression.
    """
    return Expression(text, parse_expression(text, ids))
