"""What is stored and how it is given back: bytes and media type from a config, and a body from bytes."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO, FileIO
from mimetypes import MimeTypes
from typing import Any, BinaryIO

from pytest_testmesh.errors import ActionConfigError, TargetError
from pytest_testmesh.integrations._json import parse_json
from pytest_testmesh.integrations._paths import resolved
from pytest_testmesh.integrations.http.response import decode_body
from pytest_testmesh.values import to_text

_BYTES = "application/octet-stream"
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_COMPRESSED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_CHARSET = re.compile(r";\s*charset=[\"']?([\w.:-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What one object is to hold: *data*, or else the file *path*."""

    content_type: str
    metadata: Mapping[str, str]
    data: bytes = b""
    path: str | None = None

    @contextmanager
    def opened(self) -> Iterator[tuple[BinaryIO, int]]:
        """Give a stream and its size in bytes.

        Raises:
            ActionConfigError: The file cannot be read.
        """
        if self.path is None:
            yield BytesIO(self.data), len(self.data)
            return
        try:
            file = _Source(self.path)
        except OSError as exc:
            raise _unreadable(self.path, exc) from exc
        with file:
            yield file, os.fstat(file.fileno()).st_size


class _Source(FileIO):
    """A file whose errors are told as such, not as those of a connection."""

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            data = super().read(-1 if size is None else size)
        except OSError as exc:
            raise _unreadable(str(self.name), exc) from exc
        if not data and size:
            raise ActionConfigError(f"config.file: {self.name!s} became shorter while it was sent")
        return data or b""


def _unreadable(path: str, exc: OSError) -> ActionConfigError:
    return ActionConfigError(
        f"config.file: cannot read {path}: {exc.strerror or exc}", hint="paths are relative to the flow file"
    )


def read_content(config: Mapping[str, Any], folder: Any) -> Content:
    """Return what a put step stores; a file is not opened yet.

    Raises:
        ActionConfigError: None or several of data, data_base64 and file; no base64; metadata that no header takes.
    """
    given = [key for key in ("data", "data_base64", "file") if key in config]
    if len(given) != 1:
        raise ActionConfigError("config needs one of `data`, `data_base64` and `file`")
    metadata = _metadata(config.get("metadata", {}))
    content_type = config.get("content_type")
    if content_type is not None and not _HEADER_VALUE.fullmatch(content_type):
        raise ActionConfigError("config.content_type holds what no header can: only ASCII goes")
    if "file" in config:
        path = resolved(config["file"], folder)
        guessed = content_type or _guessed(path) or _guessed(config["object"]) or _BYTES
        return Content(content_type=guessed, metadata=metadata, path=path)
    data = _data(config)
    return Content(content_type=content_type or _type_of(config), metadata=metadata, data=data)


def _data(config: Mapping[str, Any]) -> bytes:
    if "data_base64" in config:
        try:
            return base64.b64decode(config["data_base64"], validate=True)
        except ValueError as exc:
            raise ActionConfigError(f"config.data_base64 is no base64: {exc}") from exc
    try:
        return to_text(config["data"]).encode()
    except UnicodeEncodeError as exc:
        raise ActionConfigError(f"config.data holds half a character: {exc.reason}") from exc


def _type_of(config: Mapping[str, Any]) -> str:
    guessed = _guessed(config["object"])
    if "data_base64" in config:
        return guessed or _BYTES
    if isinstance(config["data"], (dict, list)):
        return _JSON
    if guessed is None:
        return _TEXT
    return f"{guessed}; charset=utf-8" if guessed.startswith("text/") else guessed


def _guessed(name: str) -> str | None:
    media_type, encoding = _types().guess_type(name.rpartition("/")[2])
    return _COMPRESSED.get(encoding, _BYTES) if encoding else media_type


@cache
def _types() -> MimeTypes:
    """Unlike ``mimetypes.guess_type``, this reads no files of the machine: a flow stores the same everywhere."""
    return MimeTypes()


def _metadata(written: Mapping[str, Any]) -> Mapping[str, str]:
    texts = {name: to_text(value) for name, value in written.items()}
    for name, text in texts.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(text):
            raise ActionConfigError(
                f"config.metadata: {name!r} or its value holds what no header can",
                hint="S3 keeps metadata as HTTP headers: ASCII without line breaks; write %20 and base64 for the rest",
            )
    return texts


def decoded(data: bytes, content_type: str, wanted: str | None, where: str) -> Any:
    """Return a body as *wanted*: ``text``, ``json``, ``base64``, or None for what its media type and bytes say.

    Raises:
        TargetError: It is no text or no JSON; *where* begins the message.
    """
    if wanted is None:
        return decode_body(data, content_type)
    if wanted == "base64":
        return base64.b64encode(data).decode("ascii")
    text = _text(data, content_type, where)
    if wanted == "text":
        return text
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as exc:
        raise TargetError(f"{where}: the object is no JSON: {exc}", code="NOT_JSON", hint="write `as: text`") from exc


def _text(data: bytes, content_type: str, where: str) -> str:
    charset = _CHARSET.search(content_type)
    try:
        return data.decode(charset[1] if charset else "utf-8")
    except (UnicodeDecodeError, LookupError) as exc:
        raise TargetError(f"{where}: the object is no text: {exc}", code="NOT_TEXT", hint="write `as: base64`") from exc
