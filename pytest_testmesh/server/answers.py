"""The shapes of the API's answers; keys that the original's API has are never renamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pytest_testmesh.registry.plain import plain

if TYPE_CHECKING:
    from pytest_testmesh.actions import Action
    from pytest_testmesh.errors import PluginManifestError
    from pytest_testmesh.external.manifest import Manifest
    from pytest_testmesh.external.protocol import DeclaredAction
    from pytest_testmesh.integrations.catalog import NativeIntegration
    from pytest_testmesh.server.service import ServedListing, ServedPlugin

Text = Annotated[str, BeforeValidator(plain)]
Json = Annotated[dict[str, Any], BeforeValidator(plain)]


class Problem(BaseModel):
    """What every error answers."""

    error: Text = Field(description="What is wrong, and where.")
    hint: Text | None = Field(None, description="What to do about it; left out where there is nothing to say.")
    stderr: list[Text] | None = Field(None, description="The last lines that the plugin wrote there, if it did.")


class Done(BaseModel):
    """What enable, disable and uninstall answer."""

    message: str


class InstallRequest(BaseModel):
    """What to install."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"source": "/path/to/my-plugin"}})

    source: str = Field(min_length=1, max_length=4096, description="Absolute path of the plugin's folder.")
    upgrade: bool = Field(False, strict=True, description="Replace an installed plugin of the same id.")
    dependencies: bool = Field(True, strict=True, description="Prepare requirements.txt and package.json.")


class ManifestAnswer(BaseModel):
    """The plugin's ``manifest.json``."""

    id: str
    name: Text
    version: str
    description: Text
    author: Text
    homepage: Text
    type: str
    entry_point: Text = Field(description="Relative to the plugin's folder.")
    permissions: list[Text]
    config: Json

    @classmethod
    def of(cls, manifest: Manifest) -> ManifestAnswer:
        """Return the answer for *manifest*."""
        return cls(
            id=manifest.id,
            name=manifest.name,
            version=manifest.version,
            description=manifest.description,
            author=manifest.author,
            homepage=manifest.homepage,
            type=manifest.type,
            entry_point=str(manifest.entry_point.relative_to(manifest.folder)),
            permissions=list(manifest.permissions),
            config=dict(manifest.config),
        )


class ActionAnswer(BaseModel):
    """An action that steps may name."""

    id: Text
    name: Text
    description: Text
    input_schema: Json | None = Field(alias="schema", description="JSON Schema of the step's config.")

    @classmethod
    def declared(cls, action: DeclaredAction) -> ActionAnswer:
        """Return the answer for an action of a plugin."""
        schema = None if action.schema is None else dict(action.schema)
        return cls(id=action.id, name=action.name, description=action.description, schema=schema)

    @classmethod
    def built_in(cls, action: Action) -> ActionAnswer:
        """Return the answer for an action of this package."""
        schema = None if action.schema is None else dict(action.schema)
        return cls(id=action.name, name=action.name, description=action.summary, schema=schema)


class PluginAnswer(BaseModel):
    """An installed plugin."""

    manifest: ManifestAnswer
    path: Text = Field(description="The plugin's folder.")
    enabled: bool = Field(description="Whether flows may use it.")
    loaded: bool = Field(description="Whether its process runs now, here.")
    starting: bool = Field(description="Whether its process is being started.")
    actions: list[ActionAnswer] | None = Field(description="What its last /info listed; null while nobody knows.")
    error: Text | None = Field(description="Why its process does not run, though it should.")
    hint: Text | None = Field(description="What to do about the error.")
    stderr: list[Text] = Field(description="The last lines that it wrote there before the error.")

    @classmethod
    def of(cls, plugin: ServedPlugin) -> PluginAnswer:
        """Return the answer for *plugin*."""
        installed, error = plugin.installed, plugin.error
        actions = None if installed.actions is None else [ActionAnswer.declared(each) for each in installed.actions]
        return cls(
            manifest=ManifestAnswer.of(installed.manifest),
            path=str(installed.manifest.folder),
            enabled=installed.enabled,
            loaded=plugin.loaded,
            starting=plugin.starting,
            actions=actions,
            error=error.message if error else None,
            hint=error.hint if error else None,
            stderr=list(error.stderr) if error else [],
        )


class BrokenAnswer(BaseModel):
    """A folder whose manifest cannot be used."""

    id: Text = Field(description="What the manifest gives as its id, else the folder's name.")
    error: Text
    hint: Text | None

    @classmethod
    def of(cls, error: PluginManifestError) -> BrokenAnswer:
        """Return the answer for *error*."""
        return cls(id=error.plugin_id, error=error.message, hint=error.hint)


class PluginsAnswer(BaseModel):
    """What is installed."""

    plugins: list[PluginAnswer]
    total: int
    broken: list[BrokenAnswer]
    ignored: list[Text] = Field(description="Folders with a manifest.json of another tool.")

    @classmethod
    def of(cls, listing: ServedListing) -> PluginsAnswer:
        """Return the answer for *listing*."""
        return cls(
            plugins=[PluginAnswer.of(each) for each in listing.plugins],
            total=len(listing.plugins),
            broken=[BrokenAnswer.of(each) for each in listing.broken],
            ignored=[str(each) for each in listing.ignored],
        )


class DiscoveredAnswer(PluginsAnswer):
    """What a rescan found."""

    discovered: int


class IntegrationAnswer(BaseModel):
    """A built-in integration."""

    id: str
    name: str
    actions: list[ActionAnswer]

    @classmethod
    def of(cls, integration: NativeIntegration) -> IntegrationAnswer:
        """Return the answer for *integration*."""
        actions = [ActionAnswer.built_in(each) for each in integration.actions]
        return cls(id=integration.id, name=integration.name, actions=actions)


class NativeAnswer(BaseModel):
    """What flows can use without any plugin."""

    plugins: list[str] = Field(description="The ids of the integrations.")
    total: int
    integrations: list[IntegrationAnswer]
    actions: list[ActionAnswer] = Field(description="Built-in actions of no integration.")


class TypeAnswer(BaseModel):
    """A kind of plugin."""

    type: str
    description: str


class TypesAnswer(BaseModel):
    """The kinds of plugins."""

    types: list[TypeAnswer]
