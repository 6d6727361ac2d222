"""Where in a step's config something is wrong, for errors that point there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pytest_testmesh.errors import ActionConfigError, StepError

Path = tuple[str | int, ...]
"""Leads to a part of a config: ``("assert", 2)``."""


def refused(path: Path, problem: str, hint: str | None = None) -> ActionConfigError:
    """Return the error ``config.assert[2]: problem``, which points there."""
    where = "config" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    error = ActionConfigError(f"{where}: {problem}", hint=hint)
    error.path = path
    return error


@contextmanager
def part_of_config(*path: str | int) -> Iterator[None]:
    """Let errors of the block, which work on the part at *path* alone, point into the whole config."""
    try:
        yield
    except StepError as exc:
        exc.path = (*path, *exc.path)
        raise
