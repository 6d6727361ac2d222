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

_MAX_DEPTH = 100
"""Levels of a tree that are looked at; Python gives up at a few hundred."""

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
        self._longest = 0
        self._by_beginning: dict[str, list[str]] = {}

    def add(self, value: Any) -> None:
        """Mask this value, and each text within it, wherever it turns up."""
        self._gather(value, secret=True)

    def collect(self, tree: Any) -> None:
        """Add the values that stand behind secret names in a JSON tree, down to its hundredth level."""
        self._gather(tree, secret=False)

    def _gather(self, tree: Any, *, secret: bool) -> None:
        pending = [(tree, secret, 0)]
        met: dict[tuple[int, bool], Any] = {}  # holds on to what it met: a freed object's id is given out again
        while pending:
            value, secret, depth = pending.pop()
            if isinstance(value, str) or type(value) in _PLAIN:
                if secret:
                    self._add_plain(value)
            elif isinstance(value, (Mapping, list, tuple)) and depth < _MAX_DEPTH and (id(value), secret) not in met:
                met[id(value), secret] = value
                if isinstance(value, Mapping):
                    pending += [(each, secret or self.is_secret_name(key), depth + 1) for key, each in value.items()]
                else:
                    pending += [(each, secret, depth + 1) for each in value]

    def _add_plain(self, value: str | float | None) -> None:
        if value is not None and not isinstance(value, bool):
            self._add_text(str(value))

    def text(self, text: str) -> str:
        """Return *text* with every secret replaced, also one of which a cut (``...``) left the beginning.

        Lone surrogates, which JSON may hold, are written as escapes: neither xdist nor a file can take them.
        """
        if not text.isascii():
            text = text.encode(errors="backslashreplace").decode()
        pattern = self._value_pattern()
        if pattern is not None:
            text = pattern.sub(MASK, text)
            if "..." in text:
                text = self._mask_cut_values(text)
        if "://" in text:
            text = _PASSWORD_IN_URL.sub(rf"\g<1>{MASK}@", text)
            text = _USER_IN_URL.sub(rf"\g<1>{MASK}@", text)
        if "@" in text:
            text = _PASSWORD_WITHOUT_SCHEME.sub(rf"\g<1>{MASK}@", text)
        if (":" in text or "=" in text or ", not " in text) and self._word.search(text):
            return self._mask_pairs(text)
        return text

    def tree(self, tree: Any) -> Any:
        """Return a JSON tree with every secret replaced, by name and in each text.

        What lies deeper than a hundred levels, or within itself, is replaced as a whole.
        """
        return self._tree(tree, ())

    def _tree(self, tree: Any, above: tuple[int, ...]) -> Any:
        kind = type(tree)
        if kind in _PLAIN:
            return tree
        if kind is str or isinstance(tree, str):
            return self.text(tree)
        if not isinstance(tree, (Mapping, list, tuple)):
            return tree
        if len(above) >= _MAX_DEPTH or id(tree) in above:
            return MASK
        above = (*above, id(tree))
        if isinstance(tree, Mapping):
            return {self._key(key): self._entry(key, value, above) for key, value in tree.items()}
        return [self._tree(each, above) for each in tree]

    def _key(self, key: Any) -> Any:
        return self.text(key) if isinstance(key, str) else key

    def _entry(self, key: Any, value: Any, above: tuple[int, ...]) -> Any:
        if self.is_secret_name(key) and value is not None and value != "":
            return MASK
        return self._tree(value, above)

    def _mask_cut_values(self, text: str) -> str:
        done: list[str] = []
        start = 0
        for cut in _CUT.finditer(text):
            at = self._start_of_cut_value(text, max(start, cut.start() - self._longest), cut.start())
            if at is not None:
                done += [text[start:at], MASK]
                start = cut.start()
        return "".join([*done, text[start:]])

    def _start_of_cut_value(self, text: str, first: int, end: int) -> int | None:
        for at in range(first, end - _MIN_VALUE_LENGTH + 1):
            values = self._by_beginning.get(text[at : at + _MIN_VALUE_LENGTH], ())
            if any(value.startswith(text[at:end]) for value in values):
                return at
        return None

    def _mask_pairs(self, text: str) -> str:
        done: list[str] = []
        start = 0
        for pair in _PAIR.finditer(text):
            if pair.start() < start or _FILE.search(pair["name"]) or not self.is_secret_name(pair["name"]):
                continue
            whole_line = pair["name"].lower() in _WHOLE_LINES and ":" in pair[0]
            end = _end_of_value(text, pair.end(), _LINE if whole_line else _VALUE)
            if end is not None:
                quoted = text[pair.end()] if text[pair.end()] in "\"'" else ""
                done += [text[start : pair.end()], quoted, MASK, quoted]
                start = end
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
            self._longest = len(longest_first[0])
            self._by_beginning = {}
            for value in longest_first:
                self._by_beginning.setdefault(value[:_MIN_VALUE_LENGTH], []).append(value)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))
        return self._pattern


