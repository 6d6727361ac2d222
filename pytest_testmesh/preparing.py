"""What actions do before a flow's first step for steps that come later: record where a topic ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pytest_testmesh.actions import Action, ActionContext
from pytest_testmesh.attempts import AttemptRunner
from pytest_testmesh.errors import ActionConfigError, MeshError, TargetUnavailableError
from pytest_testmesh.model import Step


class Preparations:
    """The calls of ``Action.before`` for one run of a flow.

    *make_context* gives what the call of one step gets. A step whose config cannot be filled in yet is tried again
    whenever `run` is called; so is one whose target could not be reached, since a step may be what waits for it.
    """

    def __init__(
        self,
        steps: Iterable[Step],
        actions: Mapping[str, Action],
        attempts: AttemptRunner,
        make_context: Callable[[Step], ActionContext],
    ) -> None:
        self._actions = actions
        self._attempts = attempts
        self._make_context = make_context
        self._waiting = [step for step in steps if actions[step.action].before is not None and not step.disabled]
        self._errors: dict[str, MeshError] = {}

    def run(self) -> None:
        """Prepare every step that waits for it and can be prepared by now; never raises an error of a step."""
        self._waiting = [step for step in self._waiting if not self._is_done(step)]

    def take_error(self, step: Step) -> MeshError | None:
        """Return, once, what went wrong when *step* was prepared; it is not prepared any more."""
        if self._waiting:
            self._waiting = [each for each in self._waiting if each.id != step.id]
        return self._errors.pop(step.id, None)

    def _is_done(self, step: Step) -> bool:
        action = self._actions[step.action]
        assert action.before is not None
        self._errors.pop(step.id, None)
        try:
            config = self._attempts.fill(step, action)
        except ActionConfigError:
            return True  # the step itself tells it
        except MeshError:
            return False
        try:
            action.before(config, self._make_context(step))
        except MeshError as exc:
            self._errors[step.id] = exc
            return not isinstance(exc, TargetUnavailableError)
        return True
