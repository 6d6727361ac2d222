"""Calls that run at once, restarts and the end among them; processes and files that several pytest processes share."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

import psutil
import pytest

from pytest_testmesh.errors import ExternalPluginError
from pytest_testmesh.external.discovery import discover
from pytest_testmesh.external.info_cache import InfoCache

CALLERS = 8
MOST_KILLS = 30


@pytest.fixture
def at_once():
    """Call a function *count* times in threads; return the futures, all of them done."""

    def run(function: Callable[[int], object], count: int = CALLERS) -> list[Future]:
        with ThreadPoolExecutor(count) as executor:
            return list(as_completed([executor.submit(function, number) for number in range(count)], timeout=300))

    return run


def starts(folder: Path) -> int:
    """Return how many processes of a plugin wrote themselves down."""
    return len((folder / "processes").read_text(encoding="utf-8").splitlines())


def test_calls_to_a_plugin_with_threads_really_run_at_once(add_plugin, make_pool, at_once):
    add_plugin("meets")
    pool = make_pool()

    done = at_once(lambda _: pool.call("meets.run", {"calls": CALLERS}, timeout_s=120))

    assert [{"ok": True}] * CALLERS == [each.result() for each in done]


def test_no_call_waits_behind_an_idle_connection_of_ours(add_plugin, make_pool, at_once):
    folder = add_plugin("echoes")
    pool = make_pool()
    pool.call("echoes.run")  # its connection is kept, and the plugin serves no other until that one is closed

    def call(number):
        for _ in range(10):
            time.sleep(random.random() / 200)
            pool.call("echoes.run", timeout_s=120)
        return number

    assert list(range(CALLERS)) == sorted(each.result() for each in at_once(call))
    assert 1 == starts(folder)


def test_the_first_calls_at_once_start_one_process(add_plugin, make_pool, at_once):
    folder = add_plugin("echoes")
    pool = make_pool()

    pids = {each.result()["pid"] for each in at_once(lambda _: pool.call("echoes.run"))}

    assert (1, 1) == (len(pids), starts(folder))


def test_a_crash_under_many_calls_fails_only_those_that_were_under_way(add_plugin, make_pool, at_once):
    folder = add_plugin("dies-when-told")
    pool = make_pool()
    outcomes = []

    def call(number):
        for turn in range(20):
            die = number == 0 and turn == 5
            try:
                pool.call("dies-when-told.run", {"die": die}, timeout_s=120)
                outcomes.append("passed")
            except ExternalPluginError as exc:
                outcomes.append(exc.message)

    at_once(call)

    failures = [outcome for outcome in outcomes if outcome != "passed"]
    died = "plugin dies-when-told exited with code 7 while it ran dies-when-told.run"
    assert 2 == starts(folder)
    assert {died} == {failure.removesuffix(": ValueError: out of luck") for failure in failures}
    assert len(failures) <= CALLERS
    assert 20 * CALLERS == len(outcomes)


def test_a_plugin_that_is_killed_again_and_again_runs_no_call_twice(add_plugin, make_pool, at_once, processes):
    folder = add_plugin("writes-down")
    pool = make_pool()
    over = threading.Event()

    def kill():
        """Kill the plugin at a random moment, each time after it has served a call or more."""
        for _ in range(MOST_KILLS):
            if wait_for_growth(folder / "calls", over):
                time.sleep(random.random() / 50)
                processes.kill()

    def call(number):
        outcomes = {}
        for turn in range(50):
            name = f"{number}.{turn}"
            try:
                pool.call("writes-down.run", {"name": name}, timeout_s=120)
                outcomes[name] = "passed"
            except ExternalPluginError as exc:
                outcomes[name] = exc.message
        return outcomes

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        outcomes = {name: outcome for each in at_once(call, count=4) for name, outcome in each.result().items()}
    finally:
        over.set()
        killer.join()

    served = (folder / "calls").read_text(encoding="utf-8").split()
    assert len(set(served)) == len(served)
    assert {name for name, outcome in outcomes.items() if outcome == "passed"} <= set(served)
    killed = "plugin writes-down was killed by SIGKILL while it ran writes-down.run"
    assert {"passed"} == set(outcomes.values()) - {killed}  # by chance no call is struck while it runs
    assert starts(folder) > 3


def wait_for_growth(path: Path, over: threading.Event) -> bool:
    """Return True when the file has grown, False when all is over."""

    def size() -> int:
        return path.stat().st_size if path.exists() else 0

    before = size()
    while size() == before:
        if over.wait(0.005):
            return False
    return True


@pytest.mark.parametrize("behaviour", ["hangs", "hangs-in-threads"])
def test_stop_ends_calls_that_are_under_way(add_plugin, make_pool, processes, behaviour, start):
    add_plugin(behaviour)
    pool = make_pool(shutdown_s=0.3)
    start(pool, [behaviour])
    with ThreadPoolExecutor(4) as executor:
        calls = [executor.submit(pool.call, f"{behaviour}.run", timeout_s=600) for _ in range(4)]
        connected_to(processes, 4)

        pool.stop()

        errors = [call.exception(timeout=60) for call in calls]
    assert [ExternalPluginError] * 4 == [type(error) for error in errors]
    assert [] == processes.left_over()


def connected_to(processes, count):
    """Return when *count* connections to the plugin stand, so that all calls are under way."""
    [plugin] = processes.running()
    until = time.monotonic() + 60
    port = int(plugin.environ()["PLUGIN_PORT"])
    while (
        len([each for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr.port == port])
        < count
    ):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_each_xdist_worker_has_one_set_of_processes(pytester, add_plugin, plugins_dir, processes):
    pytest.importorskip("xdist")
    folder = add_plugin("echoes")
    pytester.makepyfile(
        """
        import os, pathlib, time
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_call(testmesh_plugins, number):
            pid = testmesh_plugins.call("echoes.run")["pid"]
            with open("calls", "a") as file:
                file.write(f"{os.environ['PYTEST_XDIST_WORKER']} {pid}\\n")
            while number < 2 and len(set(pathlib.Path("calls").read_text().split()[::2])) < 2:
                time.sleep(0.02)  # until the other worker has made a call, too
        """
    )

    run = pytester.runpytest_subprocess(
        "-n2", "-p", "no:randomly", f"--testmesh-plugins-dir={plugins_dir}", timeout=120
    )

    run.assert_outcomes(passed=8)
    calls = [line.split() for line in (pytester.path / "calls").read_text().splitlines()]
    by_worker = {worker: {pid for name, pid in calls if name == worker} for worker, _ in calls}
    assert ["gw0", "gw1"] == sorted(by_worker)
    assert [1, 1] == [len(pids) for pids in by_worker.values()]
    assert 2 == starts(folder)


STORE = """
import sys
from pathlib import Path

