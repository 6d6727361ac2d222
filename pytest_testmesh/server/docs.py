"""``/docs``: the API's own description as a page, which loads nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response

from pytest_testmesh.server.page_templates import render

if TYPE_CHECKING:
    from fastapi import FastAPI


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One status that an operation may answer with; *schema* is the name of its body's."""

    status: str
    description: str
    schema: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path; *example* is a body to send, as JSON."""

    method: str
    path: str
    summary: str
    description: str
    body: str
    example: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of an object."""

    name: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """An object that is sent or answered."""

    name: str
    description: str
    keys: tuple[Key, ...]


def docs_router(app: FastAPI) -> APIRouter:
    """Return the route of the page; it describes the routes that *app* has when it is asked."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    def docs() -> Response:
        openapi = app.openapi()
        return render(
            "docs.html", title=openapi["info"]["title"], operations=operations(openapi), shapes=shapes(openapi)
        )

    return router


def operations(openapi: Mapping[str, Any]) -> tuple[Operation, ...]:
    """Return every operation in the order of the description."""
    return tuple(
        _operation(openapi, method.upper(), path, entry)
        for path, methods in openapi["paths"].items()
        for method, entry in methods.items()
    )


def shapes(openapi: Mapping[str, Any]) -> tuple[Shape, ...]:
    """Return every object that operations send or answer, by name."""
    return tuple(
        Shape(name=name, description=schema.get("description", ""), keys=tuple(_keys(schema)))
        for name, schema in openapi["components"]["schemas"].items()
    )


def _operation(openapi: Mapping[str, Any], method: str, path: str, entry: Mapping[str, Any]) -> Operation:
    body = _content(entry.get("requestBody", {}))
    schema = openapi["components"]["schemas"].get(body, {})
    return Operation(
        method=method,
        path=path,
        summary=entry.get("summary", ""),
        description=entry.get("description", ""),
        body=body,
        example=json.dumps(schema["example"]) if "example" in schema else "",
        answers=tuple(
            Answer(status=status, description=answer.get("description", ""), schema=_content(answer))
            for status, answer in sorted(entry["responses"].items())
        ),
    )


def _content(holder: Mapping[str, Any]) -> str:
    """Return the name of the schema that a request's or an answer's JSON has."""
    schema = holder.get("content", {}).get("application/json", {}).get("schema", {})
    return _type(schema) if schema else ""


def _keys(schema: Mapping[str, Any]) -> Iterator[Key]:
    required = schema.get("required", ())
    for name, entry in schema.get("properties", {}).items():
        yield Key(name=name, type=_type(entry), required=name in required, description=entry.get("description", ""))


def _type(schema: Mapping[str, Any]) -> str:
    """``{"type": "array", "items": {"$ref": "#/.../PluginAnswer"}}`` -> ``"list of PluginAnswer"``."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))
