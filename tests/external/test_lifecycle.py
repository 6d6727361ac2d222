"""From the first start to the end of the session: environment, new starts, one connection, nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pytest_testmesh.errors import ActionTimeoutError, ExternalPluginError, PluginStartError
from pytest_testmesh.external.guard import environment_now
from pytest_testmesh.external.process import PluginProcess
from pytest_testmesh.polling import Deadline

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def pids(processes):
    return {process.pid for process in processes.running()}


def test_a_plugin_gets_port_id_and_its_folder(add_plugin, make_pool, processes):
    folder = add_plugin("echoes")

    output = make_pool().call("echoes.run")

    [process] = processes.running()
    assert (str(folder), "echoes") == (output["cwd"], output["id"])
    assert str(output["port"]) == process.environ()["PLUGIN_PORT"]
    assert process.pid == os.getpgid(process.pid) == os.getsid(process.pid)


def test_one_process_serves_all_calls(add_plugin, make_pool):
    add_plugin("echoes")
    pool = make_pool()

    assert 1 == len({pool.call("echoes.run")["pid"] for _ in range(3)})


def test_environment_proxies_never_apply(add_plugin, make_pool, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    add_plugin("behaves")

    assert {"ok": True} == make_pool().call("behaves.run")


def test_the_first_line_names_the_error_of_a_node_plugin_not_the_version_of_node(add_plugin, make_pool, need):
    need("node")
    add_plugin("unlucky", entry_point="server.js", code="throw new TypeError('no luck');")

    with pytest.raises(PluginStartError) as caught:
        make_pool().call("unlucky")

    assert "plugin unlucky exited with code 1 before it was healthy: TypeError: no luck" == caught.value.message


def test_a_python_plugin_runs_with_its_own_venv_if_it_has_one(add_plugin, make_pool):
    folder = add_plugin("echoes")
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\ntouch own-venv\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)

    make_pool().call("echoes.run")

    assert (folder / "own-venv").exists()


def test_an_entry_point_without_a_known_suffix_is_run_itself(add_plugin, make_pool):
    folder = add_plugin("behaves", entry_point="start", code="#!/bin/sh\nexec python-of-tests server.py\n")
    start = folder / "start"
    start.write_text(start.read_text().replace("python-of-tests", sys.executable))
    (folder / "server.py").write_text((HERE / "misbehaving.py").read_text())
    start.chmod(0o755)

    assert {"ok": True} == make_pool().call("behaves.run")


def test_an_entry_point_that_is_not_executable_is_told(add_plugin, make_pool):
    folder = add_plugin("tool", entry_point="tool", code="#!/bin/sh\n")

    with pytest.raises(PluginStartError, match=r"cannot be started: entry point .* is not executable") as got:
        make_pool().call("tool")

    assert f"run: chmod +x {folder / 'tool'}" == got.value.hint


@pytest.mark.parametrize(
    ("code", "reason"),
    [("#!/no/such/interpreter\n", "No such file or directory"), ("no program", "Exec format error")],
    ids=["missing interpreter", "no program"],
)
def test_an_entry_point_that_cannot_be_run_is_told(add_plugin, make_pool, code, reason):
    folder = add_plugin("tool", entry_point="tool", code=code)
    (folder / "tool").chmod(0o755)

    with pytest.raises(PluginStartError, match=f"plugin tool cannot be started: .*tool cannot be run: {reason}"):
        make_pool().call("tool")


@pytest.mark.parametrize(("entry_point", "tool"), [("server.js", "node"), ("server.sh", "bash")])
def test_a_missing_interpreter_is_told_by_name(add_plugin, make_pool, monkeypatch, entry_point, tool):
    add_plugin("tool", entry_point=entry_point, code="")
    monkeypatch.setenv("PATH", "/no/such/folder")

    with pytest.raises(PluginStartError, match=f"{tool} is not installed, and {entry_point} needs it"):
        make_pool().call("tool")


def test_a_crash_in_one_step_does_not_poison_the_next_and_is_told(add_plugin, make_pool, make_context):
    add_plugin("dies-once")
    action = make_pool().find("dies-once.run")
    with pytest.raises(ExternalPluginError, match="exited with code 7"):
        action.run({}, make_context())
    second, third = make_context(), make_context()

    assert {"ok": True} == action.run({}, second)
    assert {"ok": True} == action.run({}, third)

    assert ["plugin dies-once was started again: it exited with code 7"] == [log["message"] for log in second.logs]
    assert [] == third.logs


def test_a_plugin_killed_between_two_steps_is_started_again_and_it_is_told(
    add_plugin, make_pool, make_context, processes
):
    add_plugin("echoes")
    action = make_pool().find("echoes.run")
    first = action.run({}, make_context())["pid"]
    psutil.Process(first).kill()
    assert [] == processes.left_over()
    context = make_context()

    second = action.run({}, context)["pid"]

    assert {second} == pids(processes) != {first}
    assert ["plugin echoes was started again: it was killed by SIGKILL"] == [log["message"] for log in context.logs]


def test_after_a_time_out_the_process_is_killed_and_the_next_step_gets_a_new_one(
    add_plugin, make_pool, make_context, processes, start
):
    folder = add_plugin("hangs-until-cured")
    pool = make_pool()
    action = pool.find("hangs-until-cured.run")
    start(pool, ["hangs-until-cured.run"])
    with pytest.raises(ActionTimeoutError):
        action.run({}, make_context(Deadline.after(0.3, "step timeout 300ms")))
    assert [] == processes.left_over()
    (folder / "cured").touch()
    context = make_context()

    assert {"ok": True} == action.run({}, context)

    assert ["plugin hangs-until-cured was started again: it was killed while it still ran an earlier step"] == [
        log["message"] for log in context.logs
    ]


def test_a_new_start_that_fails_shows_only_what_that_start_printed(add_plugin, make_pool, processes):
    folder = add_plugin("behaves", code=SAYS + (HERE / "misbehaving.py").read_text())
    pool = make_pool()
    pool.call("behaves.run")
    (folder / "server.py").write_text("raise SystemExit('second')")
    processes.kill()
    assert [] == processes.left_over()

    with pytest.raises(PluginStartError) as caught:
        pool.call("behaves.run")

    assert "plugin behaves exited with code 1 before it was healthy: second" == caught.value.message


SAYS = "import sys; print('error of the first', file=sys.stderr)\n"


class Interrupt(BaseException):
    """Stands for Ctrl-C, and for the time-out of a test that is raised inside it."""


def test_an_interrupted_call_ends_the_process_so_that_teardown_finds_a_new_one(
    add_plugin, make_pool, make_context, processes
):
    folder = add_plugin("hangs-until-cured")
    pool = make_pool(execute_s=120)
    with interrupted_when((folder / "hangs").exists), pytest.raises(Interrupt):
        pool.call("hangs-until-cured.run")

    assert [] == processes.left_over()
    (folder / "cured").touch()
    assert {"ok": True} == pool.call("hangs-until-cured.run")


@contextmanager
def interrupted_when(holds):
    """Raise `Interrupt` in the main thread as soon as *holds*."""

    def interrupt(number, frame):
        raise Interrupt

    def strike():
        while not holds():
            if over.wait(0.01):
                return
        signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)

    over = threading.Event()
    before = signal.signal(signal.SIGALRM, interrupt)
    striker = threading.Thread(target=strike)
    striker.start()
    try:
        yield
    finally:
        over.set()
        striker.join()
        signal.signal(signal.SIGALRM, before)


def test_a_start_cut_short_by_a_step_does_not_count_as_broken(add_plugin, make_pool, make_context):
    waits = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    folder = add_plugin("behaves", code=waits + (HERE / "misbehaving.py").read_text())
    action = make_pool().find("behaves")

    with pytest.raises(PluginStartError, match=r"within step timeout 50ms"):
        action.run({}, make_context(Deadline.after(0.05, "step timeout 50ms")))
    (folder / "go").touch()

    assert {"ok": True} == action.run({}, make_context())


def test_a_connection_that_the_plugin_closed_while_idle_is_replaced(add_plugin, make_pool, processes):
    add_plugin("answers-then-closes")
    pool = make_pool()
    pids_seen = {pool.call("answers-then-closes.run")["pid"]}
    [plugin] = processes.running()
    wait_for_its_close(int(plugin.environ()["PLUGIN_PORT"]))

    pids_seen |= {pool.call("answers-then-closes.run")["pid"] for _ in range(300)}

    assert 1 == len(pids_seen)


def wait_for_its_close(port):
    """Return when the plugin's close has come in on the one connection to it."""
    until = time.monotonic() + 60
    while ["CLOSE_WAIT"] != [
        each.status for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr.port == port
    ]:
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_plugin_that_closes_every_connection_without_a_word_is_served_at_any_pace(add_plugin, make_pool):
    add_plugin("always-closes")
    pool = make_pool()

    assert 1 == len({pool.call("always-closes.run")["pid"] for _ in range(30)})


