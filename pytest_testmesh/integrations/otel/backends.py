"""Which server holds the traces: the step's config over the settings over localhost, and what kind it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import TargetError
from pytest_testmesh.integrations._http_api import Access, HttpApi
from pytest_testmesh.integrations.otel.failures import row_of
from pytest_testmesh.integrations.otel.jaeger import Jaeger
from pytest_testmesh.integrations.otel.tempo import Tempo
from pytest_testmesh.model import EMPTY
from pytest_testmesh.polling import Deadline

Backend = Tempo | Jaeger

_KINDS: Mapping[str, type[Tempo] | type[Jaeger]] = {"tempo": Tempo, "jaeger": Jaeger}
_SETTINGS = {"tempo": "tempo_url", "jaeger": "jaeger_url"}
_NOT_THERE = frozenset({404, 405})
_DEFAULTS = {"tempo": "http://localhost:3200", "jaeger": "http://localhost:16686"}


class _Found(dict[str, str]):
    """The kind of each server that was asked for it, by URL; kept for the session."""


def find_backend(config: Mapping[str, Any], context: ActionContext, deadline: Deadline) -> Backend:
    """Return the server that *config* and the settings name; one whose kind nobody said is asked for it.

    Raises:
        TargetError: It is neither a Tempo nor a Jaeger.
        ActionError: It could not be asked.
    """
    url, kind = _named(config, context.settings)
    access = Access.of(config, context)
    if kind is None:
        found = context.session.get(_Found, _Found)
        kind = found.get(url) or found.setdefault(url, _ask(HttpApi("Tempo or Jaeger", url, access), deadline))
    return _KINDS[kind](HttpApi(_KINDS[kind].name, url, access, row_of), deadline)


def _named(config: Mapping[str, Any], settings: Mapping[str, str]) -> tuple[str, str | None]:
    kind = config.get("backend")
    if "backend_url" in config:
        return config["backend_url"].rstrip("/"), kind
    kinds = [kind] if kind else list(_KINDS)
    kind = next((each for each in kinds if _SETTINGS[each] in settings), kinds[0])
    return settings.get(_SETTINGS[kind], _DEFAULTS[kind]).rstrip("/"), kind


def _ask(api: HttpApi, deadline: Deadline) -> str:
    echo = api.ask("/api/echo", deadline=deadline, returned=_NOT_THERE)
    # Jaeger answers any path that it does not know with the page of its UI
    if echo.text.strip() == "echo" or "goVersion" in _object(api, "/api/status/buildinfo", deadline):
        return "tempo"
    if "services" in _object(api, "/api/v3/services", deadline):
        return "jaeger"
    raise TargetError(
        f"{api.url} is neither a Tempo nor a Jaeger",
        code="NOT_A_TRACE_BACKEND",
        hint="is it the port of the HTTP API, 3200 of Tempo, 16686 of Jaeger? behind a proxy write `backend: tempo`",
    )


def _object(api: HttpApi, path: str, deadline: Deadline) -> Mapping[str, Any]:
    """Return the JSON object at *path*, empty where there is something else."""
    answer = api.ask(path, deadline=deadline, returned=_NOT_THERE)
    try:
        return answer.json()
    except TargetError:
        return EMPTY
