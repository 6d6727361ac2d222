"""Shows our errors as ``Error:`` and ``hint:``; any other exception is a bug and keeps its traceback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import click

from pytest_testmesh.cli.text import printable
from pytest_testmesh.errors import ExternalPluginError, MeshError

_MOST_STDERR_LINES = 20


class RefusedError(click.ClickException):
    """A `MeshError` on its way to the user; the command ends with exit code 1."""

    def __init__(self, error: MeshError) -> None:
        super().__init__(error.message)
        context = click.get_current_context(silent=True)
        self._color = context.color if context is not None else None  # when the error is shown, it is gone
        self._error = error

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error to stderr: what is wrong, what to do, what the plugin said last."""
        for line in error_lines(self._error):
            click.echo(line, file=file, err=True, color=self._color)


class MeshGroup(click.Group):
    """A group whose commands may raise `MeshError`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; its refusal becomes one that click shows."""
        try:
            return super().invoke(ctx)
        except MeshError as exc:
            raise RefusedError(exc) from exc


def error_lines(error: MeshError) -> Iterator[str]:
    """Return what is wrong, what to do and what the plugin wrote last, as lines for stderr."""
    first, *rest = error.message.splitlines() or [type(error).__name__]
    yield f"{click.style('Error:', fg='red', bold=True)} {printable(first)}"
    yield from (f"  {printable(line)}" for line in rest)
    yield from hint_lines(error)
    if isinstance(error, ExternalPluginError) and error.stderr:
        yield "its stderr ends with:"
        yield from (f"  {printable(line)}" for line in error.stderr[-_MOST_STDERR_LINES:])


def hint_lines(error: MeshError, indent: str = "") -> Iterator[str]:
    """Return what to do about the error, as lines."""
    for number, line in enumerate((error.hint or "").splitlines()):
        word = "hint:" if number == 0 else "     "
        yield f"{indent}{word} {printable(line)}"
