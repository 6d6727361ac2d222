"""The action ``http_request``: what its config and its result look like; the client is loaded by its first step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_testmesh.actions import BUILTIN
from pytest_testmesh.integrations._durations import DURATION
from pytest_testmesh.integrations._lazy import lazy
from pytest_testmesh.integrations.http.checks import check_request_config

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionRegistry

_SCALAR = {"type": ["string", "number", "boolean", "null"]}
_SCALARS = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean", "null", "array"], "items": _SCALAR},
}
_TEXTS = {"type": "object", "additionalProperties": _SCALAR}
_FILE = {
    "type": ["string", "object", "array"],
    "additionalProperties": False,
    "properties": {
        "path": {"type": "string", "description": "file to send, relative to the flow file"},
        "content": {"type": ["string", "object", "array"], "description": "what to send instead of a file"},
        "filename": {"type": "string", "description": "name that the server is told"},
        "content_type": {"type": "string", "description": "media type; by default from the file name"},
    },
}

TLS_PROPERTIES: dict[str, Any] = {
    "verify_ssl": {
        "type": ["boolean", "string"],
        "default": True,
        "description": "false: accept any certificate; a path: trust the CA certificates in that file or folder",
    },
    "cert": {
        "type": ["string", "object"],
        "additionalProperties": False,
        "required": ["cert"],
        "properties": {
            "cert": {"type": "string", "description": "path of the client certificate (PEM)"},
            "key": {"type": "string", "description": "path of its private key (PEM)"},
            "password": {"type": "string", "description": "password of the private key"},
        },
        "description": "client certificate: one PEM file with certificate and key, or {cert, key, password}",
    },
    "proxy": {
        "type": ["string", "boolean"],
        "description": "URL of a proxy; false: go direct even where the environment names one",
    },
}

AUTH = {
    "type": "object",
    "required": ["type"],
    "additionalProperties": False,
    "description": "credentials: {type: basic, username, password}, {type: bearer, token}, "
    "{type: api_key, key, name, location} or {type: oauth2, token_url, client_id, client_secret}",
    "properties": {
        "type": {"enum": ["basic", "bearer", "api_key", "oauth2"], "description": "kind of credentials"},
        "username": {"type": "string", "description": "basic: user name"},
        "password": {"type": "string", "description": "basic: password"},
        "token": {"type": "string", "description": "bearer: the token"},
        "key": {"type": "string", "description": "api_key: the key itself"},
        "name": {"type": "string", "default": "X-API-Key", "description": "api_key: header or query parameter"},
        "location": {"enum": ["header", "query"], "default": "header", "description": "api_key: where it goes"},
        "token_url": {"type": "string", "description": "oauth2: where the token comes from"},
        "client_id": {"type": "string", "description": "oauth2: client id"},
        "client_secret": {"type": "string", "description": "oauth2: client secret"},
        "scope": {"type": ["string", "array"], "items": {"type": "string"}, "description": "oauth2: scopes"},
        "audience": {"type": "string", "description": "oauth2: audience, for servers that want one"},
        "client_auth": {
            "enum": ["basic", "body"],
            "default": "basic",
            "description": "oauth2: send id and secret as basic auth or in the body",
        },
    },
}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["url"],
    "additionalProperties": False,
    "properties": {
        "method": {"type": "string", "examples": ["GET", "POST"], "default": "GET", "description": "HTTP method"},
        "url": {"type": "string", "description": "where to, with http:// or https://"},
        "headers": {**_TEXTS, "description": "request headers; null leaves a default header out"},
        "params": {**_SCALARS, "description": "query parameters; a list repeats the name, null leaves it out"},
        "query_params": {**_SCALARS, "description": "same as params"},
        "body": {"description": "mapping, list, number or boolean: sent as JSON; text: sent as it is"},
        "form": {**_SCALARS, "description": "fields of a form; with `files` sent as multipart"},
        "files": {
            "type": "object",
            "additionalProperties": _FILE,
            "description": "files of a multipart form by field: a path, or {path | content, filename, content_type}",
        },
        "auth": AUTH,
        "cookies": {**_TEXTS, "description": "cookies of this request only; the item's own are sent anyway"},
        "timeout": {
            **DURATION,
            "default": "30s",
            "description": "bounds everything: connect, TLS, redirects, headers and body",
        },
        "follow_redirects": {"type": "boolean", "default": True, "description": "follow 301, 302, 303, 307, 308"},
        "max_redirects": {"type": "integer", "default": 10, "description": "more redirects than this are an error"},
        **TLS_PROPERTIES,
    },
}

RESULT = {
    "status": "status code",
    "body": "parsed where the content type says JSON, else text; base64 where it is no text",
    "headers": "response headers; names in any case",
    "cookies": "cookies that the response set, by name",
    "duration_ms": "milliseconds from the request to the end of the body",
    "time": "same as duration_ms",
    "content_type": "the Content-Type header, or empty text",
    "url": "where the response came from, after redirects",
}

http_request = lazy("http.action:run")


def register(registry: ActionRegistry) -> None:
    """Add ``http_request``."""
    registry.add(
        "http_request",
        http_request,
        summary="Send an HTTP request; no status fails by itself",
        schema=SCHEMA,
        result=RESULT,
        check=check_request_config,
        provider=BUILTIN,
    )
