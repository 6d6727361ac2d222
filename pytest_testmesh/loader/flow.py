"""A flow file as a whole: the keys of ``flow``, and what holds between its steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.errors import FlowSchemaError, FlowSyntaxError
from pytest_testmesh.loader.compiled import read_template
from pytest_testmesh.loader.marks import read_marks, read_tags
from pytest_testmesh.loader.section import (
    FieldTable,
    Section,
    list_items,
    read_name,
    read_positive_duration,
    read_text,
    read_text_as_written,
)
from pytest_testmesh.loader.source import Node, Source
from pytest_testmesh.loader.steps import ids_with_hyphen, read_steps
from pytest_testmesh.loader.values import read_entries, read_value, unknown_key
from pytest_testmesh.loader.yaml_nodes import read_documents
from pytest_testmesh.model import EMPTY, EnvEntry, Flow, FlowOutput, Location, Step
from pytest_testmesh.sniff import claims_to_be_flow
from pytest_testmesh.template import compile_template

_LONGEST_NAME = 255


def read_flow_file(data: bytes, path: str) -> Flow | None:
    """Do what `pytest_testmesh.loader.load_flow` says."""
    source = Source(path, data)
    try:
        documents = read_documents(source)
    except FlowSyntaxError:
        if claims_to_be_flow(data):
            raise
        return None
    if not any(_is_flow_file(root) for root in documents):
        return None
    if len(documents) > 1:
        raise FlowSyntaxError(
            "a second document begins here, and a flow file has one",
            hint="remove the --- or make two files",
            location=source.location(documents[1]),
        )
    return _read_root(source, documents[0])


def _is_flow_file(root: Node) -> bool:
    return any(
        key.value == "flow" and not {"steps", "name"}.isdisjoint(_key_texts(value))
        for key, value in (root.value if root.id == "mapping" else ())
    )


def _key_texts(node: Node) -> set[str]:
    """The keys of a mapping with those merged in by ``<<``, before anything is checked."""
    found: set[str] = set()
    for key, value in node.value if node.id == "mapping" else ():
        if key.value == "<<":
            for merged in value.value if value.id == "sequence" else (value,):
                found |= _key_texts(merged)
        elif key.id == "scalar":
            found.add(key.value)
    return found


def _read_root(source: Source, root: Node) -> Flow:
    entries = read_entries(source, root)
    for key, (key_node, _) in entries.items():
        if key in _FLOW_FIELDS:
            raise source.error(key_node, f"{key} stands beside flow, not in it", f"indent {key} under flow")
        if key != "flow" and not key.startswith("x-"):
            raise unknown_key(source, key_node, ("flow", *_FLOW_FIELDS), "the file, beside flow")
    flow_node = entries["flow"][1]
    ids = frozenset(ids_with_hyphen(flow_node))
    return _read_flow(Source(source.path, source.data, ids) if ids else source, flow_node)


def _read_flow(source: Source, node: Node) -> Flow:
    section = Section.read(source, node, _FLOW_FIELDS, "flow")
    for key in ("name", "steps"):
        if key not in section.entries:
            raise source.error(node, f"the flow has no {key}")
    flow = Flow(location=source.location(node), **section.fields(_FLOW_FIELDS))
    _check_ids_and_outputs(source, flow)
    return flow


def _check_ids_and_outputs(source: Source, flow: Flow) -> None:
    """Refuse two steps of one id, and one name for a step and an output."""
    steps: dict[str, Step] = {}
    outputs: dict[str, Location] = {}
    for step in flow.all_steps():
        first = steps.setdefault(step.id, step)
        if first is not step:
            raise FlowSchemaError(
                f"step {step.id} stands here and in line {first.location.line}",
                hint="an id is unique in setup, steps, teardown and error_steps together",
                location=step.location,
            )
        for output in step.outputs:
            outputs[output.name] = output.location
    for name in steps.keys() & outputs.keys():
        raise FlowSchemaError(
            f"{name} is an output here and a step in line {steps[name].location.line}",
            hint="rename one of the two, so that ${" + name + "} means one thing",
            location=outputs[name],
        )


def _name(section: Section, key: str) -> str:
    name = read_text(section, key)
    if not 1 <= len(name) <= _LONGEST_NAME:
        raise section.error(key, f"{section.what(key)} must have 1 to {_LONGEST_NAME} characters, has {len(name)}")
    if "::" in name:
        raise section.error(key, f"{section.what(key)} holds ::", "pytest splits node ids there: use another mark")
    if not name.isprintable():
        char = next(char for char in name if not char.isprintable())
        raise section.error(
            key,
            f"{section.what(key)} holds a line break or another control character (U+{ord(char):04X})",
            "write it on one line",
        )
    return name


def _phase(section: Section, key: str) -> tuple[Step, ...]:
    steps = read_steps(section, key, "step" if key == "steps" else key)
    if not steps and key == "steps":
        raise section.error(key, "steps is empty", "a flow has at least one step")
    return steps


def _env(section: Section, key: str) -> tuple[EnvEntry, ...]:
    source = section.source
    return tuple(
        [
            EnvEntry(
                name=read_name(source, name_node, "a variable"),
                value=read_template(source, value),
                location=source.location(name_node),
            )
            for name_node, value in read_entries(source, section.node(key), where=section.what(key)).values()
        ]
    )


def _fixtures(section: Section, key: str) -> tuple[tuple[str, Location], ...]:
    source = section.source
    return tuple([(read_name(source, node, "a fixture"), source.location(node)) for node in list_items(section, key)])


def _output(section: Section, key: str) -> tuple[FlowOutput, ...]:
    """Read a mapping of names to templates, or a list of the names of outputs."""
    source, node = section.source, section.node(key)
    if node.id == "sequence":
        names = [(read_name(source, item, "an output"), item) for item in list_items(section, key)]
        return tuple(
            FlowOutput(
                name=name,
                value=compile_template("${" + name + "}", source.ids),
                location=source.location(item),
            )
            for name, item in names
        )
    return tuple(
        FlowOutput(
            name=read_name(source, name_node, "an output"),
            value=read_template(source, value),
            location=source.location(name_node),
        )
        for name_node, value in read_entries(source, node, where=section.what(key)).values()
    )


def _config(section: Section, key: str) -> Mapping[str, Any]:
    node = section.node(key)
    for name_node, _ in node.value if node.id == "mapping" else ():
        if name_node.value == "timeout":
            raise section.source.error(name_node, "timeout stands in config of flow", "put it directly under flow")
    nested = Section.read(section.source, node, _CONFIG_FIELDS, section.what(key))
    found: Mapping[str, Any] = nested.fields(_CONFIG_FIELDS).get("faker", EMPTY)
    return found


def _faker(section: Section, key: str) -> dict[str, Any]:
    nested = Section.read(section.source, section.node(key), _FAKER_FIELDS, section.what(key))
    return nested.fields(_FAKER_FIELDS)


def _seed(section: Section, key: str) -> int:
    seed = read_value(section.source, section.node(key))
    if seed.__class__ is not int:
        raise section.wrong(key, "a whole number")
    return int(seed)


def _later(section: Section, key: str) -> None:
    raise section.error(key, f"{key} is not supported yet")


_FAKER_FIELDS: FieldTable = {"seed": ("seed", _seed), "locale": ("locale", read_text)}
_CONFIG_FIELDS: FieldTable = {"faker": ("faker", _faker)}
_FLOW_FIELDS: FieldTable = {
    "name": ("name", _name),
    "description": ("description", read_text),
    "version": ("version", read_text_as_written),
    "author": ("author", read_text),
    "suite": ("suite", read_text),
    "tags": ("tags", read_tags),
    "marks": ("marks", read_marks),
    "env": ("env", _env),
    "env_file": ("env_file", _later),
    "fixtures": ("fixtures", _fixtures),
    "cases": ("cases", _later),
    "timeout": ("timeout_s", read_positive_duration),
    "config": ("faker", _config),
    "setup": ("setup", _phase),
    "steps": ("steps", _phase),
    "teardown": ("teardown", _phase),
    "output": ("output", _output),
}
