"""Writes an example step of an action, ready to be pasted into a flow, from the action's JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_testmesh.expressions import RESERVED
from pytest_testmesh.model import EMPTY
from pytest_testmesh.registry.example_value import example_config

if TYPE_CHECKING:
    import yaml

_MAX_ID = 64
_TEMPLATE_OPENING = re.compile(r"\$\{|\{\{(?!\.)")


def example_step(
    action_id: str, schema: Mapping[str, Any] | None = None, *, defaults: Mapping[str, Any] = EMPTY
) -> str:
    """Return the YAML of a list of one step, ending in a line break.

    Its config holds what *schema* requires, or, where that is nothing, the first keys it knows; *defaults* (the
    ``config`` of the plugin's manifest) go before values made from the schema. Where no value can be made that
    fits, as for most patterns, a comment says what to change. Any schema is taken, broken ones too.
    """
    config = example_config(schema, defaults)
    step: dict[str, Any] = {"id": _step_id(action_id), "action": action_id}
    if config:
        step["config"] = _escaped(config)
    return f"{_remark(schema, config)}{_yaml([step])}"


def _step_id(action_id: str) -> str:
    """``"my-plugin.sayHello"`` -> ``"sayhello"``: the last part of the name as far as an id can hold it."""
    words = re.sub(r"[^a-z0-9]+", "_", action_id.rpartition(".")[2].lower()).strip("_")
    if not words[:1].isalpha() or words in RESERVED:
        words = f"step_{words}".rstrip("_")
    return words[:_MAX_ID]


def _escaped(value: Any) -> Any:
    """Double what would open a placeholder: a schema's values are meant as they stand."""
    if isinstance(value, str):
        return _TEMPLATE_OPENING.sub(lambda match: "$${" if match[0] == "${" else "{{{{", value)
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _escaped(each) for key, each in value.items()}
    return value


def _remark(schema: Mapping[str, Any] | None, config: Mapping[str, Any]) -> str:
    """Say as a comment what is wrong with the example, for schemas that ask for more than can be made up."""
    if not schema:
        return ""
    from pytest_testmesh.schemas import ConfigSchema

    try:
        violation = ConfigSchema(schema).violation(config)
    except Exception:  # noqa: BLE001 - the schema itself is broken; whoever starts the plugin is told
        return ""
    if violation is None:
        return ""
    told = f"{violation.message}; {violation.hint}" if violation.hint else violation.message
    printable = "".join(each if each.isprintable() else " " for each in told)
    return f"# to change: {' '.join(printable.split())}\n"


def _yaml(value: Any) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes plain data; never an alias, which a reader would have to resolve by eye."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(str, _text_node)
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=10_000)


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _style(text: str) -> str | None:
    """Return the quotes *text* needs beyond those that PyYAML gives what YAML 1.1 would take for another type."""
    lines = text.split("\n")
    if not all(map(str.isprintable, lines)):
        return '"'
    if len(lines) > 1:
        # Blank lines at an end are lost too easily when somebody copies a block.
        block = text.removesuffix("\n")
        return "|" if block and block == block.strip() else '"'
    is_number_of_yaml_1_2 = text[:1] in tuple("+-.0123456789")
    return '"' if is_number_of_yaml_1_2 or "${" in text or "{{" in text else None
