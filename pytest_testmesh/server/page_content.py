"""What the page at ``/`` holds at one moment, put together from the plugins folder and the outcome of a form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from pytest_testmesh.errors import MeshError
from pytest_testmesh.integrations.catalog import NativeIntegration, core_actions, native_integrations
from pytest_testmesh.server.page_actions import IntegrationView, integration_view
from pytest_testmesh.server.page_view import (
    BrokenView,
    Message,
    Notice,
    PluginView,
    broken_view,
    message_of,
    plugin_view,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_testmesh.server.service import PluginService


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallForm:
    """What the install form holds; *wrong* marks the path as the cause of the error above it."""

    source: str = ""
    dependencies: bool = True
    upgrade: bool = False
    wrong: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that the template shows; *problem* is why there is no list, *has_login* adds the way to log out."""

    plugins_dir: Path
    built_in: tuple[IntegrationView, ...]
    form: InstallForm
    has_login: bool
    plugins: tuple[PluginView, ...] = ()
    broken: tuple[BrokenView, ...] = ()
    ignored: tuple[Path, ...] = ()
    problem: Message | None = None
    notice: Notice | None = None

    @property
    def external_count(self) -> int:
        """How many folders the list shows."""
        return len(self.plugins) + len(self.broken) + len(self.ignored)

    @property
    def attention(self) -> tuple[tuple[str, str], ...]:
        """Anchor and name of what cannot be used."""
        failed = [(each.anchor, each.id) for each in self.plugins if each.problem is not None]
        return (*failed, *((each.anchor, each.name) for each in self.broken))


def page_of(service: PluginService, notice: Notice | None, form: InstallForm, *, has_login: bool) -> Page:
    """Return the page as it is now; a folder that cannot be read is told on it."""
    page = Page(plugins_dir=service.plugins_dir, built_in=_built_in(), form=form, has_login=has_login)
    try:
        page = _listed(page, service)
    except MeshError as exc:
        page = replace(page, problem=message_of(exc))
    return replace(page, notice=_placed(notice, page))


def _listed(page: Page, service: PluginService) -> Page:
    listing = service.list()
    return replace(
        page,
        plugins=tuple(plugin_view(each) for each in listing.plugins),
        broken=tuple(broken_view(number, each) for number, each in enumerate(listing.broken, 1)),
        ignored=listing.ignored,
    )


def _placed(notice: Notice | None, page: Page) -> Notice | None:
    """Move the notice of a plugin that has no card, or no longer, to the head of the list."""
    if notice is None:
        return None
    places = {"install", "external", *(each.anchor for each in page.plugins)}
    return notice if notice.place in places else replace(notice, place="external")


@cache
def _built_in() -> tuple[IntegrationView, ...]:
    core = NativeIntegration(id="", name="Core actions", actions=core_actions())
    return tuple(integration_view(each) for each in (*native_integrations(), core))
