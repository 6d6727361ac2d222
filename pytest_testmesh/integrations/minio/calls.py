"""What steps ask of S3 about one object, and what it answers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

from minio import Minio
from minio.error import MinioException
from urllib3 import HTTPHeaderDict
from urllib3.response import BaseHTTPResponse

from pytest_testmesh.errors import TargetError
from pytest_testmesh.integrations._json import from_datetime
from pytest_testmesh.integrations.http.client import MAX_BODY_BYTES
from pytest_testmesh.integrations.minio.content import Content
from pytest_testmesh.integrations.minio.failures import NotS3, error_code
from pytest_testmesh.integrations.minio.names import Place

PART_BYTES = 8 * 1024 * 1024
"""Files beyond this size go in parts of it, one after the other; about three of them are in memory at a time."""

_MIN_PART_BYTES = 5 * 1024 * 1024
_MAX_PARTS = 10_000
_CHUNK_BYTES = 1024 * 1024
_META = "x-amz-meta-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """What a server says of an object."""

    content_type: str
    size: int
    etag: str
    metadata: Mapping[str, str]
    last_modified: str | None

    @classmethod
    def of(cls, headers: HTTPHeaderDict) -> Stat:
        """Read the headers of an answer.

        A server that sends an object in chunks does not say its size: that is 0 then.

        Raises:
            NotS3: There is no ETag, which each object of S3 has.
        """
        named = {name.lower(): text for name, text in headers.itermerged()}
        if "etag" not in named:
            raise NotS3(f"it has no ETag, and is {named.get('content-type', 'of no type')}")
        size = named.get("content-length", "")
        return cls(
            content_type=named.get("content-type", ""),
            size=int(size) if size.isdecimal() else 0,
            etag=named["etag"].strip('"'),
            metadata={name[len(_META) :]: text for name, text in named.items() if name.startswith(_META)},
            last_modified=_iso_time(named.get("last-modified")),
        )


def _iso_time(http_date: str | None) -> str | None:
    if http_date is None:
        return None
    try:
        return from_datetime(parsedate_to_datetime(http_date))
    except ValueError:
        return http_date


class Calls:
    """Requests about one object; *waiting_for* is what a time-out would say now, *duration_s* what all of them took."""

    def __init__(self, minio: Minio, place: Place, where: str) -> None:
        self.waiting_for = "the response headers"
        self.place = place
        self.where = where
        self.duration_s = 0.0
        self._minio = minio

    def make_bucket(self) -> None:
        """Create the bucket unless it is there; where that cannot be seen it is not created."""
        try:
            if not self._minio.bucket_exists(self.place.bucket):
                self._minio.make_bucket(self.place.bucket)
        except MinioException as exc:
            # who may not look may still store, and what is wrong the answer to that tells with a body
            if error_code(exc) not in ("AccessDenied", "BucketAlreadyOwnedByYou"):
                raise

    def put(self, content: Content) -> tuple[str, int]:
        """Store *content*; return its ETag and size in bytes."""
        with content.opened() as (stream, size_bytes):
            written = self._minio.put_object(
                self.place.bucket,
                self.place.object,
                stream,
                size_bytes,
                content_type=content.content_type,
                metadata=dict(content.metadata),
                # what is in memory already goes as it is
                part_size=_part_bytes(size_bytes) if content.path else max(size_bytes, _MIN_PART_BYTES),
                # further threads would neither know the deadline nor hear Ctrl-C
                num_parallel_uploads=1,
            )
        if not written.etag:
            raise NotS3("it has no ETag")
        return written.etag, size_bytes

    def stat(self) -> Stat | None:
        """Return what there is about the object, None where there is none.

        Raises:
            MinioException: There is no such bucket, or anything else.
        """
        try:
            found = self._minio.stat_object(self.place.bucket, self.place.object)
        except MinioException as exc:
            if error_code(exc) != "NoSuchKey":
                raise
            return None
        assert found.metadata is not None
        return Stat.of(HTTPHeaderDict(found.metadata))

    def has_bucket(self) -> bool:
        """Tell whether the bucket is there; where that cannot be seen it is taken to be."""
        try:
            return self._minio.bucket_exists(self.place.bucket)
        except MinioException as exc:
            if error_code(exc) != "AccessDenied":
                raise
            return True

    def delete(self) -> None:
        """Delete the object; S3 says the same where there is none."""
        self._minio.remove_object(self.place.bucket, self.place.object)

    @contextmanager
    def reading(self) -> Iterator[tuple[Stat, Iterator[bytes]]]:
        """Give what there is about the object, and its bytes as they are stored, in pieces."""
        response = self._minio.get_object(self.place.bucket, self.place.object)
        try:
            self.waiting_for = "the rest of the body"
            yield Stat.of(response.headers), _pieces(response)
        finally:
            # a body that was read to its end has given the connection back already
            if response.connection is not None:
                response.close()

    def read(self) -> tuple[Stat, bytes]:
        """Return what there is about the object, and all of its bytes.

        Raises:
            TargetError: It is larger than `MAX_BODY_BYTES`.
        """
        with self.reading() as (stat, pieces):
            data = b"".join(self._bounded(pieces, stat.size))
        return replace(stat, size=len(data)), data

    def _bounded(self, pieces: Iterator[bytes], declared_bytes: int) -> Iterator[bytes]:
        size_bytes = 0
        while size_bytes <= MAX_BODY_BYTES and declared_bytes <= MAX_BODY_BYTES:
            piece = next(pieces, b"")
            if not piece:
                return
            size_bytes += len(piece)
            yield piece
        raise TargetError(
            f"{self.where}: the object is larger than {MAX_BODY_BYTES // 1024 // 1024} MiB",
            code="TOO_LARGE",
            hint="a step keeps its result in memory; save it with `file` of minio.get",
        )


def _pieces(response: BaseHTTPResponse) -> Iterator[bytes]:
    while piece := response.read(_CHUNK_BYTES, decode_content=False):
        yield piece


def _part_bytes(size_bytes: int) -> int:
    return max(PART_BYTES, math.ceil(size_bytes / _MAX_PARTS))
