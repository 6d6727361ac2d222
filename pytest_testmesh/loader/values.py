"""YAML nodes to Python values by the YAML 1.2 core schema, and to the checked entries of mappings."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from pytest_testmesh.errors import FlowSchemaError
from pytest_testmesh.loader.quoting import quote_from_indicator
from pytest_testmesh.loader.source import Node, Source
from pytest_testmesh.values import near_matches

Pair = tuple[Node, Node]
Entries = dict[str, Pair]

# Plain text that starts otherwise is text: the one test that nearly every scalar needs.
_WORD_START = frozenset("~nNtTfF")
_NOT_TEXT_START = frozenset(("", *"0123456789+-.", *_WORD_START))
_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# https://yaml.org/spec/1.2.2/#103-core-schema, but text with a leading zero: 01234 stays as written.
_INTEGER = re.compile("[-+]?(?:0|[1-9][0-9]*)")
_OCTAL_OR_HEX = re.compile("0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LONGEST_INTEGER = 4000  # int() refuses more than 4,300 digits


def read_value(source: Source, node: Node) -> Any:
    """Return the JSON value of a node.

    Raises:
        FlowSchemaError: A tag, a key twice, a key that is not text, or a number that JSON has not.
    """
    value = node.value
    if node.tag:
        raise refused_tag(source, node)
    if value.__class__ is str:
        if node.style or value[:1] not in _NOT_TEXT_START:
            return value
        return _resolve(source, node, value)
    if node.id == "sequence":
        return [read_value(source, child) for child in value]
    return {key: read_value(source, pair[1]) for key, pair in read_entries(source, node).items()}


def read_entries(source: Source, node: Node, known: Collection[str] | None = None, where: str = "") -> Entries:
    """Return the entries of a mapping node by key, with those of ``<<`` merged in.

    Only the keys in *known* may occur, when it is given; *where* names the mapping for messages ("step pay").

    Raises:
        FlowSchemaError: Not a mapping, a key that is unknown, that is there twice or that is not text.
    """
    if node.tag:
        raise refused_tag(source, node)
    if node.id != "mapping":
        raise source.error(node, f"{where} must be a mapping, is {describe(source, node)}")
    entries: Entries = {}
    merged: list[Node] = []
    for pair in node.value:
        key = pair[0]
        name = key.value
        if name.__class__ is not str or key.tag:
            raise _refused_key(source, key)
        if name[:1] in _NOT_TEXT_START and not key.style and _resolve(source, key, name).__class__ is not str:
            raise _refused_key(source, key)
        if name in entries:
            raise _duplicate(source, key, entries[name][0])
        if name == "<<" and not key.style:
            merged.append(pair[1])
        elif known is not None and name not in known:
            raise unknown_key(source, key, known, where)
        else:
            entries[name] = pair
    for value in merged:
        _merge(source, value, entries, known, where)
    return entries


def _merge(source: Source, value: Node, entries: Entries, known: Collection[str] | None, where: str) -> None:
    """Add what ``<<`` brings; the mapping's own keys win, then the earlier of several merged mappings."""
    for node in value.value if value.id == "sequence" else (value,):
        if node.id != "mapping":
            raise source.error(node, f"<< merges mappings, and this is {describe(source, node)}")
        for name, pair in read_entries(source, node, known, where).items():
            entries.setdefault(name, pair)


def _resolve(source: Source, node: Node, text: str) -> Any:
    """Give plain text that may be null, a boolean or a number its value."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in _WORD_START:
        return text
    if _INTEGER.fullmatch(text):
        if len(text) > _LONGEST_INTEGER:
            raise source.error(node, f"a number of {len(text)} digits is too long", "put it in quotes")
        return int(text)
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise source.error(node, f"{_short(text)} is too large for a number", "put it in quotes")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise source.error(node, f"{text} is a number that JSON does not have", "put it in quotes if it is text")
    return text


def describe(source: Source, node: Node) -> str:
    """Name the value of a node for a message: ``a list``, ``empty``, ``the number 5``, ``the text 'x'``."""
    if node.id != "scalar":
        return "a list" if node.id == "sequence" else "a mapping"
    value = read_value(source, node)
    if value is None:
        return "empty" if not node.value else "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"the text {_short(value)!r}" if isinstance(value, str) else f"the number {_short(node.value)}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def refused_tag(source: Source, node: Node) -> FlowSchemaError:
    """Make the error for a ``!tag``."""
    tag = _short((node.tag or "").replace("tag:yaml.org,2002:", "!!"))
    quotes = None if tag.startswith("!!") else quote_from_indicator(source, node.start_mark, char="!")
    hint = quotes or "write the plain value without it"
    return source.error(node, f"the YAML tag {tag} is not supported", hint)


def _refused_key(source: Source, key: Node) -> FlowSchemaError:
    if key.id == "scalar" and key.tag:
        return refused_tag(source, key)
    hint = f'put it in quotes: "{_short(key.value)}"'
    if key.id != "scalar":
        hint = "put ${...} and {{...}} in quotes" if key.id == "mapping" else "put it in quotes"
    return source.error(key, f"a key must be text, is {describe(source, key)}", hint)


def _duplicate(source: Source, key: Node, first: Node) -> FlowSchemaError:
    line = first.start_mark.line + 1
    return source.error(key, f"the key {_short(key.value)} stands here and in line {line}", "remove one of the two")


def unknown_key(source: Source, key: Node, known: Collection[str], where: str) -> FlowSchemaError:
    """Make the error for a key that nobody knows; it names the nearest one."""
    near = nearest(key.value, known)
    message = f"unknown key {_short(key.value)} in {where}"
    in_config = "what the action itself takes goes under config" if "action" in known else None
    if near:
        return source.error(key, f"{message}: did you mean {near}?", in_config)
    hint = "; ".join(filter(None, [f"possible here: {', '.join(known)}", in_config]))
    return source.error(key, message, hint)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that *word* was probably meant to be."""
    found = near_matches(word.lower(), known, 1)
    return found[0] if found else None


def node_at(source: Source, node: Node, path: Sequence[str | int]) -> tuple[Node, Node]:
    """Follow *path* into a node as far as it leads; return the key (or the element) and the value there."""
    key = node
    for part in path:
        if node.id == "mapping" and isinstance(part, str):
            pair = read_entries(source, node).get(part)
        elif node.id == "sequence" and isinstance(part, int) and 0 <= part < len(node.value):
            pair = (node.value[part], node.value[part])
        else:
            pair = None
        if pair is None:
            break
        key, node = pair
    return key, node
