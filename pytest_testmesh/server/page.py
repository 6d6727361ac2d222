"""The page at ``/``: plugins and built-in integrations, and the forms that change them; works without JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from pytest_testmesh.errors import MeshError, PluginManifestError
from pytest_testmesh.server.page_content import InstallForm, page_of
from pytest_testmesh.server.page_forms import FormError, FormGuard, Notices, read_form, refused, to_the_list
from pytest_testmesh.server.page_login import login_router
from pytest_testmesh.server.page_templates import render, static_router
from pytest_testmesh.server.page_view import (
    Message,
    Notice,
    Removal,
    message_of,
    plugin_anchor,
    removal_of,
    removal_of_broken,
)
from pytest_testmesh.server.problems import status_of
from pytest_testmesh.server.security import LOGIN_PATH
from pytest_testmesh.values import list_keys

if TYPE_CHECKING:
    from pytest_testmesh.server.security import Access
    from pytest_testmesh.server.service import PluginService, ServedListing, ServedPlugin

Handler = Callable[[Mapping[str, str], str], Response]

_READ = ["GET", "HEAD"]


def page_router(service: PluginService, access: Access) -> APIRouter:
    """Return the routes of the page; they are no part of the API's description."""
    pages = _Pages(service, access)
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/", pages.plugins, methods=_READ)
    router.add_api_route("/plugins/{plugin_id}/uninstall", pages.confirm_uninstall, methods=_READ)
    for path, handler in {
        "/install": pages.install,
        "/rescan": pages.rescan,
        "/plugins/{plugin_id}/enable": pages.enable,
        "/plugins/{plugin_id}/disable": pages.disable,
        "/plugins/{plugin_id}/uninstall": pages.uninstall,
        "/logout": pages.log_out,
    }.items():
        router.add_api_route(path, pages.guarded(handler), methods=["POST"])
        # Where a reader lands who opens the address of a form's answer again; what has a page keeps it.
        router.add_api_route(path, to_the_list, methods=_READ)
    router.include_router(login_router(access))
    router.include_router(static_router())
    return router


class _Pages:
    """The handlers of one server's pages."""

    def __init__(self, service: PluginService, access: Access) -> None:
        self._service = service
        self._access = access
        self._guard = FormGuard()
        self._notices = Notices()

    def guarded(self, handler: Handler) -> Callable[..., object]:
        """Return the route of a form: *handler* runs, in a thread, only for forms that carry the secret."""

        async def post(request: Request) -> Response:
            try:
                form = await read_form(request)
                self._guard.check(form)
            except FormError as exc:
                return refused(exc)
            return await run_in_threadpool(handler, form, request.path_params.get("plugin_id", ""))

        return post

    def plugins(self, notice: str | None = None) -> Response:
        """The list; *notice* is the key of an outcome to show."""
        return self._show(self._notices.take(notice))

    def confirm_uninstall(self, plugin_id: str) -> Response:
        """The question before a folder is deleted."""
        try:
            removal = self._removal(plugin_id)
        except MeshError as exc:
            return render("refused.html", status=status_of(exc), title="There is nothing to uninstall", error=exc)
        return render("uninstall.html", removal=removal, token=self._guard.token)

    def install(self, form: Mapping[str, str], _: str) -> Response:
        """The form at the side; an error keeps what was typed."""
        given = InstallForm(
            source=form.get("source", "").strip(), dependencies="dependencies" in form, upgrade="upgrade" in form
        )
        try:
            served = self._service.install(given.source, upgrade=given.upgrade, dependencies=given.dependencies)
        except MeshError as exc:
            return self._failed("install", exc, replace(given, wrong=True))
        return self._done(plugin_anchor(served.installed.manifest.id), _installed(served))

    def rescan(self, form: Mapping[str, str], _: str) -> Response:
        """Look at the folder again."""
        try:
            listing = self._service.discover()
        except MeshError as exc:
            return self._failed("external", exc)
        return self._done("external", _scanned(listing))

    def enable(self, form: Mapping[str, str], plugin_id: str) -> Response:
        """Let flows use a plugin, and start it."""
        return self._change(plugin_id, self._service.enable, f"Plugin {plugin_id} is enabled.")

    def disable(self, form: Mapping[str, str], plugin_id: str) -> Response:
        """Keep flows from using a plugin, and end it."""
        return self._change(plugin_id, self._service.disable, f"Plugin {plugin_id} is disabled.")

    def uninstall(self, form: Mapping[str, str], plugin_id: str) -> Response:
        """Delete a plugin."""
        return self._change(plugin_id, self._service.uninstall, f"Plugin {plugin_id} is uninstalled.")

    def log_out(self, form: Mapping[str, str], _: str) -> Response:
        """Make the browser forget that it knew the token."""
        response = Response(status_code=303, headers={"Location": LOGIN_PATH})
        self._access.revoke(response)
        return response

    def _removal(self, plugin_id: str) -> Removal:
        try:
            return removal_of(self._service.get(plugin_id).installed)
        except PluginManifestError as exc:
            if exc.folder is None:
                raise
            return removal_of_broken(plugin_id, exc.folder)

    def _change(self, plugin_id: str, change: Callable[[str], object], done: str) -> Response:
        card = plugin_anchor(plugin_id)
        try:
            change(plugin_id)
        except MeshError as exc:
            return self._failed(card, exc)
        return self._done(card, done)

    def _done(self, place: str, text: str) -> Response:
        """Answer a form that went well with the way to the page, so that a reload does not repeat it."""
        key = self._notices.put(Notice(place=place, message=Message(text=text, good=True)))
        return Response(status_code=303, headers={"Location": f"/?notice={key}#notice"})

    def _failed(self, place: str, error: MeshError, form: InstallForm | None = None) -> Response:
        return self._show(Notice(place=place, message=message_of(error)), form=form, status=status_of(error))

    def _show(self, notice: Notice | None, *, form: InstallForm | None = None, status: int = 200) -> Response:
        page = page_of(self._service, notice, form or InstallForm(), has_login=self._access.needs_token)
        return render("plugins.html", status=status, page=page, token=self._guard.token)


def _installed(served: ServedPlugin) -> str:
    manifest, actions = served.installed.manifest, served.installed.actions
    done = f"Plugin {manifest.id} {manifest.version} is installed."
    return f"{done} Flows can now use {list_keys(each.id for each in actions)}." if actions else done


def _scanned(listing: ServedListing) -> str:
    failed = sum(each.error is not None for each in listing.plugins)
    parts = [_counted(len(listing.plugins), "plugin")]
    if failed:
        parts.append(f"{failed} cannot start")
    if listing.broken:
        parts.append(_counted(len(listing.broken), "broken manifest"))
    return f"The folder was scanned: {', '.join(parts)}."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
