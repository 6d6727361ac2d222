"""Reads the forms of the page, and makes sure that they come from a page of this very server."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from fastapi import Request, Response

from pytest_testmesh.errors import MeshError
from pytest_testmesh.server.page_templates import render
from pytest_testmesh.server.security import same_secret

if TYPE_CHECKING:
    from pytest_testmesh.server.page_view import Notice

TOKEN_FIELD = "form_token"

_MAX_FIELDS = 20
_MAX_NOTICES = 100


class FormError(MeshError):
    """A form is not taken; *status* is the HTTP status that says so."""

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class FormGuard:
    """The secret that every form of this server carries, and no page of another origin can know."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)

    def check(self, form: Mapping[str, str]) -> None:
        """Refuse a form that does not carry the secret.

        Raises:
            FormError: It is missing, or of another server or an earlier run; 403.
        """
        if not same_secret(form.get(TOKEN_FIELD, ""), self.token):
            raise FormError(
                "The form does not come from a page that this run of the server made, so nothing was done.",
                status=403,
                hint="Was the server started anew since the page was loaded? Go back to the plugins and try again.",
            )


class Notices:
    """The outcomes of forms until the page that follows shows them, each once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, Notice] = OrderedDict()

    def put(self, notice: Notice) -> str:
        """Keep a notice and return its key; the oldest go where nobody asks for them."""
        key = secrets.token_urlsafe(9)
        with self._lock:
            self._waiting[key] = notice
            while len(self._waiting) > _MAX_NOTICES:
                self._waiting.popitem(last=False)
        return key

    def take(self, key: str | None) -> Notice | None:
        """Return the notice of that key the first time it is asked for."""
        with self._lock:
            return self._waiting.pop(key or "", None)


async def read_form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form as browsers send it; of a field that comes twice, the last.

    Raises:
        FormError: It cannot be read as a form; 400.
    """
    body = await request.body()
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as exc:
        raise FormError("The form cannot be read.", status=400, hint=str(exc)) from exc
    return dict(fields)


def refused(error: FormError) -> Response:
    """Return the page that says why a form was not taken."""
    return render("refused.html", status=error.status, title="The form was not taken", error=error)


def to_the_list() -> Response:
    """Send the browser to the page at ``/``."""
    return Response(status_code=303, headers={"Location": "/"})
