"""The command ``testmesh`` itself: its subcommands, its exit codes, and how it ends."""

from __future__ import annotations

import io
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from pytest_testmesh.cli.failures import MeshGroup
from pytest_testmesh.cli.plugins import plugins
from pytest_testmesh.cli.serve import serve

EXIT_CODES = """\b
Exit codes:
  0  done
  1  refused, failed, or stopped by Ctrl-C or by answering "no"
  2  wrong usage; also uninstall without a terminal and without --yes"""


@click.group(cls=MeshGroup, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pytest-testmesh", message="%(prog)s %(version)s")
@click.pass_context
def testmesh(ctx: click.Context) -> None:
    """Manage the external plugins whose actions your flows use."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        ctx.color = False


testmesh.add_command(plugins)
testmesh.add_command(serve)


def run() -> None:
    """Run the command line of this process; SIGTERM and SIGHUP end it as tidily as Ctrl-C does."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal's encoding lacks is no crash
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(number, _end)
    testmesh(prog_name="testmesh")


def _end(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
