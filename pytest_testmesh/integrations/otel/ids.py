"""Trace and span ids as they come: hex with or without leading zeros, base64; inside always whole hex."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error

from pytest_testmesh.errors import ActionConfigError

TRACE_DIGITS = 32
SPAN_DIGITS = 16
_HEX = re.compile(r"[0-9a-fA-F]{1,32}")


def asked_trace_id(written: str, what: str) -> str:
    """Return the id that a flow's author wrote, as 32 digits.

    Raises:
        ActionConfigError: Not 1 to 32 hexadecimal digits, or all of them zero; *what* says where it stands.
    """
    text = written.strip()
    if not _HEX.fullmatch(text):
        raise ActionConfigError(
            f'{what}: "{written}" is no trace id',
            hint="it has 32 hexadecimal digits, the second part of a traceparent: 00-<trace id>-<span id>-01",
        )
    if not text.strip("0"):
        raise ActionConfigError(f"{what}: a trace id is never all zeros", hint="did the span that it is of exist?")
    return text.lower().zfill(TRACE_DIGITS)


def wire_id(text: str | None, digits: int) -> str:
    """Return an id of an answer with that many *digits*; empty for none.

    Tempo writes base64 into traces, and into search results hex without leading zeros; Jaeger writes hex.
    """
    if not text:
        return ""
    found = text if not text.endswith("=") else _from_base64(text)
    return found.lower().zfill(digits) if found.strip("0") else ""


def _from_base64(text: str) -> str:
    try:
        return b64decode(text).hex()
    except Error:
        return text
