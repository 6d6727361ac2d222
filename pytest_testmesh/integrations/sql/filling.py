"""``${...}`` and ``{{...}}`` in text of a query language: filled in so that no value can become a part of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.expressions.parser import parse_template
from pytest_testmesh.integrations.sql.lexer import Dialect, Token, tokens
from pytest_testmesh.template import Template, compile_template
from pytest_testmesh.values import describe, from_text, shorten, to_text

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionContext

_HOLE = "\0"
"""Stands for a placeholder while the text around it is split into tokens; no statement may hold it."""
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")


@dataclass(frozen=True, slots=True)
class Language:
    """What must be known of a language to fill in its statements.

    *quoted* returns a text as it may stand in a token, given the token, its text up to there and the text to fill in;
    None where the token is not quoted. *hint* says how to bind a value instead, given its placeholder.
    """

    tokens: Callable[[str], Sequence[Token]]
    quoted: Callable[[Token, str, str], str | None]
    hint: Callable[[str], str]


def fill_sql(text: str, dialect: Dialect, context: ActionContext, where: str) -> str:
    """Return *text* with its placeholders filled in; see `fill`. In literals and quoted names quotes are doubled."""
    return fill(text, _LANGUAGES[dialect], context, where)


def fill(text: str, language: Language, context: ActionContext, where: str) -> str:
    """Return *text* with its placeholders filled in.

    Inside a literal or a quoted name a value cannot end it. Elsewhere it must be null, a number, a boolean or
    a plain name. A text that is one placeholder is the statement itself. *where* names the key, for messages.

    Raises:
        ActionConfigError: A value cannot stand where it does; the hint points to ``params``.
        ExpressionError: A placeholder has no value.
    """
    if context.raw or ("${" not in text and "{{" not in text):
        return text
    parts = _parts(text, context.scope.hyphenated_ids())
    values = [(part.value, part.fill(context.scope)) for part in parts if isinstance(part, Template)]
    if len(parts) == 1 and values:
        return _whole(*values[0], where)
    return _Filler(parts, values, language, where).filled()


def fill_values(written: Any, context: ActionContext) -> Any:
    """Return a part of a config that came as written, and is not SQL, as the runner would have filled it in."""
    return compile_template(written, context.scope.hyphenated_ids(), raw=context.raw).fill(context.scope)


# As in lexer.py.
@lru_cache(maxsize=512)
def _parts(text: str, ids: frozenset[str]) -> tuple[str | Template, ...]:
    """Cut a template into its texts, escapes undone, and its placeholders."""
    return tuple(
        part if isinstance(part, str) else compile_template(text[part.start : part.end], ids)
        for part in parse_template(text, ids).parts
    )


def _whole(written: str, value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    raise ActionConfigError(f"{where}: {written} is {describe(value)}, not a statement")


class _Filler:
    """Fills the holes of one statement."""

    def __init__(
        self, parts: tuple[str | Template, ...], values: list[tuple[str, Any]], language: Language, where: str
    ) -> None:
        self._language = language
        self._where = where
        self._values = iter(values)
        self._text = "".join(part if isinstance(part, str) else _HOLE for part in parts)
        if self._text.count(_HOLE) != len(values):
            raise ActionConfigError(f"{where} holds a NUL character", hint="no statement can: bind it in `params`")
        self._tokens = language.tokens(self._text)

    def filled(self) -> str:
        """Return the statement."""
        return "".join(
            self._filled(token) if _HOLE in self._text[token.start : token.end] else self._text[token.start : token.end]
            for token in self._tokens
        )

    def _filled(self, token: Token) -> str:
        first, *rest = self._text[token.start : token.end].split(_HOLE)
        filled, position = first, token.start + len(first)
        for text in rest:
            written, value = next(self._values)
            filled += self._safe(token, position, written, value) + text
            position += len(text) + 1
        return filled

    def _safe(self, token: Token, position: int, written: str, value: Any) -> str:
        before = self._text[token.start : position]
        if token.kind == "escaped" and (len(before) - len(before.rstrip("\\"))) % 2:
            # it would take the first character of the value, such as one of two quotes
            raise ActionConfigError(
                f"{self._where}: a backslash stands before {written}",
                hint="write \\\\ for a backslash in such a literal",
            )
        quoted = self._language.quoted(token, before, to_text(value))
        if quoted is not None:
            return quoted
        if token.kind == "open":
            raise ActionConfigError(f"{self._where}: the quote before {written} is never closed")
        plain = _plain(value)
        if plain is None or self._touches_quote(position):
            raise self._refused(token, written, value)
        return plain

    def _touches_quote(self, position: int) -> bool:
        """Whether a quote stands beside the hole: a name before one would change how the literal is read."""
        beside = self._text[max(position - 1, 0) : position] + self._text[position + 1 : position + 2]
        return any(each in "'\"$" for each in beside)

    def _refused(self, token: Token, written: str, value: Any) -> ActionConfigError:
        place = {"dollar": "inside dollar quotes", "comment": "in a comment"}.get(token.kind, "outside quotes")
        if _plain(value) is not None:
            return ActionConfigError(f"{self._where}: {written} touches a quote", hint="bind it in `params` instead")
        return ActionConfigError(
            f"{self._where}: {written} is {describe(value)}; {place} only null, numbers, booleans and plain names "
            "can be filled in",
            hint=self._language.hint(shorten(repr(written))),
        )


def _quoted(token: Token, before: str, shown: str) -> str | None:
    opening = before[0] if before else ""
    if token.kind in ("text", "escaped"):
        if token.kind == "escaped" or opening in "uU":
            shown = shown.replace("\\", "\\\\")
        return shown.replace("'", "''")
    if token.kind == "name" and opening != "[":
        quote = "`" if opening == "`" else '"'
        return shown.replace("\\", "\\\\" if opening in "uU" else "\\").replace(quote, quote * 2)
    return None


def _hint(written: str) -> str:
    return f"bind it instead: write ? in its place and `params: [{written}]`"


_LANGUAGES: Mapping[Dialect, Language] = {
    "postgresql": Language(partial(tokens, dialect="postgresql"), _quoted, _hint),
    "sqlite": Language(partial(tokens, dialect="sqlite"), _quoted, _hint),
}


def _plain(value: Any) -> str | None:
    """Return a value as SQL where it cannot be anything but a value or a name, else None."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        number = from_text(value)
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            value = number
        else:
            return value if _PLAIN_NAME.fullmatch(value) else None
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if not isinstance(value, (int, float)):
        return None
    # a minus of the author's before it would make a comment of the two
    return f" {to_text(value)}" if value < 0 else to_text(value)
