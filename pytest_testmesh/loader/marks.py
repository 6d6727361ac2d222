"""Tags and pytest marks of a flow file."""

from __future__ import annotations

import re
from typing import Any

from pytest_testmesh.loader.compiled import read_expression
from pytest_testmesh.loader.section import Section, list_items, read_boolean, read_text
from pytest_testmesh.loader.source import Node, Source
from pytest_testmesh.loader.values import describe, read_entries, read_value
from pytest_testmesh.model import EMPTY, Mark

# What `pytest -m` reads as one name; a leading underscore is refused by `pytest.mark`.
_TAG = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]*")
_MARK = re.compile("[A-Za-z][A-Za-z0-9_]*")
_OPERATORS = frozenset(("and", "or", "not", "True", "False", "None"))
# As tags they would change how the flow runs, or not do what the author expects of them.
_EFFECTIVE_MARKS = frozenset(
    (
        *("skip", "skipif", "xfail", "parametrize", "usefixtures", "filterwarnings", "tryfirst", "trylast"),
        *("timeout", "flaky", "asyncio", "anyio", "trio", "xdist_group"),
    )
)
_CONDITIONAL: dict[str, dict[str, None]] = {
    "skipif": {"condition": None, "reason": None},
    "xfail": {"condition": None, "reason": None, "strict": None, "run": None},
    "skip": {"reason": None},
}


def read_tags(section: Section, key: str) -> tuple[str, ...]:
    """Read a list of tags: words that ``pytest -m`` can select."""
    return tuple([_read_tag(section.source, node) for node in list_items(section, key)])


def _read_tag(source: Source, node: Node) -> str:
    tag = read_value(source, node)
    if not isinstance(tag, str):
        raise source.error(node, f"a tag must be text, is {describe(source, node)}", "put it in quotes")
    if not _TAG.fullmatch(tag) or tag in _OPERATORS:
        raise source.error(
            node,
            f"{tag[:80]!r} cannot be a tag: pytest -m could not select it",
            "use letters, digits, _, . and -, and begin with a letter or a digit",
        )
    if tag in _EFFECTIVE_MARKS:
        raise source.error(node, f"the tag {tag} is the name of a pytest mark", f"write marks: [{tag}]")
    return tag


def read_marks(section: Section, key: str) -> tuple[Mark, ...]:
    """Read a list of marks: names, or mappings of one name to its arguments."""
    return tuple([_read_mark(section.source, node) for node in list_items(section, key)])


def _read_mark(source: Source, node: Node) -> Mark:
    if node.id == "sequence":
        raise source.error(node, "a mark must be a name or {name: arguments}, is a list")
    if node.id == "mapping":
        entries = read_entries(source, node)
        if len(entries) != 1:
            raise source.error(node, f"a mark must have one name, has {len(entries)}", "begin each mark with -")
        [(name, (name_node, value))] = entries.items()
    else:
        name, name_node, value = read_value(source, node), node, None
    if not isinstance(name, str) or not _MARK.fullmatch(name):
        raise source.error(name_node, f"{name!r:.80} is not the name of a mark", "use letters, digits and _")
    if name == "parametrize":
        raise source.error(name_node, "parametrize cannot mark a flow: use cases")
    if name in _CONDITIONAL:
        return _read_conditional(source, name, name_node, value)
    args, kwargs = _arguments(source, value)
    return Mark(name=name, args=args, kwargs=kwargs, location=source.location(name_node))


def _arguments(source: Source, node: Node | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A mapping gives keyword arguments, a list several arguments, anything else is the one argument."""
    value = None if node is None else read_value(source, node)
    if isinstance(value, dict):
        return (), value
    if isinstance(value, list):
        return tuple(value), {}
    return (() if value is None else (value,)), {}


def _read_conditional(source: Source, name: str, name_node: Node, value: Node | None) -> Mark:
    """Read ``skip``, ``skipif`` or ``xfail``: a text is the reason, a condition is an expression of ours."""
    location = source.location(name_node)
    if value is None and name != "skipif":
        return Mark(name=name, location=location)
    if value is None or (value.id != "mapping" and name == "skipif"):
        raise source.error(
            name_node,
            "skipif must have a condition and a reason",
            'write {skipif: {condition: "CI == true", reason: "needs a display"}}',
        )
    if value.id != "mapping":
        section = Section(source, "marks", {name: (name_node, value)})
        return Mark(name=name, kwargs={"reason": read_text(section, name)}, location=location)
    section = Section.read(source, value, _CONDITIONAL[name], f"mark {name}")
    condition = None
    if "condition" in section.entries:
        condition = read_expression(source, section.node("condition"), section.what("condition"), or_boolean=True)
    for needed in ("condition", "reason") if name == "skipif" else ():
        if needed not in section.entries:
            raise source.error(name_node, f"mark skipif lacks its {needed}")
    kwargs: dict[str, Any] = {
        key: (read_text if key == "reason" else read_boolean)(section, key)
        for key in section.entries
        if key != "condition"
    }
    return Mark(name=name, kwargs=kwargs or EMPTY, condition=condition, location=location)
