"""Extraction: how a value under ``output:`` is found in a step's result, by JSONPath or by an expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pytest_testmesh.errors import ExpressionSyntaxError
from pytest_testmesh.expressions.expression import Expression, compile_expression
from pytest_testmesh.expressions.jsonpath import JsonPath, compile_path, scan_path
from pytest_testmesh.scope import WHOLE_RESULT
from pytest_testmesh.values import Missing, to_json

if TYPE_CHECKING:
    from pytest_testmesh.expressions import Names

UNSET: Any = object()
"""Stands for a default that was not given; null is a default."""


class _Finder(Protocol):
    def __call__(self, result: Any, names: Names) -> Any: ...


class Extraction:
    """One way to find a value in a result; *names* are the bare names it reads, which the result may have."""

    __slots__ = ("_default", "_find", "names", "placeholder_names", "text")

    def __init__(self, text: str, query: JsonPath | Expression, default: Any) -> None:
        self.text = text
        self._default = default
        self.names: frozenset[str] = frozenset()
        self.placeholder_names: frozenset[str] = frozenset()
        if isinstance(query, JsonPath):
            find = query.find
            self._find: _Finder = lambda result, names: find(result)
        else:
            value = query.value
            self._find = lambda result, names: value(_ResultFirst(result, names))
            self.names, self.placeholder_names = query.names, query.placeholder_names

    def __repr__(self) -> str:
        return f"Extraction({self.text!r})"

    def extract(self, result: Any, names: Names) -> Any:
        """Return the JSON value: of a JSONPath that is not singular a list, of what is missing the default.

        Raises:
            MissingPathError: There is nothing at that place and no default; says what was there.
            ExpressionError: A name is undefined, or types do not fit.
        """
        found = self._find(result, names)
        if isinstance(found, Missing) and self._default is not UNSET:
            return self._default
        return to_json(found)


class _ResultFirst:
    """The names of an extraction: keys of the result, the whole result under its old names, then variables."""

    __slots__ = ("_names", "_result")

    def __init__(self, result: Any, names: Names) -> None:
        self._result = result
        self._names = names

    @property
    def placeholders(self) -> Names:
        return self._names.placeholders

    def lookup(self, name: str) -> Any:
        if name in self._result:
            return self._result[name]
        return self._result if name in WHOLE_RESULT else self._names.lookup(name)

    def root(self) -> Any:
        return self._result


def compile_extraction(text: str, ids: frozenset[str] = frozenset(), default: Any = UNSET) -> Extraction:
    """Compile the text of an output: a JSONPath if it is one from its ``$`` to its end, else an expression.

    Raises:
        ExpressionSyntaxError: Neither.
    """
    stripped = text.strip()
    if stripped == "$" or stripped.startswith(("$.", "$[")):
        # a name in a JSONPath may hold a hyphen here, where nobody subtracts: $.headers.Content-Type
        if scan_path(stripped, 0, hyphens=True) == len(stripped):
            return Extraction(text, compile_path(stripped), default)
    try:
        return Extraction(text, compile_expression(text, ids), default)
    except ExpressionSyntaxError as exc:
        raise ExpressionSyntaxError(exc.message, offset=exc.offset, hint=_hint(text, exc.hint)) from None


def _hint(text: str, hint: str | None) -> str | None:
    if "${" in text or "{{" in text:
        return "text around a placeholder is written in quotes inside quotes: \"'Bearer ${token}'\""
    if text.strip().startswith("$"):
        return "a JSONPath ends at white space; JSONPath as in RFC 9535: $.users[0].name"
    return hint
