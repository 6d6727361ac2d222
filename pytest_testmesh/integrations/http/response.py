"""A response as a step's result: headers, text and JSON."""

from __future__ import annotations

import json
from base64 import b64encode
from math import isfinite
from typing import Any


class Headers(dict[str, str]):
    """Response headers under the names that the server wrote, found in any case."""

    __slots__ = ()

    def __missing__(self, key: object) -> str:
        if isinstance(key, str):
            wanted = key.lower()
            for name, value in self.items():
                if name.lower() == wanted:
                    return value
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return self.get(key) is not None

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of *key*, else *default*."""
        try:
            return self[key]
        except KeyError:
            return default


def _finite(number: str) -> float | str:
    value = float(number)
    return value if isfinite(value) else number


_JSON = json.JSONDecoder(parse_constant=str, parse_float=_finite)
_LINES = ("ndjson", "jsonl", "json-seq", "json-lines", "jsonlines")


def decode_body(data: bytes, content_type: str) -> Any:
    """Return the body as JSON has it: parsed, text, or base64 for what is no text.

    It is parsed when the media type says JSON, also ``+json``, or when there is no media type and it is an object
    or array; what does not parse stays text.
    """
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower()
    if _says_json(media_type) or (not media_type and data.lstrip()[:1] in (b"{", b"[")):
        try:
            return _JSON.decode(data.decode(json.detect_encoding(data)))
        except (ValueError, RecursionError):
            pass
    return _text(data, parameters)


def _says_json(media_type: str) -> bool:
    return "json" in media_type and not media_type.endswith(_LINES)


def _text(data: bytes, parameters: str) -> str:
    for charset in (_charset(parameters), "utf-8-sig"):
        try:
            return data.decode(charset)
        except (ValueError, LookupError):
            continue
    return b64encode(data).decode("ascii")


def _charset(parameters: str) -> str:
    for each in parameters.split(";"):
        name, _, value = each.strip().partition("=")
        if name.lower() == "charset":
            return value.strip("\"' ")
    return "utf-8-sig"
