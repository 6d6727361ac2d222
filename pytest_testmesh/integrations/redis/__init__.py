"""The actions ``redis.*``: what their configs and results look like; the client is loaded by the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_testmesh.actions import BUILTIN
from pytest_testmesh.integrations._durations import DURATION
from pytest_testmesh.integrations._lazy import lazy
from pytest_testmesh.integrations.http import TLS_PROPERTIES

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionRegistry

_SERVER: dict[str, Any] = {
    "url": {
        "type": "string",
        "description": "redis://[user:password@]host[:port][/db], rediss:// for TLS; by default testmesh_redis_url",
    },
    "host": {"type": "string", "default": "localhost", "description": "host, instead of url"},
    "port": {"type": "integer", "default": 6379, "description": "port"},
    "db": {"type": "integer", "default": 0, "description": "number of the database"},
    "username": {"type": "string", "description": "ACL user; by default the server's default user"},
    "password": {"type": "string", "description": "password; empty: none"},
    "ssl": {"type": "boolean", "default": False, "description": "speak TLS, as rediss:// does"},
    "verify_ssl": TLS_PROPERTIES["verify_ssl"],
    "cert": TLS_PROPERTIES["cert"],
    "timeout": {**DURATION, "default": "30s", "description": "bounds everything: connect, TLS, login and the command"},
}
_KEY: dict[str, Any] = {"type": ["string", "integer"], "description": "key"}
_KEYS: dict[str, Any] = {
    "key": _KEY,
    "keys": {"type": "array", "items": {"type": ["string", "integer"]}, "description": "several keys, instead of key"},
}


def _schema(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "additionalProperties": False,
        "properties": {**properties, **_SERVER},
    }


GET_SCHEMA = _schema({"key": _KEY}, "key")
SET_SCHEMA = _schema(
    {
        "key": _KEY,
        "value": {
            "type": ["string", "number", "boolean", "object", "array"],
            "description": "text is stored as it is, a number or boolean as its text, a mapping or list as JSON",
        },
        "value_base64": {"type": "string", "description": "bytes to store, in base64, instead of value"},
        "ttl": {**DURATION, "description": "time until the key expires, to the millisecond; by default never"},
    },
    "key",
)
KEYS_SCHEMA = _schema(_KEYS)

GET_RESULT = {
    "value": "the stored text as it is; base64 where the bytes are no UTF-8; null where there is no such key",
    "exists": "whether there is such a key",
    "binary": "whether value is base64",
}
SET_RESULT = {"ok": "true"}
DEL_RESULT = {"deleted": "number of keys that were there"}
EXISTS_RESULT = {"exists": "whether all of the keys are there", "count": "number of those that are there"}

redis_get = lazy("redis.action:get")
redis_set = lazy("redis.action:store")
redis_del = lazy("redis.action:delete")
redis_exists = lazy("redis.action:exists")


def register(registry: ActionRegistry) -> None:
    """Add ``redis.get``, ``redis.set``, ``redis.del`` and ``redis.exists``."""
    registry.add(
        "redis.get",
        redis_get,
        summary="Read the text behind a key; a missing key is no failure",
        schema=GET_SCHEMA,
        result=GET_RESULT,
        aliases=("redis_get",),
        check=lazy("redis.command:check_get"),
        provider=BUILTIN,
    )
    registry.add(
        "redis.set",
        redis_set,
        summary="Store a value under a key",
        schema=SET_SCHEMA,
        result=SET_RESULT,
        aliases=("redis_set",),
        check=lazy("redis.command:check_set"),
        provider=BUILTIN,
    )
    registry.add(
        "redis.del",
        redis_del,
        summary="Delete keys",
        schema=KEYS_SCHEMA,
        result=DEL_RESULT,
        check=lazy("redis.command:check_keys"),
        provider=BUILTIN,
    )
    registry.add(
        "redis.exists",
        redis_exists,
        summary="Tell whether keys are there",
        schema=KEYS_SCHEMA,
        result=EXISTS_RESULT,
        check=lazy("redis.command:check_keys"),
        provider=BUILTIN,
    )
