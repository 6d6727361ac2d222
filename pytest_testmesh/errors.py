"""Every error this package raises on purpose, one tree.

::

    MeshError                         .hint: what to do next
      FlowError                       .location: the flow file is wrong -> one failing item
        FlowSyntaxError               not YAML
        FlowSchemaError               YAML, but not a flow: unknown key, wrong type, bad duration
        ExpressionSyntaxError         text that is no expression or template; .offset into the text
        UnknownActionError            nobody offers the action; names near matches
      StepError                       .step .phase .location: a step did not do its job -> failure
        StepAssertionError            an assertion was false; carries the values of its parts
        ExpressionError               undefined name, missing path or wrong types at run time
          MissingPathError            a key that is not there was used; it may come later
          UndefinedNameError          no variable of that name; a retry cannot help
            StepNotCompletedError     the name belongs to a step that was skipped, failed or not run yet
        ActionError                   .code .details: the action itself failed
          ActionConfigError           the step's config is wrong; a retry cannot help
          ActionTimeoutError          the time was up
          TargetUnavailableError      the system under test could not be reached
          TargetError                 the system under test answered with an error
      ExternalPluginError             .plugin_id
        PluginManifestError           .folder: manifest.json is wrong
        PluginStartError              the process did not become healthy
        PluginGoneError               the process ended before a call reached it
        PluginProtocolError           an answer is not in the shape of the protocol
      RegistryError                   an operation on the plugins folder is refused; nothing was changed
        PluginNotFoundError           no plugin of that id
        PluginExistsError             the id is taken
        PluginRefusedError            what is to be installed cannot be used
      MissingDependencyError          an extra is not installed; also an ImportError

The branch says who must act: the flow's author, the system under test, the plugin's author, the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_testmesh.model import Location
    from pytest_testmesh.records import FailedAssertion


class MeshError(Exception):
    """Base of all errors of this package."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class FlowError(MeshError):
    """The flow file is wrong; found at collection or before its first step."""

    def __init__(self, message: str, *, hint: str | None = None, location: Location | None = None) -> None:
        super().__init__(message, hint=hint)
        self.location = location


class FlowSyntaxError(FlowError):
    """The file is not YAML."""


class FlowSchemaError(FlowError):
    """The file is YAML but not a flow."""


class ExpressionSyntaxError(FlowError):
    """A text is not an expression or a template.

    *offset* counts characters into that text, *path* is the place of the text in a tree of values.
    """

    def __init__(
        self, message: str, *, offset: int = 0, path: tuple[str | int, ...] = (), hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.offset = offset
        self.path = path


class UnknownActionError(FlowError):
    """No provider offers an action of this name."""


class StepError(MeshError):
    """A step failed; the runner fills in *step*, *phase* and *location*.

    *path* leads to the part of the step's ``config`` that it is about, where it is about one: ``("assert", 2)``.
    """

    code = "STEP_FAILED"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.step: str | None = None
        self.phase: str | None = None
        self.location: Location | None = None
        self.path: tuple[str | int, ...] = ()


class StepAssertionError(StepError, AssertionError):
    """At least one assertion was false, of *total*: *failed* ones of the step, or *problems* told by the action."""

    code = "ASSERTION_FAILED"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        failed: tuple[FailedAssertion, ...] = (),
        problems: tuple[str, ...] = (),
        total: int = 0,
    ) -> None:
        super().__init__(message, hint=hint)
        self.failed = failed
        self.problems = problems
        self.total = total


class ExpressionError(StepError):
    """An expression could not be evaluated."""

    code = "EXPRESSION_ERROR"


class MissingPathError(ExpressionError):
    """An operator was given a key that is not there; a later attempt may find it."""

    code = "MISSING_PATH"


class UndefinedNameError(ExpressionError):
    """A name is not defined; repeating the step cannot help."""

    code = "UNDEFINED_NAME"


class StepNotCompletedError(UndefinedNameError):
    """A name belongs to a step that was skipped, failed or has not run yet."""

    code = "STEP_NOT_COMPLETED"


class ActionError(StepError):
    """An action did not succeed.

    *code* is what ``${error.code}`` and ``retry_on`` see; *details* is JSON for the report.
    """

    code = "ACTION_FAILED"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        if code is not None:
            self.code = code
        self.details = dict(details or {})


class ActionConfigError(ActionError):
    """The step's ``config`` does not fit the action."""

    code = "CONFIG_ERROR"


class ActionTimeoutError(ActionError):
    """The action, the step or the flow ran out of time."""

    code = "TIMEOUT"


class TargetUnavailableError(ActionError):
    """No connection to the system under test."""

    code = "CONNECTION_ERROR"


class TargetError(ActionError):
    """The system under test answered with an error."""

    code = "TARGET_ERROR"


class ExternalPluginError(MeshError):
    """An external plugin, not the system under test, is at fault; *stderr* are its last lines there."""

    code = "PLUGIN_ERROR"

    def __init__(self, message: str, *, plugin_id: str, hint: str | None = None, stderr: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.plugin_id = plugin_id
        self.stderr = stderr


class PluginManifestError(ExternalPluginError):
    """The plugin's ``manifest.json`` cannot be used; *folder* is where it lies, unless that is not known."""

    def __init__(
        self,
        message: str,
        *,
        plugin_id: str,
        hint: str | None = None,
        stderr: tuple[str, ...] = (),
        folder: Path | None = None,
    ) -> None:
        super().__init__(message, plugin_id=plugin_id, hint=hint, stderr=stderr)
        self.folder = folder


class PluginStartError(ExternalPluginError):
    """The plugin's process did not become healthy."""


class PluginGoneError(ExternalPluginError):
    """The plugin's process ended before anything of a call was sent to it: the call can be made again."""


class PluginProtocolError(ExternalPluginError):
    """The plugin answered, but not as the protocol says."""


class RegistryError(MeshError):
    """An operation on the plugins folder is refused; nothing was changed."""


class PluginNotFoundError(RegistryError):
    """No plugin of that id is installed."""


class PluginExistsError(RegistryError):
    """The id, or the folder of that name, is taken."""


class PluginRefusedError(RegistryError):
    """What is to be installed cannot be used: not a plugin, not complete, or not safe to copy."""


class MissingDependencyError(MeshError, ImportError):
    """A library that an extra brings is not installed."""
