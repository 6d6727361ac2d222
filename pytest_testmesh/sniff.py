"""Tells by their bytes which YAML files are flow files, or were meant as one; light enough for every run."""

from __future__ import annotations

import re

MAX_SIZE_BYTES = 2 * 1024 * 1024
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

_FLOW_LINE = re.compile(rb"""^(?:\xef\xbb\xbf)?["']?flow["']?[ \t]*:(?=\s|\Z)""", re.MULTILINE)
_INLINE_KEY = re.compile(rb"""[{,][ \t]*["']?(?:steps|name)["']?[ \t]*:""")
_INDENTED_KEY = re.compile(rb"""[ \t]+["']?(?:steps|name)["']?[ \t]*:""")


def looks_like_flow(data: bytes) -> bool:
    """Whether a line starts with ``flow:``: cheap, and true for every flow file."""
    return _FLOW_LINE.search(as_utf8(data)) is not None


def claims_to_be_flow(data: bytes) -> bool:
    """Whether text that is no YAML was meant as a flow: ``steps:`` or ``name:`` stands under ``flow:``."""
    data = as_utf8(data)
    found = _FLOW_LINE.search(data)
    if found is None:
        return False
    first, *rest = data[found.end() :].splitlines() or [b""]
    if _INLINE_KEY.search(first):
        return True
    for line in rest:
        if _INDENTED_KEY.match(line):
            return True
        if line.strip() and line[:1] not in b" \t#":
            return False
    return False


def as_utf8(data: bytes) -> bytes:
    """Return *data* itself, or UTF-8 made of UTF-16 with a byte order mark."""
    return data.decode("utf-16", "replace").encode() if data[:2] in UTF16_MARKS else data
