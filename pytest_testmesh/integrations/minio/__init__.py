"""The actions ``minio.*`` for any S3 API: their configs and results; the client is loaded by the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_testmesh.actions import BUILTIN
from pytest_testmesh.integrations._assertions import ASSERTIONS
from pytest_testmesh.integrations._durations import DURATION
from pytest_testmesh.integrations._lazy import lazy
from pytest_testmesh.integrations.http import TLS_PROPERTIES

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionRegistry

_SERVER: dict[str, Any] = {
    "endpoint": {
        "type": "string",
        "default": "localhost:9000",
        "description": "host:port, or http://host:port or https://host:port; by default testmesh_minio_endpoint",
    },
    "access_key": {"type": "string", "description": "access key, the user; without one a request is anonymous"},
    "secret_key": {"type": "string", "description": "secret key, the password"},
    "session_token": {"type": "string", "description": "token of temporary keys"},
    "use_ssl": {"type": "boolean", "default": False, "description": "speak TLS, as https:// in the endpoint does"},
    "region": {"type": "string", "default": "us-east-1", "description": "region that requests are signed for"},
    "path_style": {
        "type": "boolean",
        "description": "true: host/bucket/object; false: bucket.host/object; by default true except for amazonaws.com",
    },
    **TLS_PROPERTIES,
    "timeout": {**DURATION, "default": "30s", "description": "bounds everything: connect, TLS and all data"},
}
_OBJECT: dict[str, Any] = {
    "bucket": {"type": "string", "description": "bucket"},
    "object": {"type": "string", "minLength": 1, "description": "name (key) of the object in the bucket"},
}


def _schema(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(_OBJECT),
        "additionalProperties": False,
        "properties": {**_OBJECT, **properties, **_SERVER},
    }


_AS = {
    "enum": ["text", "json", "base64"],
    "description": "how body is given; by default parsed where the content type says JSON, else text, "
    "or base64 where it is no text",
}

PUT_SCHEMA = _schema(
    data={
        "type": ["string", "number", "boolean", "object", "array"],
        "description": "what to store: text as it is, a mapping or list as JSON",
    },
    data_base64={"type": "string", "description": "bytes to store, in base64, instead of data"},
    file={"type": "string", "description": "file to store, relative to the flow file, instead of data"},
    content_type={
        "type": "string",
        "minLength": 1,
        "description": "media type; by default from the name, else JSON or text as the data is",
    },
    metadata={
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
        "description": "user metadata, and headers such as Cache-Control",
    },
    create_bucket={"type": "boolean", "default": False, "description": "create the bucket if there is none"},
)
GET_SCHEMA = _schema(
    **{"as": _AS},
    file={"type": "string", "description": "file to save to, relative to the flow file; body is null then"},
)
DELETE_SCHEMA = _schema(
    missing_ok={"type": "boolean", "default": True, "description": "false: an object that is not there is a failure"},
)
ASSERT_SCHEMA = _schema(
    exists={"type": "boolean", "default": True, "description": "whether the object must be there, or must not"},
    content_type={"type": "string", "minLength": 1, "description": "media type; its parameters count where written"},
    size={"type": "integer", "minimum": 0, "description": "size in bytes"},
    size_gte={"type": "integer", "minimum": 0, "description": "smallest size in bytes"},
    contains={"type": "string", "minLength": 1, "description": "text that the object must contain"},
    **{"assert": ASSERTIONS, "as": _AS},
    within={**DURATION, "description": "look again until all holds, this long at most"},
)

PUT_RESULT = {
    "etag": "the server's checksum: MD5 of an object that was sent in one part",
    "size": "size in bytes",
    "bucket": "the bucket",
    "object": "the object's name",
    "content_type": "the media type it was stored with",
}
_FACTS = {
    "content_type": "media type",
    "size": "size in bytes",
    "etag": "the server's checksum",
    "metadata": "user metadata; names in lower case",
    "last_modified": "when it was stored, ISO 8601 in UTC",
    "bucket": "the bucket",
    "object": "the object's name",
}
GET_RESULT = {"body": "what is stored, see `as`; null where it was saved to a file", **_FACTS}
DELETE_RESULT = {
    "deleted": "whether there was such an object; null where the user may not look",
    "bucket": "the bucket",
    "object": "the object's name",
}
ASSERT_RESULT = {
    "exists": "whether there is such an object; without one, what follows is null",
    "body": "what is stored, read where `contains`, `as` or an expression asks for it, else null",
    **_FACTS,
}

minio_put = lazy("minio.action:put")
minio_get = lazy("minio.action:get")
minio_delete = lazy("minio.action:delete")
minio_assert = lazy("minio.assertions:look_until")


def register(registry: ActionRegistry) -> None:
    """Add ``minio.put``, ``minio.get``, ``minio.delete`` and ``minio.assert``."""
    registry.add(
        "minio.put",
        minio_put,
        summary="Store an object: text, JSON, bytes or a file",
        schema=PUT_SCHEMA,
        result=PUT_RESULT,
        check=lazy("minio.checks:check_put"),
        provider=BUILTIN,
    )
    registry.add(
        "minio.get",
        minio_get,
        summary="Read an object",
        schema=GET_SCHEMA,
        result=GET_RESULT,
        check=lazy("minio.checks:check_get"),
        provider=BUILTIN,
    )
    registry.add(
        "minio.delete",
        minio_delete,
        summary="Delete an object",
        schema=DELETE_SCHEMA,
        result=DELETE_RESULT,
        check=lazy("minio.checks:check_place"),
        provider=BUILTIN,
    )
    registry.add(
        "minio.assert",
        minio_assert,
        summary="Require that an object is there, or is not, and what it is like",
        schema=ASSERT_SCHEMA,
        result=ASSERT_RESULT,
        check=lazy("minio.checks:check_assert"),
        expressions=("assert",),
        provider=BUILTIN,
    )