from pytest_testmesh.external import info_cache
from pytest_testmesh.external.discovery import discover
from pytest_testmesh.external.info_cache import InfoCache
from pytest_testmesh.external.protocol import DeclaredAction

info_cache._LOCK_WAIT_S = 600  # to lose a write to a slow machine would be right
plugins_dir, path, worker = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
manifests = [each for each in discover(plugins_dir).manifests if each.id.startswith(f"w{worker}-")]
for turn in range(10):
    for manifest in manifests:
        action = DeclaredAction(id=f"{manifest.id}.turn", description=str(turn), schema={"title": "x" * 1000})
        InfoCache(path).store(manifest, {action.id: action})
"""


def test_the_info_cache_of_many_processes_is_never_torn_and_loses_nothing(add_plugin, plugins_dir, tmp_path):
    path = tmp_path / "cache" / "plugins.json"
    for worker in range(4):
        for number in range(5):
            add_plugin(f"w{worker}-{number}", code="")
    command = [sys.executable, "-c", STORE, str(plugins_dir), str(path)]
    writers = [subprocess.Popen([*command, str(worker)]) for worker in range(4)]
    seen: set[str] = set()

    while any(writer.poll() is None for writer in writers):
        if path.exists():
            now = set(json.loads(path.read_text(encoding="utf-8"))["plugins"])
            assert seen <= now
            seen = now

    assert [0] * 4 == [writer.returncode for writer in writers]
    cache = InfoCache(path)
    told = [cache.actions(each) for each in discover(plugins_dir).manifests]
    assert ["9"] * 20 == [action.description for actions in told for action in actions.values()]
