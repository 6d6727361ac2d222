"""The text of an exception that is no error of a flow: where it came up, and of its traceback what the user wrote."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from pytest_testmesh.errors import MeshError
from pytest_testmesh.masked_text import HEADLINE_WIDTH, cut
from pytest_testmesh.secrets import Masker
from pytest_testmesh.values import one_line

_FRAMES = 10
_MESSAGE_LINES = 10
_LINE_WIDTH = 300
_CAUSES = 3
_TEST_RUNNERS = frozenset({"_pytest", "pytest", "pluggy", "xdist", "pytest_timeout", "pytest_testmesh"})
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")


def user_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """Return the entries of a traceback that are neither ours, nor pytest's, nor the standard library's."""
    frames = []
    for frame, line in traceback.walk_tb(trace):
        module = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        code = frame.f_code
        if module not in _TEST_RUNNERS and not _is_standard(code.co_filename):
            frames.append(traceback.FrameSummary(code.co_filename, line or 0, code.co_name))
    return frames


def _is_standard(filename: str) -> bool:
    if filename.startswith("<"):
        return True
    parts = Path(filename).parts
    return filename.startswith(_STANDARD_LIBRARY) and not {"site-packages", "dist-packages"} & set(parts)


def single_errors(error: BaseException) -> Iterator[BaseException]:
    """Give the exceptions of a group, of groups in it too; of any other exception only itself."""
    inner = getattr(error, "exceptions", None)
    if not isinstance(inner, tuple):
        yield error
        return
    for each in inner:
        yield from single_errors(each)


def summary(error: BaseException) -> str:
    """Return type and message on one line."""
    return f"{type(error).__name__}: {one_line(_message(error))}".removesuffix(": ")


def _message(error: BaseException) -> str:
    if isinstance(error, MeshError):
        return error.message
    write = getattr(error, "formatrepr", None)  # pytest's FixtureLookupError, whose own text is its arguments
    if write is not None:
        return str(getattr(write(), "errorstring", error)).strip().partition("\n")[0]
    return str(error)


def describe_exception(error: BaseException, where: str, shown_path: Callable[[str], str], masker: Masker) -> list[str]:
    """Return the masked report: a headline that starts with *where*, the user's frames in short style, the message."""
    first = cut(masker.text(f"{where}: {summary(error)}"), HEADLINE_WIDTH)
    rest = [*_frames(error, shown_path), *_needed_by(error, shown_path), *_error_lines(error), *_causes(error)]
    return [first, *(cut(line, _LINE_WIDTH) for line in masker.text("\n".join(rest)).split("\n") if line)]


def _frames(error: BaseException, shown_path: Callable[[str], str]) -> Iterator[str]:
    for frame in user_frames(error.__traceback__)[-_FRAMES:]:
        yield f"{shown_path(frame.filename)}:{frame.lineno}: in {frame.name}"
        if frame.line:
            yield f"    {frame.line}"


def _needed_by(error: BaseException, shown_path: Callable[[str], str]) -> Iterator[str]:
    """Say which fixture asked for one that is not there."""
    stack = getattr(error, "fixturestack", None) or ()
    for fixture in stack[-1:]:
        code = getattr(getattr(fixture, "func", fixture), "__code__", None)
        if code is not None:
            yield f"{shown_path(code.co_filename)}:{code.co_firstlineno}: in {code.co_name}"


def _error_lines(error: BaseException) -> Iterator[str]:
    first, *rest = _message(error).splitlines() or [""]
    yield f"E   {type(error).__name__}: {first}".removesuffix(": ")
    yield from (f"E     {line}" for line in rest[:_MESSAGE_LINES])
    if len(rest) > _MESSAGE_LINES:
        yield f"E     ... {len(rest) - _MESSAGE_LINES} more lines"


def _causes(error: BaseException) -> Iterator[str]:
    for _ in range(_CAUSES):
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            return
        yield f"  caused by {summary(cause)}"
        error = cause
