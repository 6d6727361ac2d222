"""Placeholders of a statement and the values of ``params``: which value goes where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations.sql.lexer import Dialect, Token, tokens
from pytest_testmesh.values import near_matches


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a statement, *start* to *end* of the author's text: SQL to send, or (*text* is None) a bound value."""

    start: int
    end: int
    text: str | None
    value: Any = None


def bind(
    text: str, dialect: Dialect, positional: Sequence[Any] | None, named: Mapping[str, Any] | None
) -> tuple[Piece, ...]:
    """Cut a statement at its placeholders and give each its value.

    *positional* are values of ``?``, ``?1`` and ``$1``, *named* those of ``:name``. Where PostgreSQL gets no named
    ones, ``:name`` is left alone: it may be the end of an array slice.

    Raises:
        ActionConfigError: A placeholder has no value, or a value no placeholder.
    """
    binder = _Binder(text, dialect, positional, named)
    pieces = tuple(binder.pieces())
    binder.check_all_used()
    return pieces


def split_params(params: Any, named: Mapping[str, Any] | None) -> tuple[Sequence[Any] | None, Mapping[str, Any] | None]:
    """Tell positional from named values: ``params`` may be either, ``named_params`` adds named ones."""
    if isinstance(params, Mapping):
        return None, {**params, **(named or {})}
    return params, named


class _Binder:
    """Walks the tokens of one statement."""

    def __init__(
        self, text: str, dialect: Dialect, positional: Sequence[Any] | None, named: Mapping[str, Any] | None
    ) -> None:
        self._text = text
        self._dialect = dialect
        self._positional = positional
        self._named = named
        self._next = 0
        self._used: set[int | str] = set()
        self._found = tokens(text, dialect)

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces in order; texts between two values are one piece."""
        start = 0
        for token in self._found:
            shown = self._text[token.start : token.end]
            if token.kind == "placeholder" and self._is_ours(shown):
                if start < token.start:
                    yield Piece(start, token.start, self._text[start : token.start])
                yield Piece(token.start, token.end, None, self._value(shown))
                start = token.end
            elif token.kind == "other" and shown == "??":
                yield Piece(start, token.end, self._text[start : token.end - 1])
                start = token.end
        if start < len(self._text):
            yield Piece(start, len(self._text), self._text[start:])

    def check_all_used(self) -> None:
        """Refuse values that no placeholder takes: a typing error must not go unseen."""
        for index in range(len(self._positional or ())):
            if index not in self._used:
                raise self._error(
                    f"params has {_count(len(self._positional or ()), 'value')}, the statement takes "
                    f"{len([each for each in self._used if isinstance(each, int)])}",
                    self._quoted_hint() or "write one ? or $1 for each value",
                )
        for name in self._named or ():
            if name not in self._used:
                raise self._error(f"there is no :{name} in the statement", self._quoted_hint(f":{name}"))

    def _is_ours(self, shown: str) -> bool:
        return shown[0] != ":" or self._dialect == "sqlite" or self._named is not None

    def _value(self, shown: str) -> Any:
        if shown[0] == ":":
            return self._named_value(shown[1:])
        if len(shown) > 1:
            index = int(shown[1:]) - 1
        else:
            index, self._next = self._next, self._next + 1
        values = self._positional or ()
        if not 0 <= index < len(values):
            place = shown if len(shown) > 1 else f"the {_ordinal(index + 1)} ?"
            raise self._error(
                f"there is no value for {place}: params has {_count(len(values), 'value') if values else 'none'}",
                "add it to `params: [...]`" + _OPERATOR_HINT * (self._dialect == "postgresql" and shown == "?"),
            )
        self._used.add(index)
        return values[index]

    def _named_value(self, name: str) -> Any:
        named = self._named or {}
        if name not in named:
            near = near_matches(name, named, 1)
            hint = f"did you mean :{near[0]}?" if near else f"add it: `params: {{{name}: ...}}`"
            raise self._error(f"there is no value for :{name}", hint)
        self._used.add(name)
        return named[name]

    def _quoted_hint(self, placeholder: str | None = None) -> str | None:
        """Say that a placeholder stands in quotes, where it is text."""
        for token in self._found:
            shown = self._text[token.start : token.end].strip("'\"")
            if token.kind in ("text", "escaped", "name") and _is_quoted_placeholder(token, shown, placeholder):
                return f"{shown} stands in quotes, where it is just text: remove the quotes"
        return None

    def _error(self, message: str, hint: str | None) -> ActionConfigError:
        return ActionConfigError(message, hint=hint)


_OPERATOR_HINT = "; the operator ? on JSON is written ?? before a name"


def _is_quoted_placeholder(token: Token, shown: str, placeholder: str | None) -> bool:
    if placeholder is not None:
        return shown == placeholder
    return shown == "?" or (shown[:1] == "$" and shown[1:].isdecimal())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, "th")
    return f"{number}{ending}"
