"""Names of buckets and objects, refused early where no S3 server would take them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.values import one_line, shorten

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_OLD_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{1,61}[A-Za-z0-9]")
"""What AWS took before 2018; such buckets can still be read."""

_ADDRESS = re.compile(r"\d+(\.\d+){3}")
_BUCKET_HINT = "3 to 63 lower-case letters, digits, dots and hyphens; the first and the last is a letter or digit"
_MAX_OBJECT_BYTES = 1024
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket and the name of an object in it."""

    bucket: str
    object: str

    @property
    def shown(self) -> str:
        """``"reports/2024/may.csv"``, on one line, for messages."""
        return shorten(one_line(f"{self.bucket}/{self.object}"), _SHOWN)


def read_place(config: Mapping[str, Any]) -> Place:
    """Return where the object of a step is.

    Raises:
        ActionConfigError: A name that S3 does not allow, or that the client does not send.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html and object-keys.html
    """
    _check_bucket(config["bucket"], _BUCKET if config.get("create_bucket") else _OLD_BUCKET)
    _check_object(config["object"])
    return Place(config["bucket"], config["object"])


def _check_bucket(name: str, allowed: re.Pattern[str]) -> None:
    if not allowed.fullmatch(name):
        raise ActionConfigError(f'config.bucket: "{shorten(one_line(name))}" is no name of a bucket', hint=_BUCKET_HINT)
    if _ADDRESS.fullmatch(name) or any(each in name for each in ("..", ".-", "-.")):
        raise ActionConfigError(
            f'config.bucket: "{name}" is no name of a bucket',
            hint="dots separate words that begin and end with a letter or digit; it must not look like an IP address",
        )


def _check_object(name: str) -> None:
    if not name.strip():
        raise ActionConfigError("config.object is empty", hint="is the variable in it right?")
    try:
        size_bytes = len(name.encode())
    except UnicodeEncodeError as exc:
        raise ActionConfigError(f"config.object holds half a character: {exc.reason}") from exc
    if size_bytes > _MAX_OBJECT_BYTES:
        raise ActionConfigError(
            f"config.object is {size_bytes} bytes long", hint=f"S3 allows {_MAX_OBJECT_BYTES} bytes in UTF-8"
        )
    if not {".", ".."}.isdisjoint(name.split("/")):
        raise ActionConfigError(
            f'config.object: "{shorten(one_line(name))}" has a part that is . or ..',
            hint="such a name is no path: write the folders out",
        )
