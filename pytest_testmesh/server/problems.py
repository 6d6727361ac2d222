"""Errors as answers: which status each has, and the one shape of their JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from pytest_testmesh.errors import (
    ExternalPluginError,
    MeshError,
    PluginExistsError,
    PluginNotFoundError,
    PluginRefusedError,
    RegistryError,
)

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

STATUS: Mapping[type[MeshError], int] = {
    PluginNotFoundError: 404,
    PluginExistsError: 409,
    PluginRefusedError: 422,
    ExternalPluginError: 422,
    RegistryError: 503,
}
"""The status of each kind of error; a kind that is not listed has that of the kind above it."""


def status_of(error: MeshError) -> int:
    """Return the HTTP status that tells of *error*."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def problem(
    status: int,
    error: str,
    *,
    hint: str | None = None,
    stderr: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer ``{"error": ..., "hint": ..., "stderr": [...]}``, the last two where there are any."""
    content: dict[str, Any] = {"error": error}
    if hint:
        content["hint"] = hint
    if stderr:
        content["stderr"] = list(stderr)
    # ASCII, since messages quote input that UTF-8 cannot hold: halves of surrogate pairs.
    body = json.dumps(content, ensure_ascii=True)
    return Response(body, status, dict(headers or {}), "application/json")


def add_error_handlers(app: FastAPI) -> None:
    """Have all errors answered in our shape, those of the framework too."""
    app.add_exception_handler(MeshError, _ours)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_input)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, MeshError)
    stderr = error.stderr if isinstance(error, ExternalPluginError) else ()
    return problem(status_of(error), error.message, hint=error.hint, stderr=stderr)


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404:
        return problem(404, f"there is nothing at {path}", hint="/docs lists what there is")
    if error.status_code == 405:
        allowed = _methods_at(request)
        message = f"{request.method} is not possible at {path}"
        return problem(405, message, hint=f"allowed: {allowed}", headers={"Allow": allowed})
    return problem(error.status_code, str(error.detail), headers=error.headers)


def _methods_at(request: Request) -> str:
    """Return all methods of the path; the framework names only those of the first route that has it."""
    described = request.app.openapi()["paths"].get(request.url.path)
    if described is not None:  # a word such as `native`, which would do as an id as well
        return ", ".join(sorted(method.upper() for method in described))

    def is_served(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return ", ".join(method for method in _METHODS if is_served(method))


async def _of_input(request: Request, error: Exception) -> Response:
    """Say where and what; the input itself is not repeated: it may be large, or hold what JSON cannot."""
    assert isinstance(error, RequestValidationError)
    texts = [f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors()]
    return problem(422, "; ".join(texts[:10]))
