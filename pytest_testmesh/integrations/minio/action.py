"""``minio.put``, ``minio.get`` and ``minio.delete`` at work; their configs and results: this package's ``__init__``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import Any

from minio.error import MinioException

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._durations import own_deadline
from pytest_testmesh.integrations._paths import resolved
from pytest_testmesh.integrations.minio.calls import Calls, Stat
from pytest_testmesh.integrations.minio.checks import check_get
from pytest_testmesh.integrations.minio.client import find_endpoint, lent
from pytest_testmesh.integrations.minio.content import Content, decoded, read_content
from pytest_testmesh.integrations.minio.failures import CODES, error_code
from pytest_testmesh.integrations.minio.names import Place, read_place
from pytest_testmesh.integrations.minio.texts import Received, Sent

Result = Mapping[str, Any]


def put(config: Mapping[str, Any], context: ActionContext) -> Result:
    """Store an object.

    Raises:
        ActionConfigError: What is wrong with the config, or a file that cannot be read.
        ActionTimeoutError, TargetUnavailableError, TargetError: As for `client.S3.asking`; so do the other actions.
    """
    content = read_content(config, context.flow_dir)
    with _asking("PUT", config, context, content) as calls:
        if config.get("create_bucket"):
            calls.make_bucket()
        etag, size_bytes = calls.put(content)
    stored = {"etag": etag, "size": size_bytes, **names_of(calls.place), "content_type": content.content_type}
    return _received(stored, calls, context)


def get(config: Mapping[str, Any], context: ActionContext) -> Result:
    """Read an object into the result, or into a file."""
    check_get(config)
    with _asking("GET", config, context) as calls:
        if "file" in config:
            stat, data = _save(calls, resolved(config["file"], context.flow_dir)), None
        else:
            stat, data = calls.read()
    body = None if data is None else decoded(data, stat.content_type, config.get("as"), calls.where)
    return _received({"body": body, **asdict(stat), **names_of(calls.place)}, calls, context)


def delete(config: Mapping[str, Any], context: ActionContext) -> Result:
    """Delete an object; look first, since S3 does not say whether there was one."""
    with _asking("DELETE", config, context) as calls:
        there = _is_there(calls)
        if there is False and not config.get("missing_ok", True):
            raise CODES["NoSuchKey"].make(calls.where, {})
        calls.delete()
    return _received({"deleted": there, **names_of(calls.place)}, calls, context)


def _received(result: Result, calls: Calls, context: ActionContext) -> Result:
    context.exchange.received = Received(result, calls.duration_s)
    return result


def _is_there(calls: Calls) -> bool | None:
    try:
        return calls.stat() is not None
    except MinioException as exc:
        code = error_code(exc)
        if code == "AccessDenied":  # who may not look may still delete
            return None
        raise


def names_of(place: Place) -> dict[str, str]:
    """Return what all results have."""
    return {"bucket": place.bucket, "object": place.object}


@contextmanager
def _asking(
    verb: str, config: Mapping[str, Any], context: ActionContext, content: Content | None = None
) -> Iterator[Calls]:
    place = read_place(config)
    endpoint = find_endpoint(config, context)
    deadline = own_deadline(config, context.deadline)
    context.exchange.sent = Sent(f"{verb} {place.shown} at {endpoint.address.origin}", content)
    with lent(endpoint, context, deadline) as client, client.asking(verb, place, deadline) as calls:
        yield calls


def _save(calls: Calls, path: str) -> Stat:
    """Write the object beside *path* and put it there when it is whole."""
    unfinished = f"{path}.part"
    with calls.reading() as (stat, pieces):
        try:
            size_bytes = _write(pieces, unfinished)
            os.replace(unfinished, path)
        except BaseException:
            with suppress(OSError):
                os.remove(unfinished)
            raise
    return replace(stat, size=size_bytes)


def _write(pieces: Iterable[bytes], path: str) -> int:
    try:
        file = open(path, "wb")
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    with file:
        for piece in pieces:
            try:
                file.write(piece)
            except OSError as exc:
                raise _unwritable(path, exc) from exc
        return file.tell()


def _unwritable(path: str, exc: OSError) -> ActionConfigError:
    return ActionConfigError(
        f"config.file: cannot write {path}: {exc.strerror or exc}", hint="is the folder there? it is not made"
    )
