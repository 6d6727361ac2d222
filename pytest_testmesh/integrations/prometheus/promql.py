"""The little that is read of PromQL: which metrics a query names; the rest is the server's."""

from __future__ import annotations

import re

_NO_NAMES = re.compile(
    r"""
    "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | `[^`]*`                              # text
    | \#[^\n]*                                                                   # comments
    | \b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)           # lists of labels
    | \{[^{}]*\} | \[[^\[\]]*\]                                                  # matchers and ranges
    | \b\d[\w.]*                                                                 # numbers and durations
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NAME = re.compile(r"[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])")
_WORDS = frozenset(
    "and or unless bool offset by without on ignoring group_left group_right atan2 inf nan start end".split()
)


def metric_names(query: str) -> list[str]:
    """Return the names of metrics in a query, each once; those in matchers, ``{__name__=...}``, are not seen."""
    names = _NAME.findall(_NO_NAMES.sub(" ", _NO_NAMES.sub(" ", query)))
    return list(dict.fromkeys(name for name in names if name.lower() not in _WORDS))
