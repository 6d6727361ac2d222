"""The operands of an expression: literals, names, calls, maps, and the members behind them."""

from __future__ import annotations

import re
from typing import NoReturn

from pytest_testmesh.errors import ExpressionSyntaxError
from pytest_testmesh.expressions.functions import FUNCTIONS, METHODS, Function
from pytest_testmesh.expressions.jsonpath import compile_path, scan_path
from pytest_testmesh.expressions.lexer import (
    END,
    NAME,
    NUMBER,
    OPERATOR,
    PATH,
    PLACEHOLDER,
    QUOTE,
    Token,
    stray_operator_hint,
)
from pytest_testmesh.expressions.nodes import (
    Array,
    Call,
    Chain,
    Element,
    Index,
    Literal,
    Map,
    Member,
    Method,
    Name,
    Node,
    Path,
    Slice,
    Unary,
)
from pytest_testmesh.expressions.texts import LITERAL_NAMES, TextParser
from pytest_testmesh.values import near_matches

NOT, COMPARISON, CHECK, SIGN = 17, 20, 22, 90
"""How tightly ``not``, ``==``, ``exists`` and a sign bind."""

WORD_OPERATORS = frozenset({"in", "contains", "matches", "startsWith", "starts_with", "endsWith", "ends_with"})
# exists may begin an expression: it is a key of results too (redis.exists)
NO_NAME = frozenset({"and", "or", "not", "is"}) | WORD_OPERATORS | set(LITERAL_NAMES)
_MAX_DIGITS = 300
_MAP_OPENS = re.compile(r"""\{\s*(?:\}|(?:[^\W\d]\w*|[0-9]+|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*:)""", re.DOTALL)


