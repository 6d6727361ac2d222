r"""Text -> syntax tree, by operator precedence. This is the grammar, the only one; white space may stand anywhere::

    expression  = ternary
    ternary     = or [ "?" expression ":" expression ]
    or          = and { ("||" | "or") and }
    and         = negation { ("&&" | "and") negation }
    negation    = "not" negation | comparison
    comparison  = check { ("==" | "!=") check }
                | check ("<" | "<=" | ">" | ">=") check
                | check [ "not" ] ("in" | "contains" | "matches" | starts | ends) check
    starts      = "startsWith" | "starts_with"
    ends        = "endsWith" | "ends_with"
    check       = "!" check | sum { [ "not" ] "exists" | "is" [ "not" ] type }
    type        = "null" | "nil" | "number" | "string" | "boolean" | "array" | "object" | "empty"
    sum         = product { ("+" | "-") product }
    product     = sign { ("*" | "/" | "%") sign }
    sign        = ("-" | "+") sign | power
    power       = coalesced [ "**" sign ]
    coalesced   = postfixed { "??" ("!" check | sign | postfixed) }
    postfixed   = primary { ("." | "?.") key [ arguments ] | [ "?." ] "[" expression "]"
                          | "[" [ expression ] ":" [ expression ] "]" }
    primary     = literal | name | "(" expression ")" | "[" [ list ] "]" | map | function arguments
                | placeholder | jsonpath | "#" | "." key                  (the last two in a predicate only)
    arguments   = "(" [ list ] ")"                                        (a predicate where the function takes one)
    list        = expression { "," expression } [ "," ]
    predicate   = "{" expression "}" | expression                         ("{" key ":" begins a map)
    map         = "{" [ key ":" expression { "," key ":" expression } [ "," ] ] "}"
    key         = name | quoted | number                                  (after a dot: a name)
    placeholder = "${" content "}" | "{{" content "}}"
    content     = name ":" [ "-" ] template | expression
    literal     = number | quoted | "`" text "`" | "true" | "false" | "null" | "nil"
    number      = 42 | 1_000 | 0.5 | .5 | 1e3 | 0x2A | 0o52 | 0b101
    quoted      = "'" template "'" | '"' template '"'                     (with \n \t \r \\ \' \" \/ \xFF \uFFFF)
    template    = text in which a placeholder may stand; "$${" is "${", "{{{{" is "{{", and "{{." is left alone
    jsonpath    = "$" { RFC 9535 segment }                                (ends at white space or an operator)
    name        = letter { letter | digit | "_" }, with "$" before it or without; or a declared step id with "-"

The levels are those of expr-lang (https://expr-lang.org/docs/language-definition), with two exceptions: the word
``not`` binds as in Python, so that ``not a == b`` is ``not (a == b)``, and ``exists`` and ``is`` are ours.
"""

from __future__ import annotations

from typing import NamedTuple

from pytest_testmesh.errors import ExpressionSyntaxError
from pytest_testmesh.expressions.lexer import END, NAME, OPERATOR, next_token
from pytest_testmesh.expressions.nodes import Binary, Exists, Is, Literal, Node, Ternary, Text, children
from pytest_testmesh.expressions.operators import compile_pattern
from pytest_testmesh.expressions.primaries import CHECK, COMPARISON, NO_NAME, WORD_OPERATORS, OperandParser

MAX_LENGTH = 10_000
MAX_HEIGHT = 200

_PRECEDENCE = {
    "||": 10,
    "or": 10,
    "&&": 15,
    "and": 15,
    "==": 20,
    "!=": 20,
    "<": 20,
    "<=": 20,
    ">": 20,
    ">=": 20,
    "in": 20,
    "contains": 20,
    "matches": 20,
    "startsWith": 20,
    "starts_with": 20,
    "endsWith": 20,
    "ends_with": 20,
    "+": 30,
    "-": 30,
    "*": 60,
    "/": 60,
    "%": 60,
    "**": 100,
    "??": 500,
}
_CANONICAL = {"||": "or", "&&": "and", "starts_with": "startsWith", "ends_with": "endsWith"}
_NEGATABLE = WORD_OPERATORS | {"exists"}
_NO_CHAIN = frozenset({"<", "<=", ">", ">="}) | WORD_OPERATORS
_TYPES = ("null", "number", "string", "boolean", "array", "object", "empty")

RESERVED: frozenset[str] = NO_NAME | {"exists"}
"""Words that cannot be the id of a step or the name of an output."""


class Parsed(NamedTuple):
    """A syntax tree and the names it reads: bare ones, and those inside placeholders."""

    node: Node
    names: frozenset[str]
    placeholder_names: frozenset[str]


class ParsedTemplate(NamedTuple):
    """The pieces of a template text and the names its placeholders read."""

    parts: tuple[str | Node, ...]
    names: frozenset[str]


