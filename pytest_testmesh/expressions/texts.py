"""Text with placeholders: quoted literals, template texts, and what stands between ``${`` and ``}``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NoReturn

from pytest_testmesh.errors import ExpressionSyntaxError
from pytest_testmesh.expressions.lexer import (
    END,
    IDENTIFIER,
    Token,
    ids_alternatives,
    next_token,
    token_pattern,
)
from pytest_testmesh.expressions.nodes import Default, Literal, Node, Placeholder, Text
from pytest_testmesh.values import from_text

MAX_DEPTH = 64
LITERAL_NAMES = {"true": True, "false": False, "null": None, "nil": None}

# {{. is left to LogQL and Go templates, also in their usual form with a blank: no expression begins with a dot
OPENING = r"\$\{|\{\{(?!\s*\.)"
_MARK = re.compile(rf"\$\$\{{|\{{{{4}}|{OPENING}")
_MARK_OR_BRACE = re.compile(rf"{_MARK.pattern}|[{{}}]")
_ESCAPED_MARKS = {"$${": "${", "{{{{": "{{"}
_CLOSING = {"${": "}", "{{": "}}"}

_PLAIN_QUOTED = {quote: re.compile(rf"{quote}([^{quote}\\${{]*){quote}") for quote in "\"'"}
_RAW_QUOTED = re.compile(r"`([^`]*)`")
_QUOTED_PIECE = {quote: re.compile(rf"[^{quote}\\${{]+|\\.|{_MARK.pattern}|.", re.DOTALL) for quote in "\"'"}
_UNICODE_ESCAPE = re.compile(r"u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})")
_LOW_SURROGATE = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "`": "`", "/": "/"}


@lru_cache(maxsize=256)
def _default_pattern(ids: frozenset[str]) -> re.Pattern[str]:
    return re.compile(rf"(\s*)({ids_alternatives(ids)}{IDENTIFIER}):(-?)")


class TextParser:
    """The parser's position in one text, and the parts of the grammar that are text rather than tokens."""

    def __init__(self, text: str, ids: frozenset[str]) -> None:
        self.text = text
        self.names: set[str] = set()
        self.placeholder_names: set[str] = set()
        self.tokens_seen = 0
        self.depth = 0
        self.token = Token(END, "", 0, 0)
        self.end = 0  # of the token before the current one
        self._pattern = token_pattern(ids)
        self._default = _default_pattern(ids)
        self._placeholder_depth = 0
        self.element_depth = 0

    def expression(self, min_precedence: int = 0) -> Node:
        """Parse an expression from the current token on; the parser above knows how."""
        raise NotImplementedError

    def advance_from(self, position: int) -> None:
        """Make the token at *position* the current one."""
        self.tokens_seen += 1
        self.end = position
        self.token = next_token(self._pattern, self.text, position)

    def advance(self) -> None:
        """Go on to the next token."""
        self.tokens_seen += 1
        self.end = self.token.end
        self.token = next_token(self._pattern, self.text, self.end)

    def fail(self, message: str, offset: int, hint: str | None = None) -> NoReturn:
        """Raise the error for a place in this text."""
        raise ExpressionSyntaxError(message, offset=offset, hint=hint)

    def enter(self, offset: int) -> None:
        """Count one level of nesting; whoever enters also takes it back."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(
                f"nested more than {MAX_DEPTH} levels deep",
                offset,
                "compute a part of it in a step of its own",
            )

    def remember(self, name: str) -> None:
        """Note that *name* is read."""
        (self.placeholder_names if self._placeholder_depth else self.names).add(name)

    def template(self) -> list[str | Node]:
        """Parse the whole text as a template: pieces of text and placeholders in turn."""
        parts, _ = self._text_until(0, None)
        return parts

    def placeholder(self, opening: Token) -> tuple[Placeholder, int]:
        """Parse what follows ``${`` or ``{{``; also return where the placeholder ends."""
        self.enter(opening.start)
        self._placeholder_depth += 1
        outer_elements, self.element_depth = self.element_depth, 0
        content, end = self._content(opening)
        self.element_depth = outer_elements
        self._placeholder_depth -= 1
        self.depth -= 1
        return Placeholder(opening.start, end, content), end

    def _content(self, opening: Token) -> tuple[Node, int]:
        match = self._default.match(self.text, opening.end)
        if match is not None and match[2] not in LITERAL_NAMES:
            return self._named_default(opening, match)
        self.advance_from(opening.end)
        closing = _CLOSING[opening.text]
        if self.text.startswith(closing, self.token.start):
            self.fail("an empty placeholder", opening.start, _escape_hint(opening.text))
        content = self.expression()
        if not self.text.startswith(closing, self.token.start):
            self._fail_unclosed(opening, closing)
        return content, self.token.start + len(closing)

    def _fail_unclosed(self, opening: Token, closing: str) -> NoReturn:
        hint = _escape_hint(opening.text)
        if self.token.kind == END:
            self.fail(f"the placeholder that opens with {opening.text} never closes", opening.start, hint)
        if self.token.text == ":":
            hint = "a default may follow a plain name only: ${NAME:default}; elsewhere write ${a.b ?? 'default'}"
        self.fail(f"expected {closing} but found {self.token.text}", self.token.start, hint)

    def _named_default(self, opening: Token, match: re.Match[str]) -> tuple[Node, int]:
        blank, name, also_empty = match.groups()
        parts, end = self._text_until(match.end(), opening)
        if blank and parts and isinstance(parts[-1], str):
            # {{ NAME:default }}: the blanks belong to the braces, as they do around any other content
            parts[-1] = parts[-1].rstrip()
        self.remember(name)
        default = _default_node(match.end(), end, parts)
        return Default(match.start(2), end, name, default, bool(also_empty)), end

    def _text_until(self, start: int, opening: Token | None) -> tuple[list[str | Node], int]:
        """Parse text with placeholders up to the end, or up to the brace that closes *opening*."""
        parts: list[str | Node] = []
        pieces: list[str] = []
        position, braces = start, 0
        pattern = _MARK if opening is None else _MARK_OR_BRACE
        closing = None if opening is None else _CLOSING[opening.text]
        while match := pattern.search(self.text, position):
            mark = match[0]
            pieces.append(self.text[position : match.start()])
            position = match.end()
            if mark in _ESCAPED_MARKS:
                pieces.append(_ESCAPED_MARKS[mark])
            elif mark in _CLOSING:
                _flush(parts, pieces)
                node, position = self.placeholder(Token("placeholder", mark, match.start(), match.end()))
                parts.append(node)
            elif mark == "}" and braces == 0 and closing and self.text.startswith(closing, match.start()):
                _flush(parts, pieces)
                return parts, match.start() + len(closing)
            else:
                braces += 1 if mark == "{" else -1 if braces else 0
                pieces.append(mark)
        if opening is not None:
            self.fail(
                f"the placeholder that opens with {opening.text} never closes",
                opening.start,
                _escape_hint(opening.text),
            )
        pieces.append(self.text[position:])
        _flush(parts, pieces)
        return parts, len(self.text)

    def quoted(self) -> Node:
        """Parse the quoted literal that the current token opens, and go on behind it."""
        start, quote = self.token.start, self.token.text
        plain = (_RAW_QUOTED if quote == "`" else _PLAIN_QUOTED[quote]).match(self.text, start)
        if plain is not None:
            self.advance_from(plain.end())
            return Literal(start, plain.end(), plain[1])
        if quote == "`":
            self._fail_open(start)
        parts, end = self._quoted_parts(start, quote)
        self.advance_from(end)
        if all(isinstance(part, str) for part in parts):
            return Literal(start, end, "".join(str(part) for part in parts))
        return Text(start, end, tuple(parts))

    def _quoted_parts(self, start: int, quote: str) -> tuple[list[str | Node], int]:
        parts: list[str | Node] = []
        pieces: list[str] = []
        position = start + 1
        while match := _QUOTED_PIECE[quote].match(self.text, position):
            piece = match[0]
            position = match.end()
            if piece == quote:
                _flush(parts, pieces)
                return parts, position
            if piece in _CLOSING:
                _flush(parts, pieces)
                node, position = self.placeholder(Token("placeholder", piece, match.start(), match.end()))
                parts.append(node)
            elif piece[0] == "\\" and len(piece) == 2:
                decoded, position = self._escape(match.start())
                pieces.append(decoded)
            else:
                pieces.append(_ESCAPED_MARKS.get(piece, piece))
        self._fail_open(start)

    def _fail_open(self, start: int) -> NoReturn:
        hint = "a comma ends an item of a YAML list in [ ]: put the whole expression in quotes there"
        self.fail(f"this text is never closed: a {self.text[start]} is missing", start, hint)

    def _escape(self, start: int) -> tuple[str, int]:
        """Decode an escape. One that is unknown stays as written, so that patterns such as \\d read as they should."""
        letter = self.text[start + 1]
        code = _UNICODE_ESCAPE.match(self.text, start + 1)
        if code is None:
            return _ESCAPES.get(letter, f"\\{letter}"), start + 2
        value, end = int(code[1] or code[2], 16), code.end()
        if not 0xD800 <= value <= 0xDFFF:
            return chr(value), end
        low = _LOW_SURROGATE.match(self.text, end) if value < 0xDC00 else None
        if low is None:
            self.fail("half of a surrogate pair", start, "write both halves, or the character itself")
        return chr(0x10000 + ((value - 0xD800) << 10) + (int(low[1], 16) - 0xDC00)), low.end()


def _flush(parts: list[str | Node], pieces: list[str]) -> None:
    text = "".join(pieces)
    if text:
        parts.append(text)
    pieces.clear()


def _default_node(start: int, end: int, parts: list[str | Node]) -> Node:
    if len(parts) == 1 and isinstance(parts[0], Node):
        return parts[0]
    if all(isinstance(part, str) for part in parts):
        return Literal(start, end, from_text("".join(str(part) for part in parts)))
    return Text(start, end, tuple(parts), typed=True)


def _escape_hint(opening: str) -> str:
    escaped = next(mark for mark, text in _ESCAPED_MARKS.items() if text == opening)
    return f"to write {opening} itself, write {escaped}"
