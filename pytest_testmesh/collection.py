"""Flows as pytest nodes: one file node for each flow file, one item for each flow."""

from __future__ import annotations

import difflib
import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pytest_testmesh._compat import FixtureItem
from pytest_testmesh.actions import Action, ActionRegistry, Resources
from pytest_testmesh.attempts import check_config, located
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import (
    ActionConfigError,
    FlowError,
    FlowSchemaError,
    MeshError,
    UndefinedNameError,
    UnknownActionError,
)
from pytest_testmesh.loader import load_flow
from pytest_testmesh.model import Flow, Step
from pytest_testmesh.reporting import ItemReporter
from pytest_testmesh.runner import FlowRun
from pytest_testmesh.scope import Scope
from pytest_testmesh.values import from_text

_REGISTRIES = pytest.StashKey[dict[Path, ActionRegistry]]()
_RESOURCES = pytest.StashKey[Resources]()
_EXTERNAL = pytest.StashKey[Any]()


def flow_file(path: Path, parent: pytest.Collector, data: bytes) -> FlowFile | None:
    """Return the node of a flow file, or None when its YAML turns out to be another tool's."""
    shown = os.path.relpath(path, parent.config.rootpath)
    error: FlowError | None = None
    try:
        flow = load_flow(data, shown)
    except FlowError as exc:
        flow, error = None, exc
    if flow is None and error is None:
        return None
    node: FlowFile = FlowFile.from_parent(parent, path=path, flow=flow, error=error)
    return node