def test_a_post_that_may_have_been_processed_is_not_sent_twice(add_plugin, make_pool):
    folder = add_plugin("counts-then-drops")
    pool = make_pool()
    pool.call("counts-then-drops.run")

    with pytest.raises(ExternalPluginError, match="closed the connection without an answer"):
        pool.call("counts-then-drops.run")

    assert "xx" == (folder / "count").read_text()


def test_calls_at_once_do_not_lock_a_plugin_that_serves_one_kept_connection_at_a_time(add_plugin, make_pool):
    add_plugin("echoes")
    pool = make_pool()
    outputs = []

    def call():
        for _ in range(5):
            outputs.append(pool.call("echoes.run", timeout_s=60)["pid"])

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (20, 1) == (len(outputs), len(set(outputs)))


ENDINGS = ["behaves", "shutdown-drops", "ignores-shutdown", "shutdown-hangs", "leaves-children"]


@pytest.mark.parametrize("behaviour", ENDINGS)
def test_nothing_is_left_after_stop(add_plugin, make_pool, processes, behaviour):
    add_plugin(behaviour)
    pool = make_pool(shutdown_s=0.3)
    pool.call(f"{behaviour}.run")
    assert processes.running()

    pool.stop()
    pool.stop()

    assert [] == processes.left_over()


