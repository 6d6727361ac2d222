"""``testmesh serve``: the plugins folder over HTTP, as REST API and as a page; needs the extra ``server``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pytest_testmesh.errors import MissingDependencyError
from pytest_testmesh.server.settings import DEFAULT_HOST, DEFAULT_PORT, ServerSettings

if TYPE_CHECKING:
    from pytest_testmesh.registry.registry import PluginRegistry

_LIBRARIES = ("fastapi", "jinja2", "uvicorn")


def run(
    registry: PluginRegistry,
    *,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    token: str | None = None,
    allow_hosts: Sequence[str] = (),
    on_ready: Callable[[str], object] = lambda url: None,
) -> None:
    """Serve the registry's plugins until SIGINT, SIGTERM or SIGHUP; *on_ready* is told the address of the page.

    Port 0 takes a free one. *allow_hosts* are further names that clients reach this server by.

    Raises:
        MissingDependencyError: The extra ``server`` is not installed.
        ServerError: Other machines could connect without a token, or the address cannot be used.
    """
    _require_extra()
    from pytest_testmesh.server.app import create_app
    from pytest_testmesh.server.listening import HttpServer, listen
    from pytest_testmesh.server.service import PluginService

    settings = ServerSettings(host=host, port=port, token=token, allow_hosts=tuple(allow_hosts))
    settings.check()
    with listen(host, port) as listening, closing(PluginService(registry)) as service:
        settings = replace(settings, port=listening.getsockname()[1])
        server = HttpServer(create_app(service, settings=settings), service.close)
        on_ready(settings.url)
        server.run(sockets=[listening])


def _require_extra() -> None:
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"testmesh serve needs {' and '.join(missing)}", hint="pip install 'pytest-testmesh[server]'"
        )
