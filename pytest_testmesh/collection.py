"""Flows as pytest nodes: one file node for each flow file, one item for each flow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pytest_testmesh._compat import FixtureItem
from pytest_testmesh.actions import Action, ActionRegistry
from pytest_testmesh.attempts import check_config, check_keys, expressions_as_written, located
from pytest_testmesh.errors import ActionConfigError, FlowError, FlowSchemaError, MeshError
from pytest_testmesh.loader import claims_to_be_flow, load_flow
from pytest_testmesh.model import Flow, Step
from pytest_testmesh.reporting import ItemReporter
from pytest_testmesh.runner import FlowRun
from pytest_testmesh.scope import Scope
from pytest_testmesh.session import keep, registry_for, shown_path
from pytest_testmesh.starting import make_scope, start_run
from pytest_testmesh.units import parse_duration
from pytest_testmesh.values import near_matches


def flow_file(path: Path, parent: pytest.Collector, data: bytes) -> FlowFile | None:
    """Return the node of a flow file, or None when its YAML turns out to be another tool's.

    A file that is surely meant as a flow is read when its node is collected: pytest makes the nodes of a folder all
    at once, and compiled flows that wait in memory cost the garbage collector more than anything else here.
    """
    if not claims_to_be_flow(data) and _load(data, shown_path(path, parent.config)) is None:
        return None
    node: FlowFile = FlowFile.from_parent(parent, path=path, data=data)
    return node


def _load(data: bytes, shown: str) -> Flow | FlowError | None:
    try:
        return load_flow(data, shown)
    except FlowError as exc:
        return exc


class FlowFile(pytest.Module):
    """The node of one flow file.

    It is a Module without a Python object, as core's own text doctests are: module-scoped fixtures, also a
    user's autouse ones, need a node of that kind above the item.
    """

    obj = None

    def __init__(self, *, data: bytes, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._data: bytes | None = data

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        data, self._data = self._data, None
        loaded = _load(self.path.read_bytes() if data is None else data, shown_path(self.path, self.config))
        if isinstance(loaded, Flow):
            try:
                yield self._item(loaded)
            except MeshError as exc:
                yield self._broken(exc)
        elif loaded is not None:
            yield self._broken(loaded)

    def _item(self, flow: Flow) -> FlowItem:
        register_tags(self.config, flow)
        # pytest 9.2 compares structured ids; only an explicit one keeps --lf and --sw right for names with brackets
        # (pytest #15045).
        nodeid = f"{self.nodeid}::{flow.name}"
        item: FlowItem = FlowItem.from_parent(self, name=flow.name, nodeid=nodeid, flow=flow)
        return item

    def _broken(self, error: MeshError) -> BrokenFlowItem:
        name = self.path.stem
        broken: BrokenFlowItem = BrokenFlowItem.from_parent(
            self, name=name, nodeid=f"{self.nodeid}::{name}", error=error
        )
        return broken


class FlowItem(FixtureItem):
    """One flow as a pytest item; all state of a run is made in `setup`, so that it can run again.

    *foreign_actions* are the names of actions that no in-process provider offers.
    """

    def __init__(self, *, flow: Flow, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._kept_flow = keep(self.config, flow)
        self._line = flow.location.line
        registry = registry_for(self)
        check_constant_configs(flow, registry)
        self.foreign_actions = foreign_actions(flow, registry)
        self.run: FlowRun | None = None
        self._interrupted = False
        self.reporter = ItemReporter(self)
        self.obj = self.function = _documented(flow.description)
        self._add_marks(flow)
        self.extra_keyword_matches.update(_keywords(flow))
        self.prepare_fixtures()
        check_fixtures(self, flow)

    def _add_marks(self, flow: Flow) -> None:
        for tag in flow.tags:
            self.add_marker(getattr(pytest.mark, tag))
        if flow.marks:
            scope = make_scope(self, flow)
            for mark in flow.marks:
                self.add_marker(_marker(mark, scope))
        if flow.fixtures:
            self.add_marker(pytest.mark.usefixtures(*(name for name, _ in flow.fixtures)))

    def setup(self) -> None:
        self.reporter = ItemReporter(self)
        self.reporter.forget()
        self._interrupted = False
        self.fill_fixtures()
        if self.config.getoption("setuponly"):
            return
        with self._boundary():
            self.run = self.reporter.run = start_run(self, self._flow())
            self.addfinalizer(self._run_teardown)
            self.run.run_setup()

    def _flow(self) -> Flow:
        if self._kept_flow is not None:
            return self._kept_flow
        flow = load_flow(self.path.read_bytes(), shown_path(self.path, self.config))
        if flow is None:
            raise FlowSchemaError(f"{self.path.name} was a flow when it was collected, and is none any more")
        return flow

    def release(self) -> None:
        """Drop the state of a run that is reported: results can be large, and there are many items."""
        self.run = self.reporter.run = None

    def runtest(self) -> None:
        assert self.run is not None
        with self._boundary():
            self.run.run_steps()
        records = [record for record in self.run.records if record.phase == "steps" and record.parent is None]
        if all(record.outcome == "skipped" for record in records):
            pytest.skip(f"all steps were skipped: {records[0].id} {records[0].reason}")

    def _run_teardown(self) -> None:
        assert self.run is not None
        with self._boundary():
            failures = self.run.run_teardown()
            if self._interrupted:
                # The session is ending: pytest would show a raised error as an internal one of its own.
                self.reporter.tell_interrupted(failures)
            elif failures:
                raise failures[0].error

    @contextmanager
    def _boundary(self) -> Iterator[None]:
        """Let errors of flows leave without their frames: pytest would format them, values and all, for nothing."""
        try:
            yield
        except MeshError as exc:
            raise without_frames(exc) from exc.__cause__
        except (KeyboardInterrupt, pytest.exit.Exception):
            self._interrupted = True
            raise

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, MeshError):
            return self.reporter.failure_repr(excinfo)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self._line - 1, _domain(self.name)


class BrokenFlowItem(pytest.Item):
    """A flow file that cannot run; fails in setup with what is wrong, so that other flows still run."""

    def __init__(self, *, error: MeshError, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error = error
        self.reporter = ItemReporter(self)

    def setup(self) -> None:
        raise without_frames(self.error) from None

    def runtest(self) -> None:
        """Never reached: setup fails."""

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        return self.reporter.failure_repr(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        location = getattr(self.error, "location", None)
        return self.path, location.line - 1 if location else 0, _domain(self.name)


def without_frames(error: MeshError) -> MeshError:
    """Forget through which of our functions the error came; that is nothing to its reader."""
    error.__context__ = None
    return error.with_traceback(None)


def _domain(name: str) -> str:
    # IDE runners keep only what follows the last dot of this text.
    return name.replace(".", "_")


def _documented(description: str | None) -> Callable[[], None]:
    def flow() -> None:
        pass

    flow.__doc__ = description
    return flow


def _keywords(flow: Flow) -> Iterator[str]:
    for step in flow.all_steps():
        yield step.id
        if step.name:
            yield step.name
        yield from step.tags


def check_fixtures(item: FlowItem, flow: Flow) -> None:
    """Check that the fixtures the flow asks for exist for its folder.

    Raises:
        FlowSchemaError: One does not; names near matches.
    """
    asked = [(name, mark.location) for mark in flow.marks if mark.name == "usefixtures" for name in mark.args]
    for fixture, location in (*flow.fixtures, *asked):
        if item.has_parameters(fixture):
            raise FlowSchemaError(
                f"fixture {fixture} has params, which a flow cannot take",
                hint="request a fixture without params that wraps it",
                location=location,
            )
        if not item.has_fixture(fixture):
            near = near_matches(fixture, sorted(item.fixture_names()))
            raise FlowSchemaError(
                f"fixture {fixture} is not found",
                hint=f"did you mean {' or '.join(near)}?" if near else "pytest --fixtures lists what there is",
                location=location,
            )


def register_tags(config: pytest.Config, flow: Flow) -> None:
    """Make the flow's tags known marks, so that ``--strict-markers`` accepts them."""
    known = config.stash.setdefault(_TAGS, set())
    for tag in (*flow.tags, *(tag for step in flow.all_steps() for tag in step.tags)):
        if tag not in known:
            known.add(tag)
            config.addinivalue_line("markers", f"{tag}: a tag of flows")


