"""One row for each way in which a plugin can go wrong: the error's kind and its first line, and nothing left."""

from __future__ import annotations

import re
import time
from contextlib import closing

import pytest

from pytest_testmesh.errors import (
    ActionError,
    ActionTimeoutError,
    ExternalPluginError,
    PluginProtocolError,
    PluginStartError,
)
from pytest_testmesh.external.guard import Guard
from pytest_testmesh.external.lifecycle import ExternalPlugin, Limits
from pytest_testmesh.external.manifest import read_manifest
from pytest_testmesh.external.process import PluginProcess
from pytest_testmesh.polling import Deadline

AT_START = {
    "exits-at-once": (PluginStartError, "exited with code 3 before it was healthy: RuntimeError: no database"),
    "exits-cleanly": (PluginStartError, "exited with code 0 before it was healthy"),
    "killed-at-start": (PluginStartError, "was killed by SIGKILL before it was healthy"),
    "starting-then-exits": (
        PluginStartError,
        "exited with code 3 before it was healthy: RuntimeError: migration failed",
    ),
    "info-404": (PluginProtocolError, 'GET /info: HTTP 404: {"error": "not found"}'),
    "info-not-json": (PluginProtocolError, "GET /info: the answer is not JSON: <html>"),
    "info-other-json": (
        PluginProtocolError,
        'GET /info: the answer has no "id" and no "actions": {"hello": "world"}',
    ),
    "info-actions-object": (PluginProtocolError, "GET /info: actions is an object, not a list: {"),
    "info-action-text": (PluginProtocolError, "GET /info: actions[0] is a text, not an object: {"),
    "info-action-no-id": (PluginProtocolError, "GET /info: actions[0].id is missing: {"),
    "info-schema-text": (PluginProtocolError, "GET /info: actions[0].schema is a text, not an object: {"),
    "info-dies": (PluginStartError, "exited with code 7 while it ran GET /info: ValueError: out of luck"),
}

START_S = 10.0
"""Time enough for every plugin that is only told when it is over to come as far as its fault."""
NO_PORT_HINT = "the port to listen on is in the environment variable PLUGIN_PORT"
AT_THE_LIMIT = {
    "never-listens": ("did not listen on 127.0.0.1:PORT within the start limit of 10s: thinking", NO_PORT_HINT),
    "listens-elsewhere": (
        "did not listen on 127.0.0.1:PORT within the start limit of 10s",
        f"{NO_PORT_HINT}; it listens on PORT",
    ),
    "listens-on-another-address": (
        "did not listen on 127.0.0.1:PORT within the start limit of 10s",
        "it listens on port PORT of another address; listen on 127.0.0.1",
    ),
    "health-starting": (
        "did not become healthy within the start limit of 10s: GET /health: status is 'starting', not \"healthy\"",
        None,
    ),
    "health-without-status": (
        'did not become healthy within the start limit of 10s: GET /health: the answer has no "status": {"ok": true}',
        None,
    ),
    "health-not-json": (
        "did not become healthy within the start limit of 10s: GET /health: the answer is not JSON: I am fine",
        None,
    ),
    "health-500": (
        "did not become healthy within the start limit of 10s: GET /health: HTTP 500: <h1>oops</h1>",
        None,
    ),
    "health-hangs": ("did not become healthy within the start limit of 10s: GET /health: no answer", None),
    "health-drops": (
        "did not become healthy within the start limit of 10s: GET /health: it closed the connection without an answer",
        None,
    ),
    "info-hangs": ("did not answer GET /info within the start limit of 10s", None),
}
"""What is told, and the hint."""