class FlowFile(pytest.Module):
    """The node of one flow file.

    It is a Module without a Python object, as core's own text doctests are: module-scoped fixtures, also a
    user's autouse ones, need a node of that kind above the item.
    """

    obj = None

    def __init__(self, *, flow: Flow | None = None, error: MeshError | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._flow = flow
        self._error = error

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        if self._flow is None:
            yield self._broken(self.path.stem, self._error)
            return
        try:
            yield self._item(self._flow)
        except MeshError as exc:
            yield self._broken(self.path.stem, exc)

    def _item(self, flow: Flow) -> FlowItem:
        register_tags(self.config, flow)
        # pytest 9.2 compares structured ids; only an explicit one keeps --lf and --sw right for names with brackets
        # (pytest #15045).
        nodeid = f"{self.nodeid}::{flow.name}"
        item: FlowItem = FlowItem.from_parent(self, name=flow.name, nodeid=nodeid, flow=flow)
        check_constant_configs(flow, registry_for(item))
        return item

    def _broken(self, name: str, error: MeshError | None) -> BrokenFlowItem:
        broken: BrokenFlowItem = BrokenFlowItem.from_parent(
            self, name=name, nodeid=f"{self.nodeid}::{name}", error=error
        )
        return broken


class FlowItem(FixtureItem):
    """One flow as a pytest item; all state of a run is made in `setup`, so that it can run again."""

    def __init__(self, *, flow: Flow, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.run: FlowRun | None = None
        self._interrupted = False
        self.reporter = ItemReporter(self)
        self.obj = self.function = _documented(flow.description)
        self._add_marks()
        self.extra_keyword_matches.update(_keywords(flow))
        self.prepare_fixtures()
        check_fixtures(self)

    def _add_marks(self) -> None:
        for tag in self.flow.tags:
            self.add_marker(getattr(pytest.mark, tag))
        if self.flow.marks:
            scope = _scope(self)
            for mark in self.flow.marks:
                self.add_marker(_marker(mark, scope))
        if self.flow.fixtures:
            self.add_marker(pytest.mark.usefixtures(*self.flow.fixtures))

    def setup(self) -> None:
        self.reporter = ItemReporter(self)
        self.reporter.forget()
        self._interrupted = False
        self.fill_fixtures()
        if self.config.getoption("setuponly"):
            return
        with self._boundary():
            self.run = self.reporter.run = start_run(self)
            self.addfinalizer(self._run_teardown)
            self.run.run_setup()

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
        return self.path, self.flow.location.line - 1, _domain(self.name)


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


def check_fixtures(item: FlowItem) -> None:
    """Check that the fixtures the flow asks for exist for its folder.

    Raises:
        FlowSchemaError: One does not; names near matches.
    """
    for fixture in item.flow.fixtures:
        if not item.has_fixture(fixture):
            near = difflib.get_close_matches(fixture, sorted(item.fixture_names()), n=3)
            raise FlowSchemaError(
                f"fixture {fixture} is not found",
                hint=f"did you mean {' or '.join(near)}?" if near else "pytest --fixtures lists what there is",
                location=item.flow.location,
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
        decorator = getattr(pytest.mark, mark.name)
    except pytest.fail.Exception as exc:  # --strict-markers
        raise FlowSchemaError(f"mark {mark.name}: {exc.msg}", location=mark.location) from None
    if mark.condition is None:
        return decorator(*mark.args, **mark.kwargs) if mark.args or mark.kwargs else decorator  # type: ignore[no-any-return]
    with located(mark.location):
        holds = mark.condition.test(scope)
    return decorator(holds, *mark.args, **mark.kwargs)  # type: ignore[no-any-return]


def check_constant_configs(flow: Flow, registry: ActionRegistry) -> None:
    """Check the configs that hold no placeholders, once, against the schemas of actions that are known already.

    Raises:
        FlowError: A config does not fit its action.
    """
    for step in flow.all_steps():
        action = registry.known(step.action) if step.config.constant else None
        if action is not None:
            try:
                check_config(step, action, step.config.value)
            except ActionConfigError as exc:
                raise FlowSchemaError(f"step {step.id}: {exc.message}", hint=exc.hint, location=exc.location) from None


def registry_for(node: pytest.Item) -> ActionRegistry:
    """Return the actions of the node's folder, asked for once through its own hooks."""
    registries = node.config.stash.setdefault(_REGISTRIES, {})
    folder = node.path.parent
    if folder not in registries:
        registry = ActionRegistry()
        node.ihook.pytest_testmesh_actions(registry=registry)
        registries[folder] = registry
    return registries[folder]


def session_resources(config: pytest.Config) -> Resources:
    """Return what lives as long as the pytest process: connection pools."""
    return config.stash.setdefault(_RESOURCES, Resources())


def external_plugins(config: pytest.Config) -> Any:
    """Return the external plugins of this pytest process; nothing is started by asking."""
    if _EXTERNAL not in config.stash:
        from pytest_testmesh.external.pool import ExternalPlugins

        cache = getattr(config, "cache", None)  # absent under -p no:cacheprovider
        cache_path = cache.mkdir("testmesh") / "plugins.json" if cache is not None else None
        config.stash[_EXTERNAL] = ExternalPlugins(plugins_dir(config), cache_path=cache_path)
    return config.stash[_EXTERNAL]


def plugins_dir(config: pytest.Config) -> Path:
    """Return the folder of external plugins: option, ``PLUGINS_DIR``, ini, ``plugins/`` under rootdir."""
    option = config.getoption("testmesh_plugins_dir") or os.environ.get("PLUGINS_DIR")
    if option:
        return Path(config.invocation_params.dir, option)
    return config.rootpath / (config.getini("testmesh_plugins_dir") or "plugins")


def selected_action_names(session: pytest.Session) -> set[str]:
    """Return the action names of the selected flows that no in-process provider offers."""
    return {
        step.action
        for item in session.items
        if isinstance(item, FlowItem)
        for step in item.flow.all_steps()
        if registry_for(item).known(step.action) is None
    }


def start_run(item: FlowItem) -> FlowRun:
    """Make the state of one run: scope, env, actions.

    Raises:
        MeshError: An action is unknown, a plugin does not start, or an env value cannot be computed.
    """
    execution_id = str(uuid.uuid4())
    scope = _scope(item, execution_id)
    for entry in item.flow.env:
        with located(entry.location):
            scope.define_env(entry.name, entry.value.fill(scope), f"env, line {entry.location.line}")
    return FlowRun(
        item.flow,
        scope=scope,
        actions=_resolve_actions(item),
        hook=item.ihook,
        session=session_resources(item.config),
        flow_dir=item.path.parent,
        flow_id=scope.builtins.constants["FLOW_ID"],
        execution_id=execution_id,
    )


def _scope(item: FlowItem, execution_id: str = "") -> Scope:
    flow = item.flow
    constants = {
        "FLOW_ID": str(uuid.uuid5(uuid.NAMESPACE_URL, flow.location.path)),
        "FLOW_NAME": flow.name,
        "EXECUTION_ID": execution_id,
        "FLOW_STATUS": "running",
        "STEP_ID": "",
    }
    steps = flow.all_steps()
    return Scope(
        options=command_line_variables(item.config),
        builtins=BuiltinValues(constants, faker=flow.faker, fixtures=partial(_fixture, item)),
        step_ids=[step.id for step in steps],
        output_steps={output.name: step.id for step in steps for output in step.outputs},
    )


def _fixture(item: FlowItem, name: str) -> Any:
    if name not in item.fixturenames:
        near = difflib.get_close_matches(name, item.fixturenames, n=1)
        raise UndefinedNameError(
            f"fixtures.{name}: the flow does not ask for this fixture",
            hint=f"did you mean fixtures.{near[0]}?" if near else f"add it: fixtures: [{name}]",
        )
    return item.fixture_value(name)


def command_line_variables(config: pytest.Config) -> Mapping[str, Any]:
    """Return the variables given as ``--testmesh-var NAME=VALUE``."""
    found = {}
    for text in config.getoption("testmesh_var") or ():
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise pytest.UsageError(f"--testmesh-var {text!r}: write NAME=VALUE, NAME as in a flow's env")
        found[name] = from_text(value)
    return found


def _resolve_actions(item: FlowItem) -> dict[str, Action]:
    registry = registry_for(item)
    steps = {step.action: step for step in reversed(item.flow.all_steps())}
    if any(registry.known(name) is None for name in steps) and plugins_dir(item.config).is_dir():
        item.fixture_value("testmesh_plugins")  # owns the processes that the look-up below may start
    return {name: _resolve_action(registry, step) for name, step in steps.items()}


def _resolve_action(registry: ActionRegistry, step: Step) -> Action:
    try:
        return registry.find(step.action)
    except UnknownActionError as exc:
        exc.location = step.action_location
        raise
    except MeshError as exc:
        exc.location = step.action_location  # type: ignore[attr-defined]
        raise


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """End the session on SIGTERM as Ctrl-C does, so that teardown runs; the handler that was there is put back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is _interrupt:  # a fixture of the user's may have set its own
            signal.signal(signal.SIGTERM, before)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt("SIGTERM")
