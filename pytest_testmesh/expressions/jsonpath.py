"""JSONPath (RFC 9535) on a step's result: where a path ends in a text, and the one rule for where it is searched.

A singular query gives its value, any other query the list of what it finds. A query that finds nothing in the
result is searched in the result's ``body``, else in the ``value`` of its single Kafka message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_testmesh.errors import ExpressionError, ExpressionSyntaxError
from pytest_testmesh.values import Missing, describe_shape

if TYPE_CHECKING:
    from jsonpath import CompoundJSONPath, JSONPath, JSONPathEnvironment

# RFC 9535's names: ASCII letters, digits, _ and everything beyond ASCII. Written as what they are not, since ranges up
# to U+10FFFF take milliseconds to compile.
_NAME = r"[^\x00-@\[-^`{-\x7f][^\x00-/:-@\[-^`{-\x7f]*"
_NAME_WITH_HYPHENS = r"[^\x00-@\[-^`{-\x7f][^\x00-,./:-@\[-^`{-\x7f]*"
_SEGMENT = re.compile(rf"\.\.?(?:\*|{_NAME})|\.\.(?=\[)|\[", re.ASCII)
_SEGMENT_WITH_HYPHENS = re.compile(rf"\.\.?(?:\*|{_NAME_WITH_HYPHENS})|\.\.(?=\[)|\[", re.ASCII)
_IN_BRACKETS = re.compile(r"""[^\[\]'"]+|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[\[\]]""", re.DOTALL)
_KEY = re.compile(
    rf"""\.({_NAME_WITH_HYPHENS})|\[(?:(0|-?[1-9][0-9]{{0,14}})|'([^'\\\x00-\x1f]*)'|"([^"\\\x00-\x1f]*)")\]""",
    re.ASCII,
)
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A compiled query. *keys* are the names and indexes of a plain singular query, else *query* is the library's."""

    text: str
    singular: bool
    keys: tuple[str | int, ...] | None
    query: JSONPath | CompoundJSONPath | None = field(repr=False, default=None)

    def find(self, result: Any) -> Any:
        """Search a step's result.

        Returns:
            The value of a singular query, or `Missing`; of any other query the list of all values, also of none.

        Raises:
            ExpressionError: The library cannot search this value: it is nested too deeply.
        """
        found = self._search(result)
        if found is not _ABSENT:
            return found
        for _, _, document in _inner_documents(result):
            found = self._search(document)
            if found is not _ABSENT:
                return found
        return self._missing(result) if self.singular else []

    def _search(self, document: Any) -> Any:
        if self.keys is not None:
            return _walk(document, self.keys)
        # the library would read a text as a JSON document
        found = self._query_values(document) if isinstance(document, (Mapping, list)) else []
        if not found:
            return _ABSENT
        return found[0] if self.singular else found

    def _query_values(self, document: Any) -> list[Any]:
        from jsonpath import JSONPathError

        assert self.query is not None
        try:
            return list(self.query.findall(document))
        except (JSONPathError, RecursionError) as exc:
            raise ExpressionError(f"{self.text} cannot be searched: {_library_message(exc)}") from None

    def _missing(self, result: Any) -> Missing:
        keys = self.keys or ()
        reached = [_reach(place, document, keys) for place, _, document in _documents(result)]
        depth, place, value = max(reached, key=lambda each: each[0])
        sought = keys[depth] if depth < len(keys) else None
        reason = _not_at(place, value, sought) if depth else _nowhere(result)
        there = value if depth else result
        return Missing(self.text, reason, _keys_there(there), sought if isinstance(sought, str) else None)


def scan_path(text: str, start: int, *, hyphens: bool = False) -> int:
    """Return where the JSONPath that begins with the ``$`` at *start* ends.

    It ends at white space or an operator outside brackets, before a method call and before a last ``.length``.
    With *hyphens* a name may hold ``-``, which is an operator elsewhere.

    Raises:
        ExpressionSyntaxError: A bracket is not closed.
    """
    segment = _SEGMENT_WITH_HYPHENS if hyphens else _SEGMENT
    position = start + 1
    while True:
        match = segment.match(text, position)
        if match is None:
            return position
        end = match.end()
        if match[0] == "[":
            end = _after_bracket(text, match.start())
        elif text.startswith("(", end) or _is_length(text, start, match):
            return position
        position = end


def _is_length(text: str, start: int, match: re.Match[str]) -> bool:
    return match[0] == ".length" and match.start() > start + 1 and text[match.end() : match.end() + 1] not in {".", "["}


def _after_bracket(text: str, start: int) -> int:
    depth = 0
    position = start
    while match := _IN_BRACKETS.match(text, position):
        position = match.end()
        if match[0] == "[":
            depth += 1
        elif match[0] == "]":
            depth -= 1
            if depth == 0:
                return position
    raise ExpressionSyntaxError("this [ of a JSONPath is never closed", offset=start)


@lru_cache(maxsize=1024)
def compile_path(text: str) -> JsonPath:
    """Compile a JSONPath.

    A plain singular query needs no library: an object's member by name and an array's element by index is all that
    RFC 9535 (2.3.1, 2.3.3) says of it, and ``tests/test_extraction.py`` compares the two.

    Raises:
        ExpressionSyntaxError: Not a JSONPath.
    """
    keys = _plain_keys(text)
    if keys is not None:
        return JsonPath(text, singular=True, keys=keys)
    return _compile_with_library(text)


def _plain_keys(text: str) -> tuple[str | int, ...] | None:
    keys: list[str | int] = []
    position = 1
    while match := _KEY.match(text, position):
        name, index, single, double = match.groups()
        keys.append(int(index) if index is not None else name or single or double or "")
        position = match.end()
    return tuple(keys) if position == len(text) else None


def _compile_with_library(text: str) -> JsonPath:
    from jsonpath import JSONPath

    try:
        query = _environment().compile(text)
        singular = isinstance(query, JSONPath) and query.singular_query()
    except Exception as exc:  # noqa: BLE001 - the library's own errors and its slips on odd text say the same
        raise ExpressionSyntaxError(
            f"{text} is not a JSONPath: {_library_message(exc)}",
            hint="JSONPath as in RFC 9535: $.users[0].name, $.users[?@.active == true].id",
        ) from None
    return JsonPath(text, singular=singular, keys=None, query=query)


@lru_cache(maxsize=1)
def _environment() -> JSONPathEnvironment:
    from jsonpath import JSONPathEnvironment

    return JSONPathEnvironment(strict=True)


def _library_message(exc: BaseException) -> str:
    message = getattr(exc, "message", None) or (exc.args[0] if exc.args else type(exc).__name__)
    return str(message).split("\n")[0]


def _documents(result: Any) -> Iterator[tuple[str, str, Any]]:
    """The values to search: the place of each as a path, its name in messages, and itself."""
    yield "$", "the result", result
    yield from _inner_documents(result)


def _inner_documents(result: Any) -> Iterator[tuple[str, str, Any]]:
    if not isinstance(result, Mapping):
        return
    if "body" in result:
        yield "$.body", "its body", result["body"]
    elif isinstance(result.get("messages"), list):
        yield from _message_value(result, result["messages"])


def _message_value(result: Mapping[str, Any], messages: list[Any]) -> Iterator[tuple[str, str, Any]]:
    if len(messages) == 1 and isinstance(messages[0], Mapping) and "value" in messages[0]:
        yield "$.messages[0].value", "its message's value", messages[0]["value"]
    elif "value" in result:
        yield "$.value", "its message's value", result["value"]


def _walk(value: Any, keys: tuple[str | int, ...]) -> Any:
    for key in keys:
        value = _step(value, key)
        if value is _ABSENT:
            return _ABSENT
    return value


def _step(value: Any, key: str | int) -> Any:
    if isinstance(key, str):
        if isinstance(value, Mapping):
            try:
                return value[key]
            except KeyError:
                return _ABSENT
    elif isinstance(value, list) and -len(value) <= key < len(value):
        return value[key]
    return _ABSENT


def _reach(place: str, document: Any, keys: tuple[str | int, ...]) -> tuple[int, str, Any]:
    """How many keys lead somewhere, the place they lead to as a path, and what is there."""
    for depth, key in enumerate(keys):
        following = _step(document, key)
        if following is _ABSENT:
            return depth, place, document
        document = following
        place += f"[{key}]" if isinstance(key, int) else f".{key}"
    return len(keys), place, document


def _not_at(place: str, value: Any, sought: str | int | None) -> str:
    if isinstance(value, Mapping) and isinstance(sought, str):
        return f"{place} has no key {sought}"
    return f"{place} is {describe_shape(value)}"


def _nowhere(result: Any) -> str:
    searched = [
        name if isinstance(document, Mapping) else f"{name}, which is {describe_shape(document)}"
        for _, name, document in _documents(result)
    ]
    return f"it is not in {' nor in '.join(searched)}"


def _keys_there(value: Any) -> tuple[str, ...]:
    keys = [str(key) for _, _, each in _documents(value) if isinstance(each, Mapping) for key in each]
    return tuple(dict.fromkeys(keys))
