"""Files that a step's config names."""

from __future__ import annotations

from pathlib import Path


def resolved(path: str, folder: Path) -> str:
    """Return *path* as seen from the flow file's *folder*; ``~`` is the home folder."""
    return str(folder / Path(path).expanduser())
