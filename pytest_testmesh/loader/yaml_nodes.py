"""Bytes to YAML nodes with positions; checks size, encoding, nesting and aliases, and knows nothing of flows."""

from __future__ import annotations

import re
from typing import Any

import yaml

from pytest_testmesh.errors import FlowSyntaxError
from pytest_testmesh.loader.source import Node, Source, children
from pytest_testmesh.loader.yaml_problems import explain
from pytest_testmesh.model import Location
from pytest_testmesh.sniff import MAX_SIZE_BYTES, UTF16_MARKS

MAX_DEPTH = 100
MAX_NODES = 100_000

# https://yaml.org/spec/1.2.2/#51-character-set
_NOT_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Before an anchor's name; && of an expression is none.
_ANCHOR = re.compile(rb"(?<!&)&[^&\s]")


class _PlainNodes:
    """Composer methods that leave tags unresolved (None) and refuse deep nesting.

    libyaml composes by C recursion without a bound of its own: 100,000 ``[`` end the process.
    """

    depth: int

    def resolve(self, kind: type[Node], value: str | None, implicit: Any) -> None:
        return None

    def descend_resolver(self, parent: Node | None, index: Node | int | None) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _TooDeepError(parent)

    def ascend_resolver(self) -> None:
        self.depth -= 1


class _TooDeepError(Exception):
    """Leaves the composer; carries the innermost node."""

    def __init__(self, node: Node | None) -> None:
        self.node = node


try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class _Loader(_PlainNodes, CParser):
        # Counted in the instance's dict, the depth takes a sixth of the time of composing.
        __slots__ = ("depth",)

        def __init__(self, stream: bytes) -> None:
            CParser.__init__(self, stream)
            self.depth = 0

except ImportError:  # PyYAML built without libyaml: the same nodes, ten times slower
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Loader(_PlainNodes, Reader, Scanner, Parser, Composer):  # type: ignore[no-redef]
        def __init__(self, stream: bytes) -> None:
            Reader.__init__(self, stream)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)
            self.depth = 0


def read_documents(source: Source) -> list[Node]:
    """Compose every document of the file; ``node.tag`` is None unless a tag stands in the text.

    Raises:
        FlowSyntaxError: Too large, not UTF-8, not YAML, nested too deeply, or aliases without bound.
    """
    _check_encoding(source)
    loader: Any = None
    documents: list[Node] = []
    try:
        loader = _Loader(source.data)
        while loader.check_node():
            documents.append(loader.get_node())
    except yaml.MarkedYAMLError as exc:
        raise explain(source, exc) from None
    except yaml.reader.ReaderError as exc:
        raise _control_character(source, exc) from None
    except _TooDeepError as exc:
        raise _too_deep(source, exc.node) from None
    except (ValueError, OverflowError) as exc:  # PyYAML without libyaml, on "\U00110000"
        raise FlowSyntaxError(f"not YAML: {exc}", location=Location(source.path, loader.line + 1)) from None
    if b"*" in source.data and _ANCHOR.search(source.data):
        for root in documents:
            _measure(source, root, {})
    return documents


def _check_encoding(source: Source) -> None:
    data = source.data
    start = Location(source.path, 1)
    if len(data) > MAX_SIZE_BYTES:
        raise FlowSyntaxError(
            f"the file is larger than {MAX_SIZE_BYTES // 1024 // 1024} MiB, the most that a flow may have",
            hint="keep large bodies in files of their own",
            location=start,
        )
    if data[:2] in UTF16_MARKS:
        raise FlowSyntaxError("the file is UTF-16", hint="save it as UTF-8", location=start)
    try:
        data.decode()
    except UnicodeDecodeError as exc:
        before = data[: exc.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        raise FlowSyntaxError(
            f"byte 0x{data[exc.start]:02x} at position {exc.start} is not UTF-8",
            hint="save the file as UTF-8",
            location=Location(source.path, before.count(b"\n") + 1, column),
        ) from None


def _control_character(source: Source, exc: yaml.reader.ReaderError) -> FlowSyntaxError:
    text = source.data.decode("utf-8", "replace").removeprefix("\ufeff")
    found = _NOT_YAML.search(text)
    offset = found.start() if found else 0
    char = found.group() if found else chr(exc.character)
    return FlowSyntaxError(
        f"the control character U+{ord(char):04X} may not stand in YAML",
        hint='write it as an escape in double quotes: "\\x1b"',
        location=Location(source.path, text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)),
    )


def _too_deep(source: Source, node: Node | None) -> FlowSyntaxError:
    return FlowSyntaxError(
        f"nested more than {MAX_DEPTH} levels deep",
        location=source.location(node) if node is not None else Location(source.path, 1),
    )


def _measure(source: Source, node: Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Return how many nodes *node* expands to and how deep, visiting only once what aliases share."""
    if node.id == "scalar":
        return 1, 1
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            raise FlowSyntaxError("an alias refers to a node that contains it", location=source.location(node))
        return measured
    known[id(node)] = None
    parts = [_measure(source, child, known) for child in children(node)]
    size = 1 + sum(part_size for part_size, _ in parts)
    depth = 1 + max((part_depth for _, part_depth in parts), default=0)
    if size > MAX_NODES:
        raise FlowSyntaxError(f"the aliases expand to more than {MAX_NODES:,} nodes", location=source.location(node))
    if depth > MAX_DEPTH:
        raise _too_deep(source, node)
    known[id(node)] = size, depth
    return size, depth
