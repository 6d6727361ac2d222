"""The REST API: the paths and answers of the original, for the scripts that use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path

from pytest_testmesh.integrations.catalog import core_actions, native_integrations
from pytest_testmesh.server.answers import (
    ActionAnswer,
    DiscoveredAnswer,
    Done,
    InstallRequest,
    IntegrationAnswer,
    NativeAnswer,
    PluginAnswer,
    PluginsAnswer,
    Problem,
    TypeAnswer,
    TypesAnswer,
)

if TYPE_CHECKING:
    from pytest_testmesh.external.manifest import PluginType
    from pytest_testmesh.server.service import PluginService

PREFIX = "/api/v1/plugins"

_TYPES: Mapping[PluginType, str] = {
    "action": "Custom action handlers used as steps in flows",
    "auth": "Custom authentication providers",
    "importer": "Import test flows from external formats",
    "exporter": "Export flows to external formats",
    "reporter": "Generate custom report formats",
}
_PROBLEMS = {
    400: "The request is not HTTP as it should be",
    401: "The token is missing or wrong",
    403: "Host or Origin is not this server's own",
    404: "No plugin of that id",
    409: "The id is taken",
    413: "The body is larger than 1 MiB",
    415: "A body that is not application/json",
    422: "What is given cannot be used, or the plugin cannot start; nothing was changed",
    503: "The plugins folder is busy, or what is recorded of it is damaged",
}

PluginId = Annotated[str, Path(alias="id", description="The manifest's id.", examples=["my-plugin"])]


def plugins_api(service: PluginService) -> APIRouter:
    """Return the routes below ``/api/v1/plugins``."""
    router = APIRouter(prefix=PREFIX, tags=["plugins"], generate_unique_id_function=lambda route: route.name)
    _add_reads(router, service)
    _add_changes(router, service)
    return router


def _add_reads(router: APIRouter, service: PluginService) -> None:
    @router.get(
        "",
        summary="List installed plugins",
        response_description="What the plugins folder holds",
        responses=_problems(401, 403, 422, 503),
    )
    def list_plugins() -> PluginsAnswer:
        return PluginsAnswer.of(service.list())

    @router.get(
        "/native",
        summary="List built-in integrations",
        response_description="The integrations and their actions",
        responses=_problems(401, 403),
    )
    def list_native() -> NativeAnswer:
        integrations = [IntegrationAnswer.of(each) for each in native_integrations()]
        return NativeAnswer(
            plugins=[each.id for each in integrations],
            total=len(integrations),
            integrations=integrations,
            actions=[ActionAnswer.built_in(each) for each in core_actions()],
        )

    @router.get(
        "/types", summary="List the kinds of plugins", response_description="The kinds", responses=_problems(401, 403)
    )
    def list_types() -> TypesAnswer:
        return TypesAnswer(types=[TypeAnswer(type=name, description=text) for name, text in _TYPES.items()])

    @router.get(
        "/{id}",
        summary="Show one plugin",
        response_description="The plugin",
        responses=_problems(401, 403, 404, 422, 503),
    )
    def show_plugin(plugin_id: PluginId) -> PluginAnswer:
        return PluginAnswer.of(service.get(plugin_id))


def _add_changes(router: APIRouter, service: PluginService) -> None:
    refused = _problems(400, 401, 403, 413, 415, 422, 503)
    refused_for_one = refused | _problems(404)

    @router.post(
        "/install",
        status_code=201,
        summary="Install from a local folder",
        response_description="The installed plugin",
        description="Copies the folder, prepares its dependencies, starts the plugin and records its actions.",
        responses=refused | _problems(409),
    )
    def install(request: InstallRequest) -> PluginAnswer:
        installed = service.install(request.source, upgrade=request.upgrade, dependencies=request.dependencies)
        return PluginAnswer.of(installed)

    @router.post(
        "/discover",
        summary="Scan the plugins folder again",
        response_description="What the plugins folder holds now",
        description="Starts what is new or failed before, ends what is gone.",
        responses=refused,
    )
    def discover() -> DiscoveredAnswer:
        found = PluginsAnswer.of(service.discover())
        return DiscoveredAnswer(**dict(found), discovered=found.total)

    @router.post(
        "/{id}/enable",
        summary="Enable a plugin",
        response_description="It is enabled, and runs",
        description="Starts it; a plugin that cannot start stays as it was.",
        responses=refused_for_one,
    )
    def enable(plugin_id: PluginId) -> Done:
        service.enable(plugin_id)
        return Done(message="Plugin enabled")

    @router.post(
        "/{id}/disable",
        summary="Disable a plugin",
        response_description="It is disabled",
        description="Ends its process and all that it started.",
        responses=refused_for_one,
    )
    def disable(plugin_id: PluginId) -> Done:
        service.disable(plugin_id)
        return Done(message="Plugin disabled")

    @router.delete(
        "/{id}",
        summary="Uninstall a plugin",
        response_description="It is gone",
        description="Ends its process and all that it started, and removes its folder.",
        responses=refused_for_one,
    )
    def uninstall(plugin_id: PluginId) -> Done:
        service.uninstall(plugin_id)
        return Done(message="Plugin uninstalled")


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem, "description": _PROBLEMS[status]} for status in statuses}
