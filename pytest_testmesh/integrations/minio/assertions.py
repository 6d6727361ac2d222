"""``minio.assert`` at work: looks at an object, again and again within a time, until all is as it must be."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from minio.error import MinioException

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import StepAssertionError
from pytest_testmesh.integrations._assertions import Check, Problem, problems_of, raise_problems, read_checks
from pytest_testmesh.integrations._durations import duration_s
from pytest_testmesh.integrations._json import from_bytes
from pytest_testmesh.integrations._within import holds_within, look_deadline
from pytest_testmesh.integrations.minio.action import names_of
from pytest_testmesh.integrations.minio.calls import Calls, Stat
from pytest_testmesh.integrations.minio.checks import OF_AN_OBJECT, check_assert
from pytest_testmesh.integrations.minio.client import S3, find_endpoint, lent
from pytest_testmesh.integrations.minio.content import decoded
from pytest_testmesh.integrations.minio.failures import error_code
from pytest_testmesh.integrations.minio.names import read_place
from pytest_testmesh.integrations.minio.texts import Received, Sent
from pytest_testmesh.polling import Deadline
from pytest_testmesh.scope import WHOLE_RESULT, ResultNames
from pytest_testmesh.values import one_line, shorten

Result = Mapping[str, Any]

_WHOLE = WHOLE_RESULT | {"body"}
_ABSENT = dict.fromkeys(("content_type", "size", "etag", "metadata", "last_modified", "body"))


def look_until(config: Mapping[str, Any], context: ActionContext) -> Result:
    """Look until everything holds, ``within`` the given time, or once.

    Raises:
        StepAssertionError: Something does not hold; tells each thing.
        ActionTimeoutError, TargetUnavailableError, TargetError: As for `client.S3.asking`.
    """
    check_assert(config)
    place = read_place(config)
    checks = list(read_checks(config, "assert", context.scope.hyphenated_ids()))
    endpoint = find_endpoint(config, context)
    within_s = duration_s(config, "within", "0s") if "within" in config else 0.0
    end = Deadline.after(within_s, f"within {config.get('within')}") if within_s else None
    verb = "GET" if _needs_body(config, checks) else "HEAD"
    context.exchange.sent = Sent(f"{verb} {place.shown} at {endpoint.address.origin}")
    with lent(endpoint, context, context.deadline) as client:

        def look() -> Result:
            started = time.perf_counter()
            result, data = _look(client, verb, config, look_deadline(config, context.deadline, end))
            context.exchange.received = Received(result, time.perf_counter() - started)
            own = [Problem(text, (key,)) for key, text in _problems(result, data, config)]
            _require(own, ResultNames(result, context.scope, complete=True), config, checks)
            return result

        return holds_within(look, within_s, context.deadline) if within_s else look()


def _needs_body(config: Mapping[str, Any], checks: Sequence[Check]) -> bool:
    if "contains" in config or "as" in config:
        return True
    return any(not _WHOLE.isdisjoint(check.expression.names) or "$" in check.expression.text for check in checks)


def _look(client: S3, verb: str, config: Mapping[str, Any], deadline: Deadline) -> tuple[Result, bytes]:
    """Return the result, and the object's bytes as far as they were read."""
    place = read_place(config)
    with client.asking(verb, place, deadline) as calls:
        stat, data = _found(calls, verb)
    if stat is None:
        return {"exists": False, **_ABSENT, **names_of(place)}, b""
    body = None if data is None else decoded(data, stat.content_type, config.get("as"), calls.where)
    return {"exists": True, **asdict(stat), "body": body, **names_of(place)}, data or b""


def _found(calls: Calls, verb: str) -> tuple[Stat | None, bytes | None]:
    """Return nothing for an object that is not there.

    Raises:
        StepAssertionError: Not even the bucket is there.
    """
    try:
        if verb == "GET":
            return calls.read()
        stat = calls.stat()
        if stat is not None or calls.has_bucket():
            return stat, None
    except MinioException as exc:
        if error_code(exc) == "NoSuchKey":
            return None, None
        if error_code(exc) != "NoSuchBucket":
            raise
    raise StepAssertionError(
        f"{calls.where}: there is no bucket {calls.place.bucket}", hint="a misspelt name looks the same"
    )


def _require(own: list[Problem], names: ResultNames, config: Mapping[str, Any], checks: Sequence[Check]) -> None:
    total = 1 + sum(key in config for key in OF_AN_OBJECT) + len(checks)
    raise_problems([*own, *problems_of(checks, names)], total, read_place(config).shown)


def _problems(result: Result, data: bytes, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the key of the config that does not hold, and why."""
    if not result["exists"] and config.get("exists", True):
        raise StepAssertionError(f"{read_place(config).shown}: there is no such object", total=1)
    if result["exists"] and not config.get("exists", True):
        yield "exists", f"it is there, with {result['size']} bytes"
    if "content_type" in config and not _same_type(result["content_type"], config["content_type"]):
        yield "content_type", f"its content type is {result['content_type'] or 'empty'}, not {config['content_type']}"
    if "size" in config and result["size"] != config["size"]:
        yield "size", f"its size is {result['size']} bytes, not {config['size']}"
    if "size_gte" in config and result["size"] < config["size_gte"]:
        yield "size_gte", f"its size is {result['size']} bytes, less than {config['size_gte']}"
    if "contains" in config and config["contains"].encode() not in data:
        found = shorten(one_line(from_bytes(data)), 200)
        yield "contains", f'it does not contain "{shorten(config["contains"])}": {found}'


def _same_type(found: str, wanted: str) -> bool:
    """Compare media types; parameters such as the character set count only where they are *wanted*."""
    if ";" not in wanted:
        found = found.partition(";")[0]
    return _plain(found) == _plain(wanted)


def _plain(media_type: str) -> str:
    return media_type.replace(" ", "").lower()
