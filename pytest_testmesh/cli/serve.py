"""The command ``testmesh serve``; the package ``server`` does the work."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click

from pytest_testmesh.cli.opening import open_registry, plugins_dir_option
from pytest_testmesh.cli.text import shown_path
from pytest_testmesh.server.settings import DEFAULT_HOST, DEFAULT_PORT

TOKEN_VARIABLE = "TESTMESH_TOKEN"


@click.command()
@click.option("--host", default=DEFAULT_HOST, show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen on; 0 takes any.",
)
@click.option(
    "--token",
    metavar="TEXT",
    envvar=TOKEN_VARIABLE,
    show_envvar=True,
    help="Ask clients for this token. Needed on any address that other machines can reach.",
)
@click.option(
    "--allow-host", "allow_hosts", multiple=True, metavar="NAME", help="A further name that clients reach this host by."
)
@plugins_dir_option
def serve(host: str, port: int, token: str | None, allow_hosts: tuple[str, ...], plugins_dir: Path | None) -> None:
    """Serve a page and a REST API of the plugins.

    Ctrl-C ends it.
    Needs pip install 'pytest-testmesh[server]'.
    """
    from pytest_testmesh import server

    os.environ.pop(TOKEN_VARIABLE, None)  # plugins inherit the environment
    registry = open_registry(plugins_dir, create=True)

    def show(url: str) -> None:
        click.echo(f"Serving {shown_path(registry.plugins_dir)} at {url} - Ctrl-C ends it")

    with contextlib.suppress(KeyboardInterrupt):  # the way to end a server, not a failure
        server.run(registry, host=host, port=port, token=token, allow_hosts=allow_hosts, on_ready=show)