def test_a_plugin_that_waits_for_open_connections_before_it_ends_is_not_kept_waiting(add_plugin, make_pool):
    folder = add_plugin("waits-for-connections")
    pool = make_pool(shutdown_s=60)
    pool.call("waits-for-connections.run")

    pool.stop()

    assert (folder / "ended").exists()


def test_a_stopped_process_is_ended_too(add_plugin, make_pool, processes, start):
    add_plugin("behaves")
    pool = make_pool(shutdown_s=0.3)
    start(pool, ["behaves"])
    for process in processes.running():
        process.suspend()

    pool.stop()

    assert [] == processes.left_over()


def test_what_a_crashed_plugin_leaves_behind_is_killed_at_once(add_plugin, make_pool, processes):
    add_plugin("leaves-children-and-dies")
    pool = make_pool()

    with pytest.raises(ExternalPluginError, match="exited with code 1"):
        pool.call("leaves-children-and-dies.run")

    assert [] == processes.left_over()


def test_the_grace_is_given_to_all_at_once(add_plugin, make_pool, start):
    folders = [add_plugin(f"waits-for-all-{number}", code=WAITS_FOR_ALL) for number in range(3)]
    pool = make_pool(shutdown_s=60)
    start(pool, [folder.name for folder in folders])

    pool.stop()

    assert [True] * 3 == [(folder / "ended").exists() for folder in folders]


def test_a_plugin_without_shutdown_does_not_cost_the_grace(add_plugin, make_pool, processes, start):
    add_plugin("no-shutdown", code=IGNORES.replace("do_POST = do_GET", ""))
    pool = make_pool(shutdown_s=120)
    start(pool, ["no-shutdown"])
    began = time.monotonic()

    pool.stop()

    assert 60 > time.monotonic() - began
    assert [] == processes.left_over()


IGNORES = """
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "healthy", "id": "x"}')
    do_POST = do_GET
    def log_message(self, *args):
        pass

HTTPServer(("127.0.0.1", int(os.environ["PLUGIN_PORT"])), Handler).serve_forever()
"""
WAITS_FOR_ALL = IGNORES.replace(
    "do_POST = do_GET",
    """
    def do_POST(self):
        import time
        self.do_GET()
        open("asked", "w").close()
        while not all(os.path.exists(f"../waits-for-all-{number}/asked") for number in range(3)):
            time.sleep(0.01)
        open("ended", "w").close()
        os._exit(0)
""",
)


def test_after_stop_nothing_is_started_any_more(add_plugin, make_pool, processes):
    add_plugin("behaves")
    pool = make_pool()
    pool.call("behaves.run")
    pool.stop()

    with pytest.raises(ExternalPluginError, match="plugin behaves is stopped: the test session has ended"):
        pool.call("behaves.run")
    assert [] == processes.running()


def test_stop_ends_a_plugin_that_is_still_starting(add_plugin, make_pool, processes, start):
    add_plugin("never-listens")
    pool = make_pool(shutdown_s=0.2)
    starting = threading.Thread(target=start, args=[pool, ["never-listens"]])
    starting.start()
    while not processes.running():
        time.sleep(0.01)

    pool.stop()
    starting.join(timeout=60)

    assert not starting.is_alive()
    assert [] == processes.left_over()


