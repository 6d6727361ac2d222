"""Syntax tree -> closures: the one evaluator. A closure takes the names and the element that ``#`` stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_testmesh.errors import ExpressionError, UndefinedNameError
from pytest_testmesh.expressions.access import element_of, member_of, slice_of
from pytest_testmesh.expressions.functions import FUNCTIONS, METHODS
from pytest_testmesh.expressions.nodes import (
    Array,
    Binary,
    Call,
    Chain,
    Default,
    Element,
    Exists,
    Index,
    Is,
    Literal,
    Map,
    Member,
    Method,
    Name,
    Node,
    Path,
    Placeholder,
    Slice,
    Ternary,
    Text,
    Unary,
)
from pytest_testmesh.expressions.operators import ARITHMETIC, OPERATORS, Operator, compile_pattern
from pytest_testmesh.expressions.site import Site, refuse_missing
from pytest_testmesh.values import Missing, Namespace, describe, from_text, to_json, to_text, type_name

if TYPE_CHECKING:
    from pytest_testmesh.expressions.names import Names

Run = Callable[[Any, Any], Any]

_DIRECT = frozenset({str, int, bool})
_CUT = object()
"""What the rest of a row of members gives after a ``?.`` that found null."""


class Compiler:
    """Compiles the nodes of one text; *inside_placeholder*: its names are already those that placeholders see."""

    def __init__(self, source: str, *, inside_placeholder: bool = False) -> None:
        self.source = source
        self._inside = inside_placeholder
        self._in_chain = False

    def compile(self, node: Node) -> Run:
        """Return the closure of a node; it gives values as they are inside an expression."""
        return _COMPILERS[type(node)](self, node)

    def rendered(self, parts: tuple[str | Node, ...]) -> Run:
        """Return the closure that writes pieces of text and placeholders one after the other."""
        runs = [part if isinstance(part, str) else self.compile(part) for part in parts]

        def render(names: Names, item: Any) -> str:
            pieces = []
            for run in runs:
                if type(run) is str:
                    pieces.append(run)
                else:
                    value = run(names, item)  # type: ignore[operator]
                    pieces.append(value if type(value) is str else to_text(value))
            return "".join(pieces)

        return render

    def _text(self, node: Text) -> Run:
        render = self.rendered(node.parts)
        if not node.typed:
            return render
        return lambda names, item: from_text(render(names, item))

    def _literal(self, node: Literal) -> Run:
        value = node.value
        return lambda names, item: value

    def _name(self, node: Name) -> Run:
        name = node.name
        return lambda names, item: names.lookup(name)

    def _element(self, node: Element) -> Run:
        return lambda names, item: item

    def _path(self, node: Path) -> Run:
        find = node.path.find
        return lambda names, item: find(names.root())

    def _placeholder(self, node: Placeholder) -> Run:
        if self._inside:
            return self.compile(node.content)
        run = Compiler(self.source, inside_placeholder=True).compile(node.content)
        return lambda names, item: run(names.placeholders, None)

    def _default(self, node: Default) -> Run:
        name, also_empty = node.name, node.also_empty
        default = self.compile(node.default)

        def value_or_default(names: Names, item: Any) -> Any:
            try:
                value = names.lookup(name)
            except UndefinedNameError:
                return default(names, item)
            if also_empty and (value is None or value == ""):
                return default(names, item)
            return value

        return value_or_default

    def _array(self, node: Array) -> Run:
        runs = [self.compile(each) for each in node.items]
        return lambda names, item: [to_json(run(names, item)) for run in runs]

    def _map(self, node: Map) -> Run:
        runs = [(key, self.compile(each)) for key, each in node.entries]
        return lambda names, item: {key: to_json(run(names, item)) for key, run in runs}

    def _member(self, node: Member) -> Run:
        base, name, source = self.compile(node.base), node.name, self.source
        if self._in_chain:
            return self._link(base, node.optional, lambda value, names, item: member_of(value, node, source))

        def member(names: Names, item: Any) -> Any:
            value = base(names, item)
            if type(value) is dict and name in value:
                return value[name]
            return member_of(value, node, source)

        return member

    def _index(self, node: Index) -> Run:
        base, source = self.compile(node.base), self.source
        index = self.compile(node.index)
        return self._link(
            base,
            node.optional,
            lambda value, names, item: element_of(value, index(names, item), node, source),
        )

    def _slice(self, node: Slice) -> Run:
        base, source = self.compile(node.base), self.source
        low = self.compile(node.low) if node.low else _nothing
        high = self.compile(node.high) if node.high else _nothing
        return self._link(
            base,
            False,
            lambda value, names, item: slice_of(value, low(names, item), high(names, item), node, source),
        )

    def _method(self, node: Method) -> Run:
        base, site = self.compile(node.base), Site(self.source, node)
        args = [self.compile(each) for each in node.args]

        def call(value: Any, names: Names, item: Any) -> Any:
            return _call_method(value, [arg(names, item) for arg in args], site)

        return self._link(base, node.optional, call)

    def _link(self, base: Run, optional: bool, access: Callable[[Any, Any, Any], Any]) -> Run:
        """One link in a row of members; in a row with ``?.`` it passes on that the row was cut off."""

        def link(names: Names, item: Any) -> Any:
            value = base(names, item)
            if value is _CUT or (optional and (value is None or type(value) is Missing)):
                return _CUT
            return access(value, names, item)

        return link

    def _uncut(self, node: Chain) -> Run:
        in_chain, self._in_chain = self._in_chain, True
        run = self.compile(node.content)
        self._in_chain = in_chain
        return run

    def _chain(self, node: Chain) -> Run:
        run = self._uncut(node)

        def chain(names: Names, item: Any) -> Any:
            value = run(names, item)
            return None if value is _CUT else value

        return chain

    def _call(self, node: Call) -> Run:
        function, site = FUNCTIONS[node.function], Site(self.source, node)
        run = function.run
        args = [self.compile(each) for each in node.args]
        if function.predicate and len(args) == 2:
            items, predicate = args
            return lambda names, item: run(site, items(names, item), lambda each: predicate(names, each))

        def call(names: Names, item: Any) -> Any:
            values = [arg(names, item) for arg in args]
            refuse_missing(*values)
            return run(site, *values)

        return call

    def _unary(self, node: Unary) -> Run:
        operand, text = self.compile(node.operand), self.source[node.operand.start : node.operand.end]
        if node.operator == "not":
            return lambda names, item: not _boolean(operand(names, item), "!", text)
        sign = -1 if node.operator == "-" else 1
        return lambda names, item: sign * _number(operand(names, item), node.operator, text)

    def _binary(self, node: Binary) -> Run:
        left, right = self.compile(node.left), self.compile(node.right)
        operator, site = node.operator, Site(self.source, node)
        if operator in {"and", "or"}:
            return _logical(left, right, site, stop=operator == "or")
        if operator == "??":
            return _coalescing(left, right)
        if operator == "==":
            return _equality(left, right, site)
        apply = OPERATORS[operator]
        if operator in ARITHMETIC:
            return _computation(left, right, apply, site)
        if operator == "matches" and isinstance(node.right, Literal) and isinstance(node.right.value, str):
            apply = _matching(node.right.value)
        if node.negated:
            return lambda names, item: not apply(left(names, item), right(names, item), site)
        return lambda names, item: apply(left(names, item), right(names, item), site)

    def _exists(self, node: Exists) -> Run:
        operand = self._uncut(node.operand) if isinstance(node.operand, Chain) else self.compile(node.operand)
        negated = node.negated

        def exists(names: Names, item: Any) -> bool:
            value = operand(names, item)
            return (value is _CUT or type(value) is Missing) is negated

        return exists

    def _is(self, node: Is) -> Run:
        operand, site = self.compile(node.operand), Site(self.source, node)
        what, negated = node.what, node.negated
        return lambda names, item: _is(operand(names, item), what, site) is not negated

    def _ternary(self, node: Ternary) -> Run:
        condition, text = self.compile(node.condition), self.source[node.condition.start : node.condition.end]
        yes, no = self.compile(node.yes), self.compile(node.no)
        return lambda names, item: (yes if _boolean(condition(names, item), "?", text) else no)(names, item)


_COMPILERS: dict[type[Node], Callable[[Compiler, Any], Run]] = {
    Array: Compiler._array,
    Binary: Compiler._binary,
    Call: Compiler._call,
    Chain: Compiler._chain,
    Default: Compiler._default,
    Element: Compiler._element,
    Exists: Compiler._exists,
    Index: Compiler._index,
    Is: Compiler._is,
    Literal: Compiler._literal,
    Map: Compiler._map,
    Member: Compiler._member,
    Method: Compiler._method,
    Name: Compiler._name,
    Path: Compiler._path,
    Placeholder: Compiler._placeholder,
    Slice: Compiler._slice,
    Ternary: Compiler._ternary,
    Text: Compiler._text,
    Unary: Compiler._unary,
}


def _nothing(names: Names, item: Any) -> None:
    return None


def _logical(left: Run, right: Run, site: Site, *, stop: bool) -> Run:
    left_text, right_text = (site.of(node) for node in site.operands())
    sign = "||" if stop else "&&"

    def logical(names: Names, item: Any) -> bool:
        if _boolean(left(names, item), sign, left_text) is stop:
            return stop
        return _boolean(right(names, item), sign, right_text)

    return logical


def _coalescing(left: Run, right: Run) -> Run:
    def coalesce(names: Names, item: Any) -> Any:
        value = left(names, item)
        return right(names, item) if value is None or type(value) is Missing else value

    return coalesce


def _equality(left: Run, right: Run, site: Site) -> Run:
    equal = OPERATORS["=="]

    def equality(names: Names, item: Any) -> Any:
        one, other = left(names, item), right(names, item)
        if type(one) is type(other) and type(one) in _DIRECT:
            return one == other
        return equal(one, other, site)

    return equality


def _computation(left: Run, right: Run, apply: Operator, site: Site) -> Run:
    def compute(names: Names, item: Any) -> Any:
        one = left(names, item)
        # before the right side: in headers.Content-Type it is the left one that explains the mistake
        refuse_missing(one)
        return apply(one, right(names, item), site)

    return compute


def _matching(pattern: str) -> Callable[[Any, Any, Site], bool]:
    search = compile_pattern(pattern).search
    other_types = OPERATORS["matches"]

    def matches(value: Any, literal: Any, site: Site) -> bool:
        if type(value) is str:
            return search(value) is not None
        return bool(other_types(value, literal, site))

    return matches


def _boolean(value: Any, operator: str, text: str) -> bool:
    if value is True or value is False:
        return bool(value)
    refuse_missing(value)
    hint = f"compare it: {text} != null" if value is None else f"compare it: {text} == ..."
    raise ExpressionError(f"{operator} needs true or false: {text} is {describe(value)}", hint=hint)


def _number(value: Any, operator: str, text: str) -> Any:
    if type_name(value) == "number":
        return value
    refuse_missing(value)
    raise ExpressionError(f"{operator} needs a number: {text} is {describe(value)}")


def _is(value: Any, what: str, site: Site) -> bool:
    kind = type_name(value)
    if what in {"null", "empty"} and kind in {"null", "missing"}:
        return True
    refuse_missing(value)
    if what != "empty":
        return kind == what
    if kind not in {"string", "array", "object"}:
        asked = f"{site.text} asks it of {describe(value)}"
        raise ExpressionError(f"only a string, an array, an object or null can be empty: {asked}")
    return len(value) == 0


def _call_method(value: Any, args: list[Any], site: Site) -> Any:
    node = site.node
    assert isinstance(node, Method)
    refuse_missing(value, *args)
    if isinstance(value, Namespace):
        return value.call(node.name, [to_json(arg) for arg in args])
    method = METHODS.get(node.name)
    if method is None:
        raise ExpressionError(
            f"there is no method {node.name}: {site.of(node.base)} is {describe(value)}",
            hint=f"methods of strings: {' '.join(METHODS)}",
        )
    return method.run(site, value, *args)
