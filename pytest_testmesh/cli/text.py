"""Text of plugins on a terminal: made harmless, measured and cut in cells."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

_DOTS = "..."


def printable(text: str) -> str:
    """Return *text* on one line; what could move the cursor, colour or reorder the terminal's text is escaped."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape", "replace").decode("ascii")


def cells(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) == "Mn":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int, *, keep_end: bool = False) -> str:
    """Return *text* in at most *width* columns, dots in place of its end, or of its beginning if *keep_end*."""
    if cells(text) <= width:
        return text
    characters = list(text)
    while characters and cells("".join(characters)) > width - len(_DOTS):
        del characters[0 if keep_end else -1]
    kept = "".join(characters)
    return f"{_DOTS}{kept}" if keep_end else f"{kept}{_DOTS}"


def pad(text: str, width: int) -> str:
    """Return *text* with spaces up to *width* columns."""
    return text + " " * (width - cells(text))


def shown_path(path: Path) -> str:
    """Return the path as a person would write it here: relative where it lies below the working directory."""
    relative = os.path.relpath(path)
    return printable(str(path) if relative.startswith(os.pardir) else relative)
