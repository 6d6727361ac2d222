"""``${...}`` and ``{{...}}`` in SQL text: filled in so that no value can become SQL."""

from __future__ import annotations

import re
from functools import lru_cache
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


def fill_sql(text: str, dialect: Dialect, context: ActionContext, where: str) -> str:
    """Return *text* with its placeholders filled in.

    Inside a literal or a quoted name a value gets its quotes doubled. Elsewhere it must be null, a number, a boolean or
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
    return _Filler(parts, values, dialect, where).filled()


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
        self, parts: tuple[str | Template, ...], values: list[tuple[str, Any]], dialect: Dialect, where: str
    ) -> None:
        self._where = where
        self._values = iter(values)
        self._text = "".join(part if isinstance(part, str) else _HOLE for part in parts)
        if self._text.count(_HOLE) != len(values):
            raise ActionConfigError(f"{where} holds a NUL character", hint="no SQL statement can: bind it in `params`")
        self._tokens = tokens(self._text, dialect)

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
        opening = self._text[token.start]
        if token.kind in ("text", "escaped"):
            shown = to_text(value)
            if token.kind == "escaped" or opening in "uU":
                shown = shown.replace("\\", "\\\\")
            return shown.replace("'", "''")
        if token.kind == "name" and opening != "[":
            quote = "`" if opening == "`" else '"'
            return to_text(value).replace("\\", "\\\\" if opening in "uU" else "\\").replace(quote, quote * 2)
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
            hint=f"bind it instead: write ? in its place and `params: [{shorten(repr(written))}]`",
        )


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