class OperandParser(TextParser):
    """Parses one operand from the current token on."""

    def expect(self, text: str, hint: str | None = None) -> int:
        """Go past the token *text*; return where it ends."""
        if self.token.text != text or self.token.kind != OPERATOR:
            self.fail_expected(text, hint)
        end = self.token.end
        self.advance()
        return end

    def fail_expected(self, text: str, hint: str | None = None) -> NoReturn:
        hint = stray_operator_hint(self.token.text) or hint
        self.fail(f"expected {text} but found {_describe(self.token)}", self.token.start, hint)

    def fail_at_token(self) -> NoReturn:
        """Refuse the current token, which cannot stand where it does."""
        token = self.token
        hint = stray_operator_hint(token.text)
        if token.kind == NUMBER and token.text.startswith("."):
            hint = f"an element of a list is written [{token.text[1:]}]"
        elif token.kind in {NAME, NUMBER, QUOTE} and hint is None:
            hint = "an operator is missing before it, or quotes around a text"
        elif token.text == ":":
            hint = "a default is written inside a placeholder: ${NAME:default}"
        self.fail(f"unexpected {_describe(token)}", token.start, hint)

    def operand(self) -> Node:
        token = self.token
        kind, start = token.kind, token.start
        if kind == NAME:
            return self._prefix_not() if token.text == "not" else self._postfixed(start, self._name())
        if kind == NUMBER:
            return self._postfixed(start, self._number())
        if kind == QUOTE:
            return self._postfixed(start, self.quoted())
        if kind == PLACEHOLDER:
            node, end = self.placeholder(token)
            self.advance_from(end)
            return self._postfixed(start, node)
        if kind == PATH:
            return self._postfixed(start, self._jsonpath())
        return self._operand_at_operator()

    def _operand_at_operator(self) -> Node:
        start, text = self.token.start, self.token.text
        if text in {"-", "+", "!"}:
            self.advance()
            operand = self.expression(CHECK if text == "!" else SIGN)
            return Unary(start, self.end, "not" if text == "!" else text, operand)
        if text == "(":
            return self._postfixed(start, self._group())
        if text == "[":
            self.advance()
            items, end = self._list("]")
            return self._postfixed(start, Array(start, end, items))
        if text == "{":
            return self._postfixed(start, self._map())
        if text in {"#", "."}:
            return self._postfixed(start, self._element())
        self.fail_expected("a value", 'put text in quotes: "..."' if text in {"/", "%", "*"} else None)

    def _prefix_not(self) -> Node:
        start = self.token.start
        self.advance()
        operand = self.expression(NOT)
        return Unary(start, self.end, "not", operand)

    def _name(self) -> Node:
        _, name, start, end = self.token
        self.advance()
        if self.token.text == "(" and name not in NO_NAME:
            return self._call(name, start)
        if name in LITERAL_NAMES:
            return Literal(start, end, LITERAL_NAMES[name])
        if name in NO_NAME:
            self.fail(f"expected a value before {name}", start)
        self.remember(name)
        return Name(start, end, name)

    def _number(self) -> Node:
        _, text, start, end = self.token
        follower = self.text[end : end + 1]
        if follower == "_" or follower.isalnum():
            hint = 'put text in quotes; a duration is written duration("5s")'
            self.fail(f"{text}{follower}... is not a number", start, hint)
        self.advance()
        return Literal(start, end, self._number_value(text, start))

    def _number_value(self, text: str, start: int) -> int | float:
        digits = text.replace("_", "")
        if len(digits) > _MAX_DIGITS:
            self.fail(f"a number of more than {_MAX_DIGITS} digits", start)
        try:
            if digits[:2].lower() in {"0x", "0o", "0b"} or digits.isdigit():
                return int(digits, 0)
            value = float(digits)
        except ValueError:
            self.fail(f"{text} is not a number", start, "a number has no leading zeros; put text in quotes")
        if value == float("inf"):
            self.fail(f"{text} is too large", start)
        return value

    def _jsonpath(self) -> Node:
        start = self.token.start
        end = scan_path(self.text, start)
        text = self.text[start:end]
        try:
            path = compile_path(text)
        except ExpressionSyntaxError as exc:
            self.fail(exc.message, start, exc.hint)
        self.advance_from(end)
        return Path(start, end, path)

    def _group(self) -> Node:
        self.advance()
        node = self.expression()
        self.expect(")")
        return node

    def _list(self, closing: str) -> tuple[tuple[Node, ...], int]:
        """Parse expressions up to *closing*; also return where that ends."""
        items: list[Node] = []
        while self.token.text != closing:
            items.append(self.expression())
            if self.token.text != ",":
                break
            self.advance()
        return tuple(items), self.expect(closing)

    def _map(self) -> Node:
        start = self.token.start
        self.advance()
        entries: dict[str, Node] = {}
        while self.token.text != "}":
            key, offset = self._map_key(), self.token.start
            self.expect(":", "a map is written {name: value}")
            if key in entries:
                self.fail(f"the key {key} stands twice in this map", offset)
            entries[key] = self.expression()
            if self.token.text != ",":
                break
            self.advance()
        return Map(start, self.expect("}"), tuple(entries.items()))

    def _map_key(self) -> str:
        kind, text, start, _ = self.token
        if kind == QUOTE:
            node = self.quoted()
            if isinstance(node, Literal):
                return str(node.value)
            self.fail("a placeholder cannot be a key", start)
        if kind not in {NAME, NUMBER}:
            self.fail_expected("a key", "a map is written {name: value}")
        self.advance()
        return text

    def _element(self) -> Node:
        start, text = self.token.start, self.token.text
        if not self.element_depth:
            meaning = "# is the element of a list" if text == "#" else "a leading dot is a key of a list's element"
            self.fail(f"{meaning}, and only a predicate has one", start, "all(items, .price > 0)")
        if text == ".":
            return Element(start, start)
        self.advance()
        return Element(start, start + 1)

    def _call(self, name: str, start: int) -> Node:
        function = FUNCTIONS.get(name)
        if function is None:
            near = near_matches(name, FUNCTIONS, 1)
            if name in METHODS:
                hint = f"write it behind the text: name.{name}(...)"
            else:
                hint = f"did you mean {near[0]}?" if near else f"functions: {' '.join(FUNCTIONS)}"
            self.fail(f"there is no function {name}", start, hint)
        args, end = self._arguments(function)
        self._check_count(f"{name}()", len(args), function.min_args, function.max_args, start)
        return Call(start, end, name, args)

    def _check_count(self, what: str, count: int, low: int, high: int | None, offset: int) -> None:
        if count < low or (high is not None and count > high):
            wanted = f"{low}" if low == high else f"{low} or more" if high is None else f"{low} to {high}"
            self.fail(f"{what} takes {wanted} argument{'' if wanted == '1' else 's'}, not {count}", offset)

    def _arguments(self, function: Function | None) -> tuple[tuple[Node, ...], int]:
        self.advance()
        args: list[Node] = []
        while self.token.text != ")":
            takes_predicate = function is not None and function.predicate and len(args) == 1
            args.append(self._predicate() if takes_predicate else self.expression())
            if self.token.text != ",":
                break
            self.advance()
        return tuple(args), self.expect(")", "arguments stand between ( and )")

    def _predicate(self) -> Node:
        self.element_depth += 1
        if self.token.text == "{" and not _MAP_OPENS.match(self.text, self.token.start):
            self.advance()
            node = self.expression()
            self.expect("}")
        else:
            node = self.expression()
        self.element_depth -= 1
        return node

    def _postfixed(self, start: int, node: Node) -> Node:
        optional_seen = False
        while (token := self.token).kind == OPERATOR and token.text in {".", "?.", "[", "("}:
            if token.text == "(":
                self.fail("only a function or a method can be called", token.start)
            optional = token.text == "?."
            optional_seen = optional_seen or optional
            if token.text == "[":
                node = self._index(node, start, optional=False)
            else:
                self.advance()
                by_index = optional and self.token.text == "["
                node = self._index(node, start, optional) if by_index else self._member(node, start, optional)
        return Chain(start, self.end, node) if optional_seen else node

    def _member(self, base: Node, start: int, optional: bool) -> Node:
        kind, name, offset, end = self.token
        if kind != NAME:
            hint = 'other keys are written ["content-type"], elements [0]'
            self.fail(f"expected a key after the dot but found {_describe(self.token)}", offset, hint)
        self.advance()
        if self.token.text != "(":
            return Member(start, end, base, name, optional)
        args, end = self._arguments(None)
        self._check_method(base, name, len(args), offset)
        return Method(start, end, base, name, args, optional)

    def _check_method(self, base: Node, name: str, count: int, offset: int) -> None:
        method = METHODS.get(name)
        if method is not None:
            self._check_count(f".{name}()", count, method.min_args, method.max_args, offset)
        elif not isinstance(base, (Name, Member)):
            # behind a name it may be a method of a built-in group: random.string(24)
            self.fail(f"there is no method {name}", offset, f"methods: {' '.join(METHODS)}")

    def _index(self, base: Node, start: int, optional: bool) -> Node:
        self.advance()
        low = None if self.token.text == ":" else self.expression()
        if self.token.text == ":":
            self.advance()
            high = None if self.token.text == "]" else self.expression()
            return Slice(start, self.expect("]"), base, low, high)
        end = self.expect("]")
        assert low is not None
        return Index(start, end, base, low, optional)


def _describe(token: Token) -> str:
    return "the end" if token.kind == END else token.text
