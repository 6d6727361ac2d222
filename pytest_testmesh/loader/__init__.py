"""Flow files: telling them from other YAML, and turning their bytes into the frozen model.

Importing this package loads next to nothing, so that a run which meets no flow does not pay for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_testmesh.sniff import MAX_SIZE_BYTES, claims_to_be_flow, looks_like_flow

if TYPE_CHECKING:
    from pytest_testmesh.model import Flow

__all__ = ["MAX_SIZE_BYTES", "claims_to_be_flow", "excerpt", "load_flow", "looks_like_flow"]


def load_flow(data: bytes, path: str) -> Flow | None:
    """Read one flow file; None when it is another tool's YAML.

    A file is ours when its top level has ``flow:`` with a mapping that has ``steps`` or ``name``; a file that
    is no YAML is ours when it has an indented ``steps:`` or ``name:`` under its ``flow:`` line. *path* is only
    written into locations.

    Raises:
        FlowSyntaxError: Not YAML, not UTF-8, too large, or more than one document.
        FlowSchemaError: YAML, but a key, a type or a value is wrong.
        ExpressionSyntaxError: An expression, a template or an extraction does not parse.

    Each carries ``location`` with line and column; only the first error is reported.
    """
    from pytest_testmesh.loader.flow import read_flow_file

    return read_flow_file(data, path)


def excerpt(data: bytes, line: int, context: int = 2) -> list[str]:
    """Show *line* of a file, marked with ``>``, under the *context* lines before it.

    ``["   30 |       - status == 201", ">  31 |       - body.total == 30"]``; empty when there is no such
    line.
    """
    from pytest_testmesh.loader.source import excerpt_lines

    return excerpt_lines(data, line, context)
