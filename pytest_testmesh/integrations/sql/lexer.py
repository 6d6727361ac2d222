"""SQL text -> tokens: tells literals, quoted names, comments and placeholders from the rest of a statement.

Not sqlparse: it ends ``'\\'`` (a whole literal in both dialects) at the quote after it, ends nested comments early and
reads the operator ``#`` as the start of a comment. Each of these would move a value out of its quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Dialect = Literal["postgresql", "sqlite"]
Kind = Literal["text", "escaped", "name", "dollar", "comment", "placeholder", "word", "other", "open"]


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement from *start* to *end*.

    Kinds: ``text`` a literal in which only a doubled quote means a quote, ``escaped`` one with backslashes too,
    ``name`` a quoted name, ``dollar`` a dollar-quoted literal, ``placeholder`` one of ``?``, ``?1``, ``$1`` and
    ``:name``, ``word`` a keyword or plain name, ``open`` one of the quoted kinds that nothing closes, up to the end.
    """

    kind: Kind
    start: int
    end: int


# White space with a line break in it, and comments, may part a literal: the parts after it are of the first's kind.
_CONTINUED = r"(?:[ \t\f\v]|--[^\n\r]*)*[\n\r](?:\s|--[^\n\r]*[\n\r])*"
_ESCAPED = r"'(?:[^'\\]|''|\\.)*'"
_COMMENT_EDGE = re.compile(r"/\*|\*/")
# Source: https://www.postgresql.org/docs/current/sql-syntax-lexical.html
_POSTGRESQL = re.compile(
    rf"""
      (?P<comment> --[^\n\r]* )
    | (?P<block> /\* )
    | (?P<escaped> [eE]{_ESCAPED}(?:{_CONTINUED}{_ESCAPED})* )
    | (?P<text> (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*' )
    | (?P<name> (?:[uU]&)?"(?:[^"]|"")*" )
    | (?P<dollar> \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<open> [eE]?['"] | \$(?:[^\W\d]\w*)?\$ )
    | (?P<operator> :: | := | \?\? | @\? | \?&(?!&) | \?\|(?!\|) )
    | (?P<placeholder> \? | \$\d+ | (?<![\w\])"]):[^\W\d]\w* )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<other> \d[\w.]* | \s+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
# Source: https://www.sqlite.org/lang_expr.html and https://www.sqlite.org/lang_comment.html
_SQLITE = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<text> [xX]?'(?:[^']|'')*' )
    | (?P<name> "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] )
    | (?P<open> ['"`\[] )
    | (?P<placeholder> \?\d* | \$\d+ | :[^\W\d]\w* )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<other> \d[\w.]* | \s+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_OPERAND = frozenset({"text", "escaped", "dollar", "placeholder"})


# As many texts as a few dozen flows have; the garbage collector walks all that is kept, again and again.
@lru_cache(maxsize=512)
def tokens(text: str, dialect: Dialect) -> tuple[Token, ...]:
    """Split *text*; every character belongs to one token. Never fails: what the server will refuse is still split."""
    if dialect == "sqlite":
        return tuple(_matched(_SQLITE, text))
    return tuple(_without_operators(text, _matched(_POSTGRESQL, text)))


def _matched(pattern: re.Pattern[str], text: str) -> list[Token]:
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = pattern.match(text, position)
        assert match is not None  # the last alternative takes any character
        kind, end = match.lastgroup, match.end()
        if kind == "tag":
            kind = "dollar"
        if kind == "block":
            kind, end = "comment", _end_of_comment(text, end)
        elif kind == "open":
            end = len(text)
        elif kind == "operator":
            kind = "other"
        found.append(Token(kind, position, end))  # type: ignore[arg-type]
        position = end
    return found


def _end_of_comment(text: str, position: int) -> int:
    """Return where the comment ends that began before *position*; PostgreSQL's comments nest."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, position):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


def _without_operators(text: str, found: list[Token]) -> list[Token]:
    """Make each ``?`` an ``other`` that is an operator on JSON: an operand follows it, or ``$1`` is in use."""
    numbered = any(token.kind == "placeholder" and text[token.start] == "$" for token in found)
    following = None
    for index in range(len(found) - 1, -1, -1):
        token = found[index]
        if token.kind == "placeholder" and text[token.start] == "?" and (numbered or _is_operand(text, following)):
            found[index] = Token("other", token.start, token.end)
        if not (token.kind == "comment" or text[token.start : token.end].isspace()):
            following = token
    return found


def _is_operand(text: str, token: Token | None) -> bool:
    """Whether a value begins with *token*, which can follow an operator but no value."""
    return token is not None and (token.kind in _OPERAND or text[token.start] in "(0123456789")


@lru_cache(maxsize=512)
def first_word(text: str, dialect: Dialect) -> str:
    """Return the command of a statement in capitals: of a ``WITH`` what follows its queries, ``""`` for none."""
    depth, command = 0, ""
    for token in tokens(text, dialect):
        shown = text[token.start : token.end]
        if token.kind == "word" and not command:
            command = shown.upper()
        elif token.kind == "word" and depth == 0 and shown.upper() in _MAIN:
            return shown.upper()
        elif token.kind == "other":
            depth += {"(": 1, ")": -1}.get(shown, 0)
        if command and command != "WITH":
            break
    return command


_MAIN = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "TABLE", "REPLACE"})


@lru_cache(maxsize=512)
def statements(text: str, dialect: Dialect) -> tuple[tuple[int, int], ...]:
    """Return where each statement of a script begins and ends, without its ``;``; empty ones are left out."""
    found, start, empty = [], 0, True
    for token in (*tokens(text, dialect), None):
        if token is None or (token.kind == "other" and text[token.start] == ";"):
            end = len(text) if token is None else token.start
            if not empty:
                found.append((start, end))
            start, empty = end + 1, True
        elif token.kind != "comment" and not text[token.start : token.end].isspace():
            empty = False
    return tuple(found)