IN_EXECUTE = {
    "fails": (ActionError, "NO_STOCK: nothing left"),
    "fails-with-400": (ActionError, "NO_STOCK: nothing left"),
    "fails-with-500": (ActionError, "NO_STOCK: nothing left"),
    "fails-without-code": (ActionError, "PLUGIN_FAILED: it broke"),
    "fails-without-error": (
        PluginProtocolError,
        'POST /execute of {id}.run: "success" is false, but there is no "error" with a code and a message: {{',
    ),
    "fails-with-text": (PluginProtocolError, "POST /execute of {id}.run: error is a text, not an object: {{"),
    "no-success": (PluginProtocolError, 'POST /execute of {id}.run: the answer has no "success": {{"output": {{}}}}'),
    "success-text": (PluginProtocolError, 'POST /execute of {id}.run: "success" is a text, not true or false: {{'),
    "output-list": (PluginProtocolError, "POST /execute of {id}.run: output is a list, not an object: {{"),
    "logs-texts": (PluginProtocolError, "POST /execute of {id}.run: logs[0] is a text, not an object: {{"),
    "log-message-number": (
        PluginProtocolError,
        "POST /execute of {id}.run: logs[0].message is a number, not a text: {{",
    ),
    "metrics-number": (PluginProtocolError, "POST /execute of {id}.run: metrics is a number, not an object: {{"),
    "answer-null": (PluginProtocolError, "POST /execute of {id}.run: the answer is null, not an object: null"),
    "answer-list": (PluginProtocolError, "POST /execute of {id}.run: the answer is a list, not an object: [1, 2]"),
    "answer-empty": (PluginProtocolError, "POST /execute of {id}.run: the answer is not JSON: an empty body"),
    "answer-text": (PluginProtocolError, "POST /execute of {id}.run: the answer is not JSON: it worked"),
    "answer-nan": (PluginProtocolError, 'POST /execute of {id}.run: the answer is not JSON: {{"success": true'),
    "answer-deep": (PluginProtocolError, "POST /execute of {id}.run: the answer is not JSON: [[[[["),
    "answer-latin-1": (PluginProtocolError, 'POST /execute of {id}.run: the answer is not JSON: {{"success": true'),
    "http-500": (PluginProtocolError, "POST /execute of {id}.run: HTTP 500: <h1>oops</h1>"),
    "http-404": (PluginProtocolError, 'POST /execute of {id}.run: HTTP 404: {{"error": "not found"}}'),
    "http-413": (PluginProtocolError, "POST /execute of {id}.run: HTTP 413"),
    "redirect": (
        PluginProtocolError,
        "POST /execute of {id}.run: HTTP 302, a redirect to http://127.0.0.1:9/",
    ),
    "not-http": (PluginProtocolError, "POST /execute: the answer is not HTTP: BadStatusLine: SSH-2.0-OpenSSH_9.2"),
    "many-headers": (
        PluginProtocolError,
        "POST /execute: the answer is not HTTP: HTTPException: got more than 100 headers",
    ),
    "announces-much": (PluginProtocolError, "POST /execute: the answer is larger than 100000 bytes"),
    "endless": (PluginProtocolError, "POST /execute: the answer is larger than 100000 bytes"),
    "endless-chunks": (PluginProtocolError, "POST /execute: the answer is larger than 100000 bytes"),
    "dies": (ExternalPluginError, "exited with code 7 while it ran {id}.run: ValueError: out of luck"),
    "killed": (ExternalPluginError, "was killed by SIGKILL while it ran {id}.run"),
    "drops": (
        ExternalPluginError,
        "dropped {id}.run, its process still runs: it closed the connection without an answer",
    ),
    "half-a-body": (
        ExternalPluginError,
        "dropped {id}.run, its process still runs: it closed the connection in the middle of its answer",
    ),
    "hangs": (ActionTimeoutError, "did not answer {id}.run within timeout_s 0.50s"),
    "drips-headers": (ActionTimeoutError, "did not answer {id}.run within timeout_s 0.50s"),
    "drips-body": (ActionTimeoutError, "did not answer {id}.run within timeout_s 0.50s"),
}

UNUSUAL = [
    "http-10",
    "http-10-with-length",
    "http-11-until-close",
    "closes",
    "chunked",
    "continues",
    "newlines-only",
    "odd-headers",
    "byte-order-mark",
    "in-two-parts",
    "drips-quickly",
    "answers-twice",
    "more-keys",
    "prints-bytes",
    "listens-late",
    "healthy-late",
    "child-on-its-port",
    "detached-child-on-its-port",
    "orphan-on-its-port",
]


