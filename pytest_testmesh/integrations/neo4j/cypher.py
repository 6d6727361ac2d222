"""Cypher text: literals, quoted names and comments told from the rest, and ``${...}`` filled in.

Cypher reads ``\\uXXXX`` before anything else: ``\\u0027`` ends a literal, and ``\\u0060`` a quoted name.
Source: https://neo4j.com/developer/kb/protecting-against-cypher-injection/
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations.sql.filling import Language, fill
from pytest_testmesh.integrations.sql.lexer import Token

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionContext

# Source: https://neo4j.com/docs/cypher-manual/current/syntax/
_CYPHER = re.compile(
    r"""
      (?P<comment> //[^\n\r]* | /\*.*?(?:\*/|\Z) )
    | (?P<escaped> '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" )
    | (?P<name> `(?:[^`]|``)*` )
    | (?P<open> ['"`] )
    | (?P<word> [^\W\d]\w* )
    | (?P<other> \d[\w.]* | \s+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_UNICODE_ESCAPE = re.compile(r"\\u+[0-9A-Fa-f]{4}")


# As many texts as a few dozen flows have; the garbage collector walks all that is kept, again and again.
@lru_cache(maxsize=512)
def tokens(text: str) -> tuple[Token, ...]:
    """Split *text*; every character belongs to one token. Never fails: what the server will refuse is still split."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _CYPHER.match(text, position)
        assert match is not None  # the last alternative takes any character
        kind = match.lastgroup
        end = len(text) if kind == "open" else match.end()
        found.append(Token(kind, position, end))  # type: ignore[arg-type]
        position = end
    return tuple(found)


def read_statement(text: str, context: ActionContext) -> str:
    """Return the statement that ``config.query``, as written, is once it is filled in.

    Raises:
        ActionConfigError: There is none in it, or a value cannot stand where it does; the hint points to ``params``.
        ExpressionError: A placeholder has no value.
    """
    where = "config.query"
    if not context.raw and ("${" in text or "{{" in text) and _UNICODE_ESCAPE.search(text):
        raise ActionConfigError(
            f"{where} has placeholders and \\uXXXX, which Cypher reads before it looks for quotes",
            hint="write the character itself, or bind the values in `params`",
        )
    filled = fill(text, _LANGUAGE, context, where)
    check_statement(filled)
    return filled


def check_statement(text: str) -> None:
    """Refuse a text without a statement.

    Raises:
        ActionConfigError: The text is empty or a comment.
    """
    if all(token.kind == "comment" or text[token.start : token.end].isspace() for token in tokens(text)):
        raise ActionConfigError("there is no statement in config.query: the text is empty or a comment")


def _quoted(token: Token, before: str, shown: str) -> str | None:
    if token.kind == "escaped":
        quote = before[0]
        return shown.replace("\\", "\\\\").replace(quote, f"\\{quote}")
    if token.kind == "name":
        if "\\" in shown or before.endswith("\\"):
            raise ActionConfigError(
                "config.query: a quoted name would hold a backslash beside what is filled in",
                hint="Cypher reads \\uXXXX in it as a character; which name is it meant to be?",
            )
        return shown.replace("`", "``")
    return None


def _hint(written: str) -> str:
    return f"bind it instead: write $name in its place and `params: {{name: {written}}}`"


_LANGUAGE = Language(tokens, _quoted, _hint)
