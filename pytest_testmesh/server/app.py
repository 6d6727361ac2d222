"""Puts the server together: API, page, documentation, errors, and the gate in front of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio.to_thread
from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer

from pytest_testmesh.server.api import plugins_api
from pytest_testmesh.server.docs import docs_router
from pytest_testmesh.server.gate import Gate
from pytest_testmesh.server.page import page_router
from pytest_testmesh.server.problems import add_error_handlers
from pytest_testmesh.server.security import Access, Rules

if TYPE_CHECKING:
    from pytest_testmesh.server.service import PluginService
    from pytest_testmesh.server.settings import ServerSettings

_THREADS = 128
"""How many requests may wait for plugins at once; the listing must not wait behind forty slow ones."""


def create_app(service: PluginService, *, settings: ServerSettings) -> FastAPI:
    """Return the application; it starts the service, whoever runs it closes that."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        service.start()
        yield

    app = FastAPI(
        title="TestMesh plugins",
        summary="Installs, runs and removes the plugins of one folder.",
        version=_version(),
        docs_url=None,  # its page loads programs from another site
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    access = Access(settings)
    token = [Security(HTTPBearer(auto_error=False, description="The server's token."))] if access.needs_token else []
    app.include_router(plugins_api(service), dependencies=token)
    app.include_router(docs_router(app))
    app.include_router(page_router(service, access))
    add_error_handlers(app)
    app.add_middleware(Gate, rules=Rules(settings, access))
    return app


def _version() -> str:
    from importlib.metadata import version

    return version("pytest-testmesh")
