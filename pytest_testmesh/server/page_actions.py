"""What the page shows of actions, those of plugins and built-in ones: the config as a table, as JSON, and as a step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_testmesh.model import EMPTY
from pytest_testmesh.registry.example_step import example_step
from pytest_testmesh.registry.schema_table import SchemaTable, schema_table
from pytest_testmesh.values import shorten

if TYPE_CHECKING:
    from pytest_testmesh.actions import Action
    from pytest_testmesh.external.manifest import Manifest
    from pytest_testmesh.external.protocol import DeclaredAction
    from pytest_testmesh.integrations.catalog import NativeIntegration

_MAX_NAME = 120
_MAX_DESCRIPTION = 400
_MAX_EXAMPLE = 5_000
_MAX_SCHEMA = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionView:
    """An action with its config as a table and as JSON, and a step to copy."""

    anchor: str
    id: str
    name: str
    description: str
    table: SchemaTable
    schema_json: str
    example: str
    results: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrationView:
    """A built-in integration."""

    anchor: str
    id: str
    name: str
    actions: tuple[ActionView, ...]


def declared_view(anchor: str, manifest: Manifest, action: DeclaredAction) -> ActionView:
    """Return an action that a plugin lists; *anchor* is its id in the page."""
    return ActionView(
        anchor=anchor,
        id=shorten(action.id, _MAX_NAME),
        name=shorten(action.name, _MAX_NAME),
        description=shorten(action.description, _MAX_DESCRIPTION),
        table=schema_table(action.schema),
        schema_json=_schema_json(action.schema),
        example=_example(action.id, action.schema, manifest.config),
    )


def integration_view(integration: NativeIntegration) -> IntegrationView:
    """Return the card of a built-in integration."""
    return IntegrationView(
        anchor=f"native-{integration.id}",
        id=integration.id,
        name=integration.name,
        actions=tuple(_built_in_view(each) for each in integration.actions),
    )


def _built_in_view(action: Action) -> ActionView:
    return ActionView(
        anchor=f"action-{action.name}",
        id=action.name,
        name=action.summary,
        description="",
        table=schema_table(action.schema),
        schema_json=_schema_json(action.schema),
        example=_example(action.name, action.schema),
        results=tuple(action.result.items()),
    )


def _example(action_id: str, schema: Mapping[str, Any] | None, defaults: Mapping[str, Any] = EMPTY) -> str:
    """Return a step to copy; none where the texts of the schema make it too long to be read."""
    text = example_step(action_id, schema, defaults=defaults).rstrip()
    return text if len(text) <= _MAX_EXAMPLE else ""


def _schema_json(schema: Mapping[str, Any] | None) -> str:
    if not schema:
        return ""
    try:
        text = json.dumps(schema, indent=2, ensure_ascii=False, default=_plain)
    except RecursionError:
        return "nested too deep to be shown"
    return shorten(text, _MAX_SCHEMA)


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
