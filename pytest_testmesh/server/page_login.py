"""The way in to the page and out of it, for servers that have a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from pytest_testmesh.server.page_forms import FormError, read_form, refused, to_the_list
from pytest_testmesh.server.page_templates import render
from pytest_testmesh.server.security import LOGIN_PATH

if TYPE_CHECKING:
    from pytest_testmesh.server.security import Access


def login_router(access: Access) -> APIRouter:
    """Return the routes that trade the token for a cookie; who knows the token needs no other secret."""
    router = APIRouter(include_in_schema=False)

    @router.api_route(LOGIN_PATH, methods=["GET", "HEAD"])
    def ask(request: Request) -> Response:
        if access.has_cookie(request.headers):
            return to_the_list()
        return render("login.html", error="")

    @router.post(LOGIN_PATH)
    async def log_in(request: Request) -> Response:
        try:
            form = await read_form(request)
        except FormError as exc:
            return refused(exc)
        if not access.accepts(form.get("token", "").strip()):
            return render("login.html", status=403, error="This is not the token of this server.")
        response = to_the_list()
        if access.needs_token:
            access.grant(response)
        return response

    return router