_TAGS = pytest.StashKey[set[str]]()


def _marker(mark: Any, scope: Scope) -> pytest.MarkDecorator:
    try:
        with warnings.catch_warnings(record=True) as caught:
            decorator = getattr(pytest.mark, mark.name)
    except (pytest.fail.Exception, pytest.PytestUnknownMarkWarning) as exc:  # --strict-markers, -W error
        raise FlowSchemaError(f"mark {mark.name}: {exc}", location=mark.location) from None
    for each in caught:  # of a mark that nobody registered; it names our line
        warnings.warn_explicit(each.message, each.category, mark.location.path, mark.location.line)
    if mark.name in _READ_ARGUMENT:
        with located(mark.location):
            return decorator(*map(_READ_ARGUMENT[mark.name], mark.args), **mark.kwargs)  # type: ignore[no-any-return]
    if mark.condition is None:
        return decorator(*mark.args, **mark.kwargs) if mark.args or mark.kwargs else decorator  # type: ignore[no-any-return]
    with located(mark.location):
        holds = mark.condition.test(scope)
    return decorator(holds, *mark.args, **mark.kwargs)  # type: ignore[no-any-return]


def _warning_filter(text: Any) -> Any:
    action, _, category, *_ = [*str(text).split(":"), "", ""]
    module, _, name = category.strip().rpartition(".")
    try:
        known = not category or hasattr(import_module(module or "builtins"), name)
    except ImportError:
        known = False
    if not known or action not in {"default", "error", "ignore", "always", "module", "once"}:
        raise FlowSchemaError(f"{text!r} is not a warning filter", hint='write it as for Python: "ignore::UserWarning"')
    return text


_READ_ARGUMENT: dict[str, Callable[[Any], Any]] = {"timeout": parse_duration, "filterwarnings": _warning_filter}
"""Marks over whose arguments pytest ends the whole session, when they are wrong."""


def check_constant_configs(flow: Flow, registry: ActionRegistry) -> None:
    """Check the configs that hold no placeholders, once, against the schemas of actions that are known already.

    Raises:
        FlowError: A config does not fit its action.
    """
    for step in flow.all_steps():
        action = registry.known(step.action)
        if action is not None:
            try:
                _check_before_the_run(step, action)
            except ActionConfigError as exc:
                raise FlowSchemaError(f"step {step.id}: {exc.message}", hint=exc.hint, location=exc.location) from None


def _check_before_the_run(step: Step, action: Action) -> None:
    if step.config.constant:
        check_config(step, action, step.config.value)
        return
    check_keys(step, action)
    if action.check is not None and action.expressions:
        with located(step.location, step):
            action.check(expressions_as_written(step, action))


def foreign_actions(flow: Flow, registry: ActionRegistry) -> tuple[str, ...]:
    """Return the action names of a flow that no in-process provider offers."""
    return tuple(step.action for step in flow.all_steps() if registry.known(step.action) is None)


def selected_action_names(session: pytest.Session) -> set[str]:
    """Return the action names of the selected flows that no in-process provider offers."""
    return {name for item in session.items if isinstance(item, FlowItem) for name in item.foreign_actions}
