"""Turns the templates beside this file into answers, and serves the few files that they load."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response

if TYPE_CHECKING:
    import jinja2

_FOLDER = Path(__file__).resolve().parent
_STATIC: Mapping[str, str] = {
    "copy.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "testmesh.css": "text/css; charset=utf-8",
}
_FOREVER = "public, max-age=31536000, immutable"


def render(template: str, *, status: int = 200, **values: Any) -> Response:
    """Return the page that *template* makes of *values*; every text in them is escaped."""
    html = _templates().get_template(template).render(values)
    # JSON may hold half of a surrogate pair, which UTF-8 cannot.
    body = html.encode("utf-8", "backslashreplace")
    return Response(body, status, media_type="text/html; charset=utf-8")


def static_router() -> APIRouter:
    """Return the routes of the stylesheet, the icon and the script; what is not in the list does not exist."""
    router = APIRouter(include_in_schema=False)
    for name in _STATIC:
        router.add_api_route(f"/static/{name}", _serving(name), methods=["GET"])
    return router


def static_url(name: str) -> str:
    """Return the address of a static file, which changes with its content."""
    return f"/static/{name}?v={hashlib.sha256(_static(name)).hexdigest()[:12]}"


def _serving(name: str) -> Any:
    def serve() -> Response:
        return Response(_static(name), headers={"Cache-Control": _FOREVER}, media_type=_STATIC[name])

    return serve


@cache
def _static(name: str) -> bytes:
    return (_FOLDER / "static" / name).read_bytes()


@cache
def _templates() -> jinja2.Environment:
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals["static_url"] = static_url
    return templates
