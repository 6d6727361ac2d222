"""The console script ``testmesh``; what a command needs is imported when that command runs."""

from __future__ import annotations


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    from pytest_testmesh.cli.app import run

    run()
