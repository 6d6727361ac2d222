"""The one sink that masks secrets: everything printed or stored passes through a `Masker`."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"

_MIN_VALUE_LENGTH = 6
"""Shorter values are masked by position only: a password ``test`` must not star out every "test" of a report."""

_SECRET_WORDS = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization|"
    r"credentials?|cookie|session[_-]?id|jwt|bearer|card(?:[_-]?number)?|cvv|cvc"
)
_SECRET_ENDINGS = r"pass(?:word|wd|phrase)|secret|token"
"""Words that also count at the end of a name written as one: ``PGPASSWORD``, ``csrftoken``."""

_WHOLE_LINES = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
"""Headers whose value, written ``Name: value``, reaches to the end of the line, whatever it holds."""


_PLAIN = frozenset({int, float, bool, type(None)})


class SecretNames:
    """Tells the names of secrets from others: those that look like one, and *names*.

    Letter case and ``camelCase`` do not matter. Answers are remembered, since the same keys come again in every
    result and report.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        words = "|".join([_SECRET_WORDS, *(re.escape(name) for name in names)])
        self.word = re.compile(words, re.IGNORECASE)
        self._name = re.compile(rf"(?:.*(?:[\W_]|(?={_SECRET_ENDINGS})))?(?:{words})s?(?:[\W_].*)?", re.IGNORECASE)
        self.matches = lru_cache(maxsize=4096)(self._matches)

    def _matches(self, name: object) -> bool:
        if not isinstance(name, str) or name in _NO_SECRETS:
            return False
        return self._name.fullmatch(_separated(name)) is not None


_secret_names = lru_cache(maxsize=16)(SecretNames)


class Masker:
    """Replaces secrets by ``***``: by the name they stand behind, and by value wherever else they turn up.

    *names* are further names to treat as secret, beside those that look like one (``password``, ``api_key``,
    ``authorization``...).
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        known = _secret_names(tuple(names))
        self.is_secret_name = known.matches
        self._word = known.word
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, value: Any) -> None:
        """Mask this value, and each text within it, wherever it turns up."""
        if isinstance(value, str):
            self._add_text(value)
        elif isinstance(value, Mapping):
            for each in value.values():
                self.add(each)
        elif isinstance(value, (list, tuple)):
            for each in value:
                self.add(each)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            self._add_text(str(value))

    def collect(self, tree: Any) -> None:
        """Add the values that stand behind secret names anywhere in a JSON tree."""
        kind = type(tree)
        if kind is str or kind in _PLAIN:
            return
        if isinstance(tree, Mapping):
            for key, value in tree.items():
                if self.is_secret_name(key):
                    self.add(value)
                else:
                    self.collect(value)
        elif isinstance(tree, (list, tuple)):
            for each in tree:
                self.collect(each)

    def text(self, text: str) -> str:
        """Return *text* with every secret replaced."""
        pattern = self._value_pattern()
        if pattern is not None:
            text = pattern.sub(MASK, text)
        if "://" in text:
            text = _USERINFO.sub(rf"\g<1>{MASK}@", text)
        if (":" in text or "=" in text) and self._word.search(text):
            return self._mask_pairs(text)
        return text

    def tree(self, tree: Any) -> Any:
        """Return a JSON tree with every secret replaced, by name and in each text."""
        kind = type(tree)
        if kind in _PLAIN:
            return tree
        if kind is str or isinstance(tree, str):
            return self.text(tree)
        if isinstance(tree, Mapping):
            return {key: self._entry(key, value) for key, value in tree.items()}
        if isinstance(tree, (list, tuple)):
            return [self.tree(each) for each in tree]
        return tree

    def _entry(self, key: Any, value: Any) -> Any:
        return MASK if self.is_secret_name(key) and value not in (None, "") else self.tree(value)

    def _mask_pairs(self, text: str) -> str:
        done: list[str] = []
        start = 0
        for pair in _PAIR.finditer(text):
            if pair.start() < start or _FILE.search(pair["name"]) or not self.is_secret_name(pair["name"]):
                continue
            whole_line = pair["name"].lower() in _WHOLE_LINES and ":" in pair[0]
            value = (_LINE if whole_line else _VALUE).match(text, pair.end())
            if value is not None:
                quoted = value[0][0] if value[0][0] in "\"'" else ""
                done += [text[start : pair.end()], quoted, MASK, quoted]
                start = value.end()
        return "".join([*done, text[start:]])

    def _add_text(self, text: str) -> None:
        if text.lower().startswith(("bearer ", "basic ")):
            text = text.split(None, 1)[1]
        if len(text) >= _MIN_VALUE_LENGTH and text != MASK:
            before = len(self._values)
            self._values.update(_forms(text))
            if len(self._values) != before:
                self._pattern = None

    def _value_pattern(self) -> re.Pattern[str] | None:
        if self._pattern is None and self._values:
            longest_first = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        return self._pattern


_NO_SECRETS = frozenset({"PWD", "OLDPWD"})
_FILE = re.compile(r"\.(?:ya?ml|py|json|csv)$")
_USERINFO = re.compile(r"(\w://[^\s/:@\"']*:)[^\s/@\"']+@")
_PAIR = re.compile(r"""["']?(?<![\w$.-])(?P<name>[\w.-]+)["']?[ \t]*(?::(?![:=])|=(?![=~])|[ ]is(?=[ ]["'\d]))[ \t]*""")
_VALUE = re.compile(
    r"""
    "(?:[^"\\]|\\.)+" | '(?:[^'\\]|\\.)+'
    | (?!null\b|\*\*\*) (?:(?:bearer|basic|token)\s+)? [^\s,;&"'{}\[\])]+
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LINE = re.compile(r""""(?:[^"\\]|\\.)+" | (?!null\b|\*\*\*) [^\r\n]+""", re.VERBOSE)


_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _separated(name: str) -> str:
    """Return ``accessToken`` as ``access_Token``, so that one pattern of whole words fits every spelling."""
    return _HUMP.sub("_", name)


def _forms(text: str) -> Iterable[str]:
    yield text
    yield quote(text, safe="")
    yield quote(text)
    yield quote_plus(text)
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    data = text.encode("utf-8", "surrogatepass")
    yield base64.b64encode(data).decode()
    yield base64.urlsafe_b64encode(data).decode()
    yield base64.b64encode(data).decode().rstrip("=")
    # Basic credentials encode "user:password" as one; where the password begins in it is not known, so all three
    # alignments of its bytes within the base64 groups are masked, without the characters that mix with neighbours.
    for offset in (0, 1, 2):
        shifted = base64.b64encode(b"\0" * offset + data).decode().rstrip("=")
        core = shifted[4 if offset else 0 : len(shifted) // 4 * 4]
        if len(core) >= _MIN_VALUE_LENGTH:
            yield core
