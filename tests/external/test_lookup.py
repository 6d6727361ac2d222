"""Which plugin serves an action, and which plugins are started to find out."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

import pytest

from pytest_testmesh.actions import ActionRegistry
from pytest_testmesh.errors import (
    ExternalPluginError,
    FlowSchemaError,
    PluginManifestError,
    PluginStartError,
    UnknownActionError,
)

SERVER = """
import json, os
from http.server import BaseHTTPRequestHandler, HTTPServer

ACTIONS = {actions!r}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        listed = [{{"id": each, "description": "about " + each}} for each in ACTIONS]
        self.answer({{"status": "healthy", "id": "x", "actions": listed}})
    def do_POST(self):
        if self.path == "/shutdown":
            os._exit(0)
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({{"success": True, "output": {{"by": os.environ["PLUGIN_ID"], "action": request["action"]}}}})
    def answer(self, data):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())
    def log_message(self, *args):
        pass

HTTPServer(("127.0.0.1", int(os.environ["PLUGIN_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def offer(add_plugin):
    """Add a plugin that offers these actions."""

    def add(plugin_id, *actions, **manifest):
        return add_plugin(plugin_id, code=SERVER.format(actions=actions), **manifest)

    return add


@pytest.fixture
def started(processes):
    """Return the ids of the plugins that run."""
    return lambda: sorted(process.environ()["PLUGIN_ID"] for process in processes.running())


def test_making_the_source_reads_and_starts_nothing(make_pool, plugins_dir, started):
    plugins_dir.rmdir()
    plugins_dir.touch()

    make_pool()

    assert [] == started()


def test_the_id_itself_is_an_action_and_starts_only_when_run(offer, make_pool, started):
    offer("solo")
    pool = make_pool()

    action = pool.find("solo")

    assert [] == started()
    assert {"by": "solo", "action": "solo"} == pool.call("solo")
    assert "plugin solo" == action.provider


def test_the_pages_scraper_serves_actions_under_another_name_than_its_id(offer, make_pool):
    offer("my-scraper", "scraper.navigate", "scraper.extract")
    offer("other", "other.run")

    pool = make_pool()

    assert {"by": "my-scraper", "action": "scraper.extract"} == pool.call("scraper.extract")
    assert "about scraper.navigate" == pool.find("scraper.navigate").summary


def test_the_longest_id_that_is_a_prefix_is_asked_first_and_alone(offer, make_pool, started):
    offer("web", "web.page.get")
    offer("web.page", "web.page.get")
    offer("other", "other.run")
    pool = make_pool()

    assert "web.page" == pool.call("web.page.get")["by"]
    assert ["web.page"] == started()


def test_a_shorter_prefix_is_asked_when_the_longer_one_does_not_have_it(offer, make_pool, started):
    offer("web", "web.page.get")
    offer("web.page")
    offer("other")
    pool = make_pool()

    assert "web" == pool.call("web.page.get")["by"]
    assert ["web", "web.page"] == started()


def test_a_prefix_counts_only_at_a_dot(offer, make_pool, started):
    offer("web")
    offer("site", "website.get")

    assert "site" == make_pool().call("website.get")["by"]


def test_a_name_without_a_dot_is_asked_of_nobody(offer, make_pool, started, start):
    offer("web", "web.get", "get")
    pool = make_pool()

    assert pool.find("get") is None
    start(pool, ["get"])
    assert [] == started()


def test_two_plugins_that_list_one_action_are_an_error_naming_both(offer, make_pool):
    offer("one", "shared.run")
    offer("two", "shared.run")

    with pytest.raises(FlowSchemaError, match=r"shared\.run is offered twice: by plugin one \(.*\) and plugin two"):
        make_pool().find("shared.run")


def test_only_what_is_needed_is_started(offer, make_pool, started, start):
    offer("one", "one.run")
    offer("two", "two.run")
    offer("three", "three.run")
    pool = make_pool()

    start(pool, ["one.run", "two"])

    assert ["one", "two"] == started()


def test_all_are_started_for_a_name_that_tells_nothing(offer, make_pool, started, start):
    offer("one", "alpha.run")
    offer("two", "beta.run")
    pool = make_pool()

    start(pool, ["beta.run"])

    assert ["one", "two"] == started()
    assert "two" == pool.call("beta.run")["by"]


WAITS_FOR_ALL = """
import os, time
open("started", "w").close()
while not all(os.path.exists(f"../waits-for-all-{number}/started") for number in range(4)):
    time.sleep(0.01)
"""


def test_plugins_start_side_by_side(add_plugin, make_pool, started, start):
    ids = [f"waits-for-all-{number}" for number in range(4)]
    for plugin_id in ids:
        add_plugin(plugin_id, code=WAITS_FOR_ALL + SERVER.format(actions=[]))

    start(make_pool(start_s=60), ids)

    assert ids == started()


HELD = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("here", "w").close()
while not os.path.exists("go"):
    time.sleep(0.01)
"""


@pytest.fixture
def held(add_plugin):
    """The folder of a plugin that offers ``held.run``, and starts once there is a file ``go`` in it."""
    return add_plugin("held", code=HELD + SERVER.format(actions=["held.run"]))


def test_nobody_waits_for_the_start_of_a_plugin_that_somebody_else_needs(offer, make_pool, held):
    offer("quick", "quick.run")
    pool = make_pool(start_s=600)

    pool.start_soon(["held.run", "quick.run"])

    assert "quick" == pool.call("quick.run")["by"]
    (held / "go").touch()
    assert "held" == pool.call("held.run")["by"]


def test_who_looks_an_action_up_waits_for_the_start_that_tells_whose_it_is(offer, make_pool, held):
    offer("other", "thing.run")
    pool = make_pool(start_s=600)
    pool.start_soon(["thing.run"])
    with ThreadPoolExecutor() as executor:
        looked_up = executor.submit(pool.find, "thing.run")
        with pytest.raises(FutureTimeoutError):
            looked_up.result(timeout=0.5)
        (held / "go").touch()

        assert "plugin other" == looked_up.result().provider


def test_a_start_that_fails_is_told_to_those_who_look_the_action_up(add_plugin, make_pool):
    add_plugin("unlucky", code="raise SystemExit('no luck')")
    pool = make_pool()
    pool.start_soon(["unlucky.run"])

    with pytest.raises(PluginStartError, match="no luck"):
        pool.find("unlucky.run")


def test_the_end_does_not_wait_for_a_start(make_pool, held, started):
    pool = make_pool(start_s=600, shutdown_s=600)
    pool.start_soon(["held.run"])
    while not (held / "here").exists():
        time.sleep(0.01)

    pool.stop()

    assert [] == started()


@pytest.mark.parametrize("name", ["nightly", "nightly.run"])
@pytest.mark.parametrize("kind", ["auth", "exporter", "importer", "reporter"])
def test_a_plugin_of_another_type_is_refused_as_an_action(offer, make_pool, started, kind, name, start):
    offer("nightly", "nightly.run", type=kind)
    pool = make_pool()

    start(pool, [name])

    with pytest.raises(ExternalPluginError, match=f"plugin nightly is of type {kind}: a step needs one of type action"):
        pool.find(name)
    assert [] == started()


@pytest.mark.parametrize("name", ["broken", "broken.run"])
def test_a_broken_manifest_is_told_to_those_who_name_the_plugin(offer, make_pool, name, start):
    offer("broken", version="1")
    offer("fine", "fine.run")
    pool = make_pool()

    start(pool, [name, "fine.run"])

    assert "fine" == pool.call("fine.run")["by"]
    with pytest.raises(PluginManifestError, match=r"manifest\.json:4: version: '1' is not valid"):
        pool.find(name)


def test_an_unknown_action_names_the_plugins_that_could_not_be_asked(add_plugin, offer, make_pool):
    add_plugin("my-scraper", code="raise SystemExit('no browser')")
    offer("other", version="x")
    registry = ActionRegistry()
    registry.add_source(make_pool())

    with pytest.raises(UnknownActionError) as caught:
        registry.find("scraper.navigate")

    assert "unknown action scraper.navigate" == caught.value.message
    assert "plugin my-scraper exited with code 1 before it was healthy: no browser" in caught.value.hint
    assert "version: 'x' is not valid" in caught.value.hint


def test_an_unknown_action_gets_near_matches_from_what_the_plugins_list(offer, make_pool):
    offer("my-scraper", "scraper.navigate")
    registry = ActionRegistry()
    registry.add_source(make_pool())

    with pytest.raises(UnknownActionError, match=r"^unknown action scraper\.navigat$") as caught:
        registry.find("scraper.navigat")

    assert "did you mean scraper.navigate?" == caught.value.hint


def test_a_python_caller_gets_near_matches_too(offer, make_pool):
    offer("my-plugin", "my-plugin.hello")

    with pytest.raises(UnknownActionError, match=r"^unknown action my-plugin\.helo$") as caught:
        make_pool().call("my-plugin.helo")

    assert caught.value.hint.startswith("did you mean my-plugin.hello")


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "info.json"


@pytest.fixture
def remembered(offer, make_pool, cache):
    """The folder of a plugin whose ``/info`` an earlier session has seen."""
    folder = offer("my-scraper", "scraper.navigate")
    offer("other", "other.run")
    first = make_pool(cache_path=cache)
    first.call("scraper.navigate")
    first.stop()
    return folder


def test_an_action_seen_before_is_known_without_a_start(remembered, make_pool, cache, started):
    pool = make_pool(cache_path=cache)

    assert "about scraper.navigate" == pool.find("scraper.navigate").summary
    assert {"my-scraper", "scraper.navigate", "other", "other.run"} == set(pool.names())
    assert [] == started()


def test_only_the_plugin_that_was_seen_before_is_started(remembered, make_pool, cache, started, start):
    pool = make_pool(cache_path=cache)

    start(pool, ["scraper.navigate"])

    assert ["my-scraper"] == started()


def rewrite_manifest(folder):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": "1.0.1"}))


def rewrite_server(folder):
    (folder / "server.py").write_text(SERVER.format(actions=["scraper.navigate", "scraper.extract"]))


def touch_server(folder):
    os.utime(folder / "server.py", ns=(1, 1))


@pytest.mark.parametrize("change", [rewrite_manifest, rewrite_server, touch_server])
def test_a_changed_plugin_is_asked_again(remembered, make_pool, cache, change):
    change(remembered)

    assert {"my-scraper", "other", "other.run"} == set(make_pool(cache_path=cache).names())


CONTENTS = {
    "empty": b"",
    "half": b'{"format": 1, "plug',
    "not utf-8": b"\xff\xfe\x00",
    "a list": b"[]",
    "another format": b'{"format": 99, "plugins": {}}',
    "wrong plugins": b'{"format": 1, "plugins": []}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_cache_that_cannot_be_read_is_no_cache_and_is_written_anew(offer, make_pool, cache, content):
    offer("my-scraper", "scraper.navigate")
    cache.parent.mkdir()
    cache.write_bytes(content)
    pool = make_pool(cache_path=cache)

    assert ["my-scraper"] == list(pool.names())
    pool.call("scraper.navigate")
    pool.stop()

    assert {"my-scraper", "scraper.navigate"} == set(make_pool(cache_path=cache).names())


@pytest.mark.parametrize("entry", [None, [], {"fingerprint": 1}, {"actions": {}}], ids=str)
def test_an_entry_of_the_cache_that_is_wrong_does_not_count(remembered, make_pool, cache, entry):
    content = json.loads(cache.read_text())
    content["plugins"][str(remembered)] = entry
    cache.write_text(json.dumps(content))

    assert {"my-scraper", "other", "other.run"} == set(make_pool(cache_path=cache).names())


def test_a_cache_that_cannot_be_written_is_no_error(offer, make_pool, tmp_path):
    offer("my-scraper", "scraper.navigate")
    (tmp_path / "file").touch()

    assert "my-scraper" == make_pool(cache_path=tmp_path / "file" / "info.json").call("scraper.navigate")["by"]


def test_sessions_that_share_a_cache_keep_each_others_entries(offer, make_pool, cache):
    offer("one", "one.run")
    offer("two", "two.run")
    pools = [make_pool(cache_path=cache) for _ in range(2)]

    for pool, name in zip(pools, ["one.run", "two.run"], strict=True):
        pool.call(name)

    assert {"one", "one.run", "two", "two.run"} == set(make_pool(cache_path=cache).names())
    assert ["info.json", "info.json.lock"] == sorted(os.listdir(cache.parent))


def test_a_remembered_action_that_is_gone_is_looked_for_elsewhere_once_its_plugin_runs(offer, make_pool, cache, start):
    folder = offer("moved", "thing.run")
    pool = make_pool(cache_path=cache)
    pool.call("thing.run")
    pool.stop()
    stat = (folder / "server.py").stat()
    (folder / "server.py").write_text(SERVER.format(actions=["thing.now"]))
    os.utime(folder / "server.py", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    offer("heir", "thing.run")

    pool = make_pool(cache_path=cache)
    start(pool, ["thing.run"])

    assert "heir" == pool.call("thing.run")["by"]


def test_a_plugin_that_cannot_start_is_told_to_those_who_use_its_id(add_plugin, make_pool):
    add_plugin("unlucky", code="raise SystemExit('no luck')")
    pool = make_pool()

    with pytest.raises(PluginStartError, match="no luck"):
        pool.call("unlucky")
    assert ["plugin unlucky exited with code 1 before it was healthy: no luck"] == list(pool.doubts("a.b"))
    assert [] == list(pool.doubts("a"))