_NO_SECRETS = frozenset({"PWD", "OLDPWD"})
_FILE = re.compile(r"\.(?:ya?ml|py|json|csv)$")
_CUT = re.compile(r"(?<!\.)\.\.\.(?!\.)")
# A password may hold "/" and "@"; what follows the colon of a host is a port. Lengths are limited against backtracking.
_PASSWORD_IN_URL = re.compile(
    r"""
    (\w://[^\s/:@"'\[]{0,256}:) (?!(?:\d+|\$\{[^}]*\})(?:[/?\#\s"']|$))
    [^\s@"']{1,1024}@ (?:[^\s/@"'?\#]{0,256}@)*
    """,
    re.VERBOSE,
)
_USER_IN_URL = re.compile(r"""(\w://)[^\s/:@"'?#\[]{1,1024}@""")
# The port tells it from a mail address behind a colon, and from the digest of an image: "app:1.2@sha256:9f86...".
_PASSWORD_WITHOUT_SCHEME = re.compile(
    r"""
    (?<![^\s"'=,(\[]) ([^\s:/@"'\[,]{0,256}:) [^\s/"',]{1,1024}@ (?=(?:[\w.-]{1,256}|\[[\da-f:]+\]):\d{1,5}(?![\w.]))
    """,
    re.VERBOSE,
)
_PAIR = re.compile(
    r"""
    (?:\\*["'])? (?<![\w$.-])(?P<name>[\w.-]+) (?:\\*["'])? [ \t]*
    (?: :(?![:=]) | =(?![=~]) | [ ]is(?=[ ]["'\d]) | [ ]must[ ]be[ ][\w ]{1,80},[ ]not(?=[ ]) ) [ \t]*
    """,
    re.VERBOSE,
)
_VALUE = re.compile(
    r"""
    "(?:[^"\\\r\n]|\\.)+" | '(?:[^'\\\r\n]|\\.)+'                        # closed on its line
    | \\+"[^"\\\r\n]+\\+"                                                # of a JSON text within quotes
    | "(?:[^"\r\n]|\\")*?\.\.\. | '(?:[^'\r\n]|\\')*?\.\.\.             # cut
    | "(?:[^"\\]|\\.)+" | '(?:[^'\\]|\\.)+'                              # of many lines
    | "(?:[^"\\\r\n]|\\.)+\\?(?=[\r\n]|\Z) | '(?:[^'\\\r\n]|\\.)+\\?(?=[\r\n]|\Z)
    | (?!null\b|\*\*\*) (?:(?:bearer|basic|token)\s+)? [^\s,;&"'{}\[\])]+
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LINE = re.compile(r""""(?:[^"\\]|\\.)+" | (?!null\b|\*\*\*) [^\r\n]+""", re.VERBOSE)
_BRACKET_OR_TEXT = re.compile(r""""(?:[^"\\]|\\.)*"? | '(?:[^'\\]|\\.)*'? | [\[\]{}] | \.\.\.""", re.VERBOSE)
_EMPTY = re.compile(r"\[\s*\]|\{\s*\}")
_END_OF_LINE = re.compile(r"[\r\n]|\Z")
_MAX_LIST_LENGTH = 20_000


def _end_of_value(text: str, start: int, pattern: re.Pattern[str]) -> int | None:
    """Return where the value that starts at *start* ends; None when there is nothing to mask."""
    if text[start : start + 1] in ("[", "{"):
        return None if _EMPTY.match(text, start) else _end_of_brackets(text, start)
    value = pattern.match(text, start)
    return value.end() if value is not None else None


def _end_of_brackets(text: str, start: int) -> int:
    depth = 0
    for part in _BRACKET_OR_TEXT.finditer(text, start, start + _MAX_LIST_LENGTH):
        if part[0] == "...":
            return part.end()
        depth += (part[0] in ("[", "{")) - (part[0] in ("]", "}"))
        if depth == 0:
            return part.end()
    end_of_line = _END_OF_LINE.search(text, start)
    assert end_of_line is not None  # the end of the text is one
    return end_of_line.end() if end_of_line[0] == "" else end_of_line.start()


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