def parse_expression(text: str, ids: frozenset[str]) -> Parsed:
    """Parse a whole text as one expression.

    Raises:
        ExpressionSyntaxError: It is none, or a too long or too deeply nested one.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionSyntaxError(f"an expression of {len(text)} characters; at most {MAX_LENGTH} are allowed")
    parser = Parser(text, ids)
    parser.advance_from(0)
    if parser.token.kind == END:
        raise ExpressionSyntaxError("an empty expression")
    node = parser.expression()
    if parser.token.kind != END:
        parser.fail_at_token()
    parser.check_height(node)
    return Parsed(node, frozenset(parser.names), frozenset(parser.placeholder_names))


def parse_template(text: str, ids: frozenset[str]) -> ParsedTemplate:
    """Parse a whole text as a template: text and placeholders in turn.

    Raises:
        ExpressionSyntaxError: A placeholder in it is wrong.
    """
    parser = Parser(text, ids)
    node = Text(0, len(text), tuple(parser.template()))
    parser.check_height(node)
    return ParsedTemplate(node.parts, frozenset(parser.placeholder_names))


class Parser(OperandParser):
    """Parses the text from its current token on."""

    def expression(self, min_precedence: int = 0) -> Node:
        """Parse an expression whose operators bind at least as tightly as *min_precedence*."""
        start = self.token.start
        self.enter(start)
        left = self.operand()
        previous = ""
        while (token := self.token).kind == OPERATOR or token.kind == NAME:
            operator = token.text
            precedence = _PRECEDENCE.get(operator)
            if precedence is not None:
                if precedence < min_precedence:
                    break
                self._check_chain(previous, operator, precedence)
                previous = operator
                left = self._binary(start, left, operator, precedence)
            else:
                extended = self._suffix(start, left, operator, min_precedence)
                if extended is None:
                    break
                left = extended
        self.depth -= 1
        return left

    def _check_chain(self, previous: str, operator: str, precedence: int) -> None:
        chained = precedence == COMPARISON and _PRECEDENCE.get(previous) == COMPARISON
        if chained and (previous in _NO_CHAIN or operator in _NO_CHAIN):
            self.fail(f"{operator} cannot follow {previous}", self.token.start, "write a < b && b < c")

    def _binary(self, start: int, left: Node, operator: str, precedence: int, negated: bool = False) -> Node:
        self.advance()
        right = self.expression(precedence if operator == "**" else precedence + 1)
        operator = _CANONICAL.get(operator, operator)
        if operator == "matches" and isinstance(right, Literal) and isinstance(right.value, str):
            compile_pattern(right.value, right.start)
        return Binary(start, self.end, operator, left, right, negated)

    def _suffix(self, start: int, left: Node, operator: str, min_precedence: int) -> Node | None:
        """Parse ``exists``, ``is``, ``not in`` and ``? :`` behind *left*, if that is what follows."""
        if operator == "exists" and min_precedence <= CHECK:
            return self._exists(start, left, negated=False)
        if operator == "is" and min_precedence <= CHECK:
            return self._is(start, left)
        if operator == "not" and min_precedence <= CHECK:
            return self._negated(start, left, min_precedence)
        if operator == "?" and min_precedence == 0:
            return self._ternary(start, left)
        return None

    def _exists(self, start: int, left: Node, negated: bool) -> Node:
        self.advance()
        return Exists(start, self.end, left, negated)

    def _is(self, start: int, left: Node) -> Node:
        self.advance()
        negated = self.token.text == "not"
        if negated:
            self.advance()
        what = "null" if self.token.text == "nil" else self.token.text
        if what not in _TYPES:
            wanted = f"{', '.join(_TYPES[:-1])} or {_TYPES[-1]}"
            self.fail(f"expected {wanted} after is", self.token.start, "to compare, write ==")
        self.advance()
        return Is(start, self.end, left, what, negated)

    def _negated(self, start: int, left: Node, min_precedence: int) -> Node | None:
        following = next_token(self._pattern, self.text, self.token.end)
        if following.text == "exists":
            self.advance()
            return self._exists(start, left, negated=True)
        if following.text not in WORD_OPERATORS:
            self.fail(f"expected {', '.join(sorted(_NEGATABLE))} after not", following.start, "or && before not?")
        if min_precedence > COMPARISON:
            return None
        self.advance()
        return self._binary(start, left, self.token.text, COMPARISON, negated=True)

    def _ternary(self, start: int, condition: Node) -> Node:
        self.advance()
        yes = self.expression()
        self.expect(":", "a condition is written as: test ? yes : no")
        no = self.expression()
        return Ternary(start, self.end, condition, yes, no)

    def check_height(self, node: Node) -> None:
        """Refuse a tree that is too high to be walked by recursion; few tokens cannot make one."""
        if self.tokens_seen <= MAX_HEIGHT:
            return
        level, height = [node], 0
        while level:
            height += 1
            if height > MAX_HEIGHT:
                hint = "compute a part of it in a step of its own"
                self.fail(f"more than {MAX_HEIGHT} operations in a row", level[0].start, hint)
            level = [child for each in level for child in children(each)]