@pytest.mark.parametrize(
    ("behaviour", "kind", "text"), [(name, *row) for name, row in AT_START.items()], ids=list(AT_START)
)
def test_a_failed_start_is_told_by_its_cause(add_plugin, make_pool, behaviour, kind, text):
    add_plugin(behaviour)
    pool = make_pool(start_s=120, shutdown_s=0.2)

    with pytest.raises(kind) as caught:
        pool.call(f"{behaviour}.run")

    assert type(caught.value) is kind
    assert behaviour == caught.value.plugin_id
    assert re.match(rf"plugin {behaviour}:? {re.escape(text)}", caught.value.message)
    assert "\n" not in caught.value.message


def test_a_start_that_takes_too_long_is_told_by_its_cause(add_plugin, make_pool, monkeypatch, start):
    """They start side by side, so that all of them together take no longer than one."""
    # The request that hangs is to be cut by the limit.
    monkeypatch.setattr("pytest_testmesh.external.health._ANSWER_S", 60.0)
    for behaviour in AT_THE_LIMIT:
        add_plugin(behaviour)
    pool = make_pool(start_s=START_S, shutdown_s=0.2)

    start(pool, AT_THE_LIMIT)

    assert AT_THE_LIMIT == {behaviour: failed_start(pool, behaviour) for behaviour in AT_THE_LIMIT}


class JustPassed(Deadline):
    """One that passes between the look at it and the poll that it limits."""

    looks = 0

    @property
    def passed(self):
        type(self).looks += 1
        return self.looks > 1


def test_a_poll_without_time_to_be_refused_is_not_taken_for_a_server_that_hangs(add_plugin, processes):
    folder = add_plugin("never-listens")
    guard = Guard()
    plugin = ExternalPlugin(read_manifest(folder), Limits(), lambda *_: None, guard)

    with closing(guard), pytest.raises(PluginStartError) as caught:
        plugin.ensure_started(JustPassed(0.0, "a limit"))

    assert re.match(r"plugin never-listens did not listen on 127.0.0.1:\d+ within a limit", caught.value.message)


def test_a_plugin_that_ends_while_its_port_is_looked_up_is_not_told_as_a_port_that_is_anothers(
    add_plugin, make_pool, processes, monkeypatch
):
    add_plugin("health-starting")
    holds_port = PluginProcess.holds_port

    def end_and_look(process):
        processes.kill()
        return holds_port(process)

    monkeypatch.setattr(PluginProcess, "holds_port", end_and_look)

    with pytest.raises(PluginStartError, match="was killed by SIGKILL before it was healthy"):
        make_pool().call("health-starting.run")


def failed_start(pool, behaviour):
    """Return message, without the plugin's name, and hint; ports are all written alike."""
    with pytest.raises(PluginStartError) as caught:
        pool.call(f"{behaviour}.run")
    message = caught.value.message.removeprefix(f"plugin {behaviour} ")
    return (
        re.sub(r"(127\.0\.0\.1:)\d+", r"\1PORT", message),
        caught.value.hint and re.sub(r"(?<= )\d+\b(?!\.)", "PORT", caught.value.hint),
    )


@pytest.mark.parametrize(
    ("behaviour", "kind", "text"), [(name, *row) for name, row in IN_EXECUTE.items()], ids=list(IN_EXECUTE)
)
def test_a_failed_call_is_told_by_its_cause(add_plugin, make_pool, behaviour, kind, text):
    add_plugin(behaviour)
    pool = make_pool(answer_bytes=100_000, shutdown_s=0.2)
    slow = issubclass(kind, ActionTimeoutError)

    with pytest.raises(kind) as caught:
        pool.call(f"{behaviour}.run", timeout_s=0.5 if slow else 120)

    assert type(caught.value) is kind
    assert text.format(id=behaviour) in caught.value.message