def test_an_interpreter_that_ends_without_stop_leaves_nothing(add_plugin, plugins_dir, processes):
    add_plugin("ignores-shutdown")
    program = f"""
        from pathlib import Path
        from pytest_testmesh.external.pool import ExternalPlugins
        print(ExternalPlugins(Path({str(plugins_dir)!r})).call("ignores-shutdown"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ("{'ok': True}\n", "") == (done.stdout, done.stderr)
    assert [] == processes.left_over()


def test_what_a_plugin_started_ends_when_the_session_is_killed_between_the_ends_of_both(add_plugin, plugins_dir):
    add_plugin("forgets-and-strikes")
    program = f"""
        from pathlib import Path
        from pytest_testmesh.external.pool import ExternalPlugins
        plugins = ExternalPlugins(Path({str(plugins_dir)!r}))
        plugins.call("forgets-and-strikes")
        plugins.stop()
    """

    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, timeout=60, check=False)

    assert -signal.SIGKILL == done.returncode
    written = (plugins_dir / "forgets-and-strikes" / "processes").read_text().splitlines()
    started = [int(line.split()[0]) for line in written]
    assert 2 == len(started)
    until = time.monotonic() + 60
    while any(map(psutil.pid_exists, started)):
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_copy_of_the_session_does_not_end_its_plugins(add_plugin, make_pool, processes, start):
    add_plugin("behaves")
    pool = make_pool()
    start(pool, ["behaves"])

    child = os.fork()
    if child == 0:
        pool.stop()
        os._exit(0)
    os.waitpid(child, 0)

    assert 1 == len(processes.running())
    assert {"ok": True} == pool.call("behaves")


def test_what_a_plugin_prints_to_stdout_before_it_exits_is_its_reason(add_plugin, make_pool):
    add_plugin("talker", code="print('DATABASE_URL is not set'); raise SystemExit(2)")

    with pytest.raises(PluginStartError, match=r"exited with code 2 before it was healthy: DATABASE_URL is not set$"):
        make_pool().call("talker.run")


def test_a_plugin_whose_shutdown_fails_is_not_given_the_whole_grace(add_plugin, make_pool, processes):
    add_plugin("drops-shutdown")
    pool = make_pool(shutdown_s=120)
    pool.call("drops-shutdown.run")
    began = time.monotonic()

    pool.stop()

    assert 60 > time.monotonic() - began
    assert [] == processes.running()


def test_a_plugin_that_stops_to_listen_is_started_again_for_the_next_step(add_plugin, make_pool, make_context):
    add_plugin("stops-to-listen")
    action = make_pool().find("stops-to-listen.run")
    action.run({}, make_context())
    with pytest.raises(ExternalPluginError, match=r"no longer listens on 127\.0\.0\.1:\d+, so stops-to-listen.run"):
        action.run({}, make_context())
    context = make_context()

    action.run({}, context)

    assert ["plugin stops-to-listen was started again: it no longer listened"] == [
        entry["message"] for entry in context.logs
    ]


def test_a_plugin_that_ends_while_a_step_is_refused_is_started_again_for_that_step(
    add_plugin, make_pool, make_context, monkeypatch
):
    folder = add_plugin("leaves-when-told")
    action = make_pool().find("leaves-when-told.run")
    first = action.run({}, make_context())["pid"]
    wait = PluginProcess.wait

    def leave_and_wait(process, deadline):
        (folder / "leave").touch()
        return wait(process, Deadline.after(60, ""))

    monkeypatch.setattr(PluginProcess, "wait", leave_and_wait)
    context = make_context()

    assert first != action.run({}, context)["pid"]
    assert ["plugin leaves-when-told was started again: it exited with code 5"] == [
        entry["message"] for entry in context.logs
    ]


def test_a_copy_of_the_environment_can_be_made_while_another_thread_changes_it(monkeypatch):
    monkeypatch.setenv("TESTMESH_TEST_GOES", "1")
    decode = os.environ.decodekey

    def decode_late(name):
        """Stand for the other thread, between the list of the names and the look at the values."""
        os.environ.pop("TESTMESH_TEST_GOES", None)
        return decode(name)

    monkeypatch.setattr(os.environ, "decodekey", decode_late)

    copy = environment_now()

    assert (False, os.environ["PATH"]) == ("TESTMESH_TEST_GOES" in copy, copy["PATH"])


def test_a_reaper_that_was_killed_is_started_again_with_the_next_step(add_plugin, make_pool, processes):
    add_plugin("behaves")
    pool = make_pool()
    pool.call("behaves.run")
    (first,) = set(processes.running_with_reaper()) - set(processes.running())
    first.kill()
    while first.is_running() and first.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.005)

    pool.call("behaves.run")

    (second,) = set(processes.running_with_reaper()) - set(processes.running())
    assert first.pid != second.pid
