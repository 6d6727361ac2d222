"""Text -> tokens, one at a time, because what may follow depends on where the parser is."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from pytest_testmesh.errors import ExpressionSyntaxError

NAME = "name"
NUMBER = "number"
QUOTE = "quote"
PLACEHOLDER = "placeholder"
PATH = "path"
OPERATOR = "operator"
END = "end"

IDENTIFIER = r"\$?[^\W\d]\w*"
_OTHER_TOKENS = r"""
      )
    | (0[xX][0-9a-fA-F]+ | 0[oO][0-7]+ | 0[bB][01]+
                 | (?:[0-9][0-9_]*(?:\.[0-9]+)? | \.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (\$\{ | \{\{)
    | (&& | \|\| | ={2,3} | !={1,2} | <= | >= | <> | \*\* | \?\? | \?\.(?![0-9]) | \.\.
                 | [-+*/%<>!?:.,()\[\]{}\#=|&;^~])
    | (["'`])
    | (\$(?!\$))
    | (\Z)
    | (.)
    )"""

# the kind of each group of the pattern, by its number
_UNKNOWN = "unknown"
_KINDS = ("", NAME, NUMBER, PLACEHOLDER, OPERATOR, QUOTE, PATH, END, _UNKNOWN)

_STRAY_OPERATORS = {
    "=": "compare with ==",
    "===": "compare with ==",
    "!==": "compare with !=",
    "<>": "compare with !=",
    "|": "write || for or; there is no pipe: call the function, lower(x)",
    "&": "write && for and",
    "^": "write ** for the power",
    "..": "there are no ranges: compare with <= and >=",
    ";": "an expression is one line without ;",
    "~": "write x matches 'pattern'",
}


class Token(NamedTuple):
    """One token: its kind, its text and its offsets."""

    kind: str
    text: str
    start: int
    end: int


def ids_alternatives(ids: frozenset[str]) -> str:
    """Return the part of a pattern that matches one of *ids*, where it is not the beginning of a longer name."""
    return "".join(rf"{re.escape(each)}(?![\w-])|" for each in sorted(ids))


@lru_cache(maxsize=256)
def token_pattern(ids: frozenset[str]) -> re.Pattern[str]:
    """Return the pattern of a token, in which each of *ids* is one name although it holds ``-``."""
    pattern = r"\s*(?:(" + ids_alternatives(ids) + IDENTIFIER + _OTHER_TOKENS
    return re.compile(pattern, re.VERBOSE | re.DOTALL)


def next_token(pattern: re.Pattern[str], text: str, position: int) -> Token:
    """Return the token at *position*; white space before it is left out.

    Raises:
        ExpressionSyntaxError: A character that no token begins with.
    """
    match = pattern.match(text, position)
    assert match is not None  # the last alternative takes any character
    group = match.lastindex
    assert group is not None
    start, end = match.span(group)
    kind = _KINDS[group]
    if kind == _UNKNOWN:
        raise ExpressionSyntaxError(f"unexpected character {match[group]!r}", offset=start)
    # the constructor that NamedTuple writes costs as much as the match
    return tuple.__new__(Token, (kind, match[group], start, end))


def stray_operator_hint(text: str) -> str | None:
    """Say what to write in place of an operator that other languages have."""
    return _STRAY_OPERATORS.get(text)
