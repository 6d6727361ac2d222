"""The variables of one run of a flow, in their one documented order, each with where it came from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import ExpressionError, MissingPathError, StepNotCompletedError, UndefinedNameError
from pytest_testmesh.values import from_text, near_matches


class NotCompleted:
    """Stands for the result of a step that has none, with the reason: ``"was skipped"``."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Scope:
    """Finds names, first hit wins: earlier steps, ``--testmesh-var``, ``env``, built-ins, process environment.

    A step's id is bound to its result overlaid with its explicit outputs. This object is also the *names* that
    ``${...}`` placeholders see; assertions see it through `ResultNames`.
    """

    def __init__(
        self,
        *,
        options: Mapping[str, Any] | None = None,
        builtins: BuiltinValues,
        step_ids: Iterable[str] = (),
        output_steps: Mapping[str, str] | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.builtins = builtins
        self._environ = environ
        self._options = frozenset(options or ())
        self._steps: dict[str, Any] = {step_id: NotCompleted("has not run yet") for step_id in step_ids}
        self._hyphenated_ids = frozenset(step_id for step_id in self._steps if "-" in step_id)
        self._output_steps = output_steps or {}
        self._defined: dict[str, Any] = dict(options or {})
        self._origins = dict.fromkeys(self._defined, "--testmesh-var")
        self._temporary: dict[str, Any] = {}

    @property
    def placeholders(self) -> Scope:
        """The names that placeholders see: this scope itself."""
        return self

    def root(self) -> Any:
        """Refuse ``$.path``: outside assertions and outputs there is no result to search."""
        raise ExpressionError("$ is a step's result, and there is none here", hint="name the step: ${create.body.id}")

    def lookup(self, name: str) -> Any:
        """Return the value of *name*.

        Raises:
            StepNotCompletedError: It is a step, or an output of one, that was skipped, failed or not run yet.
            UndefinedNameError: Nobody defined it; the hint lists near matches.
        """
        try:
            return self.author_value(name)
        except KeyError:
            pass
        if name in self.builtins:
            return self.builtins.lookup(name)
        if name in self._environ:
            return from_text(self._environ[name])
        raise self.undefined(name)

    def author_value(self, name: str) -> Any:
        """Return what the author or a step defined; built-ins and the process environment do not count.

        Raises:
            KeyError: No such name.
            StepNotCompletedError: As for `lookup`.
        """
        if name in self._temporary:
            return self._temporary[name]
        if name in self._steps:
            value = self._steps[name]
            if isinstance(value, NotCompleted):
                raise StepNotCompletedError(f"step {name} {value.reason}")
            return value
        return self._defined[name]

    def undefined(self, name: str, others: Iterable[str] = ()) -> UndefinedNameError:
        """Return the error for a name that nobody defined; *others* are further names to suggest."""
        step = self._output_steps.get(name)
        if step is not None and isinstance(self._steps.get(step), NotCompleted):
            return StepNotCompletedError(f"{name} is an output of step {step}, which {self._steps[step].reason}")
        known = {*self._steps, *self._defined, *self._temporary, *self.builtins.names(), *others}
        near = near_matches(name, sorted(known))
        defined = ", ".join(sorted({*self._defined, *self._temporary, *others})[:12])
        hint = f"defined here: {defined}"
        if near:
            hint = f"did you mean {' or '.join(near)}?"
        elif not defined:
            hint = f"set it in env, by --testmesh-var {name}=..., or in the environment"
        return UndefinedNameError(f"{name} is not defined", hint=hint)

    def define_env(self, name: str, value: Any, origin: str) -> None:
        """Define a name of the flow's ``env``; an option of that name wins."""
        if name not in self._options:
            self._defined[name] = value
            self._origins[name] = origin

    def complete_step(self, step_id: str, result: Mapping[str, Any], outputs: Mapping[str, Any], line: int) -> None:
        """Bind the step's id to its result and define its outputs as names of their own."""
        self._steps[step_id] = {**result, **outputs} if outputs else result
        for name, value in outputs.items():
            self._defined[name] = value
            self._origins[name] = f"step {step_id}, line {line}"

    def drop_step(self, step_id: str, reason: str) -> None:
        """Say why the step has no result: references to it become errors with this *reason*."""
        self._steps[step_id] = NotCompleted(reason)

    def result(self, step_id: str) -> Any:
        """Return the result of a step that completed, else None."""
        value = self._steps.get(step_id)
        return None if isinstance(value, NotCompleted) else value

    def bind(self, name: str, value: Any) -> None:
        """Define a name that wins over all others until `unbind`: ``error`` in error steps."""
        self._temporary[name] = value

    def unbind(self, name: str) -> None:
        """Undo `bind`."""
        self._temporary.pop(name, None)

    def hyphenated_ids(self) -> frozenset[str]:
        """The step ids that hold ``-``, which expressions must know to read each as one name."""
        return self._hyphenated_ids

    def origin(self, name: str) -> str:
        """Say where the value of *name* comes from: ``"step create, line 14"``, ``"env, line 6"``."""
        if name in self._temporary:
            return "the failed step" if name == "error" else "this run"
        if name in self._steps:
            return f"step {name}"
        if name in self._origins:
            return self._origins[name]
        return "built-in" if name in self.builtins else "process environment"

    def variables(self) -> dict[str, Any]:
        """The flow's own variables; never the process environment."""
        return {**self._defined, **self._temporary}

    def step_outputs(self) -> dict[str, Any]:
        """The results of the steps that completed, by step id."""
        return {name: value for name, value in self._steps.items() if not isinstance(value, NotCompleted)}


class ResultNames:
    """What an assertion sees: the keys of its step's result first, then the variables that the author defined.

    *complete* says that the result always has the same keys, so that no later attempt will bring another.
    """

    __slots__ = ("_complete", "_result", "_scope")

    def __init__(self, result: Mapping[str, Any], scope: Scope, *, complete: bool = False) -> None:
        self._complete = complete
        self._result = result
        self._scope = scope

    @property
    def placeholders(self) -> Scope:
        """Inside ``${}`` a name is always a variable, so that nothing is compared with itself."""
        return self._scope

    def root(self) -> Any:
        """The step's result, which ``$.path`` searches."""
        return self._result

    def lookup(self, name: str) -> Any:
        """Return the value of a bare name.

        Raises:
            MissingPathError: Neither the result nor the author has it; a later attempt may bring it. The process
                environment does not count.
            UndefinedNameError: As before, and no attempt can bring it.
            StepNotCompletedError: As for `Scope.lookup`.
        """
        if name in self._result:
            return self._result[name]
        if name in WHOLE_RESULT:
            return self._result
        try:
            return self._scope.author_value(name)
        except KeyError:
            undefined = self._scope.undefined(name, self._result)
        if self._complete or isinstance(undefined, StepNotCompletedError):
            raise undefined
        raise MissingPathError(undefined.message, hint=undefined.hint)


WHOLE_RESULT = frozenset({"response", "result", "flow"})
"""Names of a step's whole result, as flows written for the original use them."""