@pytest.mark.parametrize("behaviour", UNUSUAL)
def test_an_unusual_answer_is_understood_again_and_again(add_plugin, make_pool, behaviour):
    add_plugin(behaviour)
    pool = make_pool(shutdown_s=0.5)

    assert [{"ok": True}] * 3 == [pool.call(f"{behaviour}.run", timeout_s=120) for _ in range(3)]


def test_null_counts_as_left_out(add_plugin, make_pool):
    add_plugin("nulls")

    assert {} == make_pool().call("nulls.run")


@pytest.mark.parametrize("behaviour", ["info-without-actions", "info-null-actions"])
def test_a_plugin_may_list_no_actions_and_still_has_its_id(add_plugin, make_pool, behaviour):
    add_plugin(behaviour)

    assert {"ok": True} == make_pool().call(behaviour)


def test_a_plugin_that_exits_is_told_at_once_not_after_the_start_limit(add_plugin, make_pool):
    add_plugin("exits-at-once")
    began = time.monotonic()

    with pytest.raises(PluginStartError):
        make_pool(start_s=600).call("exits-at-once.run")

    assert time.monotonic() - began < 60


def test_a_start_error_carries_the_last_lines_of_stderr(add_plugin, make_pool):
    add_plugin("exits-at-once")

    with pytest.raises(PluginStartError) as caught:
        make_pool().call("exits-at-once.run")

    assert ("Traceback (most recent call last):", "  File ...", "RuntimeError: no database") == caught.value.stderr


def test_a_stranger_that_answers_on_the_port_is_not_taken_for_the_plugin(add_plugin, make_pool, processes):
    add_plugin("stranger-on-its-port")

    with pytest.raises(PluginStartError, match="found its port taken by another program, 3 times in a row"):
        make_pool().call("stranger-on-its-port.run")

    processes.kill()


@pytest.mark.parametrize("behaviour", ["port-taken-once", "childs-port-taken-once"])
def test_a_port_that_another_program_took_first_is_replaced_by_another(add_plugin, make_pool, processes, behaviour):
    """Also where the plugin does not end by it: what found the port taken may be a child of its first process."""
    add_plugin(behaviour)

    assert {"ok": True} == make_pool().call(f"{behaviour}.run")

    processes.kill()


@pytest.mark.parametrize("behaviour", ["port-in-use-at-first", "port-in-use-in-node"])
def test_a_port_that_was_in_use_for_a_moment_is_replaced_by_another(add_plugin, make_pool, behaviour):
    folder = add_plugin(behaviour)

    assert {"ok": True} == make_pool().call(f"{behaviour}.run")
    assert "xx" == (folder / "starts").read_text()


def test_a_plugin_that_always_finds_a_port_in_use_is_told_in_its_own_words(add_plugin, make_pool):
    """The port may be one that it opens beside PLUGIN_PORT."""
    in_use = "OSError: [Errno 98] Address already in use: 5432"
    folder = add_plugin("unlucky", code=f"open('starts', 'a').write('x'); raise SystemExit('{in_use}')")

    with pytest.raises(PluginStartError, match=r"exited with code 1 before it was healthy: OSError: .* in use: 5432"):
        make_pool().call("unlucky.run")
    assert "xxx" == (folder / "starts").read_text()


def test_a_plugin_that_cannot_start_is_started_only_once(add_plugin, make_pool, start):
    count = "open('starts', 'a').write('x'); raise SystemExit('no luck')"
    folder = add_plugin("unlucky", code=count)
    pool = make_pool()

    start(pool, ["unlucky.run"])
    for _ in range(2):
        with pytest.raises(PluginStartError, match="no luck"):
            pool.find("unlucky.run")

    assert "x" == (folder / "starts").read_text()


def test_one_broken_plugin_does_not_touch_the_others(add_plugin, make_pool, start):
    add_plugin("exits-at-once")
    add_plugin("behaves")
    pool = make_pool()

    start(pool, ["exits-at-once.run", "behaves.run"])

    assert {"ok": True} == pool.call("behaves.run")
