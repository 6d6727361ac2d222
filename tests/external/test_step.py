"""What a step sends to a plugin, and what comes back into the step and its report."""

from __future__ import annotations

import re
from types import MappingProxyType

import pytest

from pytest_testmesh.errors import (
    ActionConfigError,
    ActionError,
    ActionTimeoutError,
    PluginProtocolError,
    UnknownActionError,
)
from pytest_testmesh.polling import Deadline

SERVER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

ACTIONS = {actions!r}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({{"status": "healthy", "id": "x", "actions": ACTIONS}})
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/shutdown":
            os._exit(0)
        self.answer({{"success": True, "output": json.loads(body)}})
    def answer(self, data):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())
    def log_message(self, *args):
        pass

HTTPServer(("127.0.0.1", int(os.environ["PLUGIN_PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def echo(add_plugin, make_pool):
    """Return a function that runs ``echo.run``, declared with a schema, and returns what the plugin received."""

    def run(given=None, *, schema=None, defaults=None):
        action = {"id": "echo.run", "schema": schema} if schema is not None else {"id": "echo.run"}
        add_plugin("echo", code=SERVER.format(actions=[action]), config=defaults or {})
        return make_pool().call("echo.run", given or {})

    return run


def test_the_request_has_the_shape_of_the_protocol(add_plugin, make_pool, make_context):
    add_plugin("echoes")
    context = make_context(
        variables=MappingProxyType({"base_url": "https://example.com", "count": 5, "nothing": None}),
        step_outputs={"navigate": MappingProxyType({"url": "https://example.com/products"})},
    )

    output = make_pool().find("echoes.run").run({"selector": ".price", "list": [1, {"a": True}]}, context)

    assert {
        "action": "echoes.run",
        "config": {"selector": ".price", "list": [1, {"a": True}]},
        "context": {
            "execution_id": "exec-123",
            "flow_id": "flow-456",
            "step_id": "step-789",
            "variables": {"base_url": "https://example.com", "count": 5, "nothing": None},
            "step_outputs": {"navigate": {"url": "https://example.com/products"}},
        },
    } == output["received"]


def test_a_python_caller_gives_the_context_by_keywords(add_plugin, make_pool):
    add_plugin("echoes")

    received = make_pool().call(
        "echoes.run",
        variables={"a": 1},
        step_outputs={"login": {"token": "t"}},
        execution_id="e",
        flow_id="f",
        step_id="s",
    )["received"]

    assert {
        "execution_id": "e",
        "flow_id": "f",
        "step_id": "s",
        "variables": {"a": 1},
        "step_outputs": {"login": {"token": "t"}},
    } == received["context"]


@pytest.mark.parametrize("text", ["é ✓ 😀", "\ud800", "\x00\x1f", '"\\/'], ids=ascii)
def test_any_text_reaches_the_plugin_and_returns(echo, text):
    assert text == echo({"text": text})["config"]["text"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x"], ids=repr)
def test_what_is_not_json_is_refused_before_it_is_sent(echo, value):
    with pytest.raises(ActionConfigError, match="cannot be sent as JSON to plugin echo"):
        echo({"value": value})


def test_the_manifests_config_gives_defaults_key_by_key(echo):
    received = echo({"timeout": 5, "auth": {"user": "me"}}, defaults={"timeout": 30, "retries": 2, "auth": {"pin": 1}})

    assert {"timeout": 5, "retries": 2, "auth": {"user": "me"}} == received["config"]


OBJECT = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
STRICT = {**OBJECT, "additionalProperties": False}
ACCEPTED = {
    "fits": (OBJECT, {"name": "x"}, {}),
    "more keys": (OBJECT, {"name": "x", "y": 1}, {}),
    "default for what is required": (OBJECT, {}, {"name": "x"}),
    "default that the schema does not name": (STRICT, {"name": "x"}, {"retries": 2}),
    "no schema": (None, {"x": 1}, {}),
    "empty schema": ({}, {"x": 1}, {}),
    "pattern": ({"properties": {"a": {"pattern": "^x"}}}, {"a": "xy"}, {}),
    "older draft": ({"$schema": "http://json-schema.org/draft-07/schema#", "minProperties": 1}, {"a": 1}, {}),
    "reference inside": ({"$defs": {"t": {"minimum": 1}}, "properties": {"a": {"$ref": "#/$defs/t"}}}, {"a": 1}, {}),
}


@pytest.mark.parametrize(("schema", "given", "defaults"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_config_that_fits_the_schema_is_sent(echo, schema, given, defaults):
    assert {**defaults, **given} == echo(given, schema=schema, defaults=defaults)["config"]


REFUSED = {
    "missing": (OBJECT, {}, "config lacks the key name"),
    "wrong type": (OBJECT, {"name": 5}, "config.name must be string, not 5"),
    "unknown key": (STRICT, {"name": "x", "nam": 1}, "config has an unknown key nam"),
    "pattern": ({"properties": {"a": {"pattern": "^x"}}}, {"a": "y"}, "config.a: 'y' does not match '^x'"),
    "nested": ({"properties": {"a": {"items": {"type": "integer"}}}}, {"a": [1, "x"]}, "config.a[1] must be integer"),
}


@pytest.mark.parametrize(("schema", "given", "message"), REFUSED.values(), ids=REFUSED)
def test_a_config_that_does_not_fit_the_schema_is_refused(echo, schema, given, message):
    with pytest.raises(ActionConfigError) as caught:
        echo(given, schema=schema)

    assert caught.value.message.startswith(message)
    assert caught.value.message.endswith("(action echo.run of plugin echo)")


INVALID = {
    "unknown type": {"type": "strng"},
    "type is a number": {"type": 5},
    "properties is a list": {"properties": ["a"]},
    "required is a text": {"type": "object", "required": "name"},
    "bad pattern": {"properties": {"a": {"pattern": "("}}},
    "reference to nowhere": {"$ref": "#/$defs/none"},
    "reference to the network": {"$ref": "http://127.0.0.1:9/schema.json"},
    "reference to itself": {"$ref": "#"},
}


@pytest.mark.parametrize("schema", INVALID.values(), ids=INVALID)
def test_a_schema_that_is_wrong_in_itself_is_the_plugins_fault(echo, schema):
    with pytest.raises(PluginProtocolError, match=r"GET /info: the schema of echo\.run cannot be used: "):
        echo({"a": "x"}, schema=schema)


def test_a_failure_carries_code_details_logs_and_metrics(add_plugin, make_pool, make_context):
    add_plugin("fails")
    context = make_context()

    with pytest.raises(ActionError) as caught:
        make_pool().find("fails.run").run({}, context)

    assert ("NO_STOCK", {"sku": "A1"}) == (caught.value.code, caught.value.details)
    assert [{"level": "warning", "message": "looked twice", "timestamp": "2024-01-01T12:00:00Z"}] == context.logs
    assert {"duration_ms": 145} == context.metrics


def test_the_exchange_can_be_shown_in_brief_and_in_full(add_plugin, make_pool, make_context):
    add_plugin("echoes")
    context = make_context()

    make_pool().find("echoes.run").run({"text": "x" * 1000}, context)

    assert context.exchange.sent().startswith('POST /execute to plugin echoes  {"action": "echoes.run", "config": ')
    assert context.exchange.received().startswith("200 in ")
    assert len(context.exchange.sent()) < 400 < 1000 < len(context.exchange.sent(verbose=True))
    assert len(context.exchange.received()) < 400 < 1000 < len(context.exchange.received(verbose=True))


def test_what_is_sent_can_be_shown_also_when_no_answer_comes(add_plugin, make_pool, make_context):
    add_plugin("drops")
    context = make_context()

    with pytest.raises(Exception, match="dropped"):
        make_pool().find("drops.run").run({"a": 1}, context)

    assert context.exchange.sent() == 'POST /execute to plugin drops  {"action": "drops.run", "config": {"a": 1}}'
    assert context.exchange.received is None


def test_what_a_plugin_prints_belongs_to_the_step_that_caused_it(add_plugin, make_pool, make_context):
    add_plugin("prints-bytes")
    action = make_pool().find("prints-bytes.run")
    contexts = [make_context() for _ in range(100)]

    for context in contexts:
        action.run({}, context)

    assert [[("prints-bytes stdout", "caf\\xe9 \\xff\n")]] * 100 == [context.sections for context in contexts]


def test_a_python_plugin_need_not_flush_what_it_prints(add_plugin, make_pool, make_context, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    add_plugin("prints-unflushed")
    context = make_context()

    make_pool().find("prints-unflushed.run").run({}, context)

    assert [("prints-unflushed stdout", "hello\n")] == context.sections


def test_what_a_plugin_prints_before_it_dies_is_kept(add_plugin, make_pool, make_context):
    add_plugin("dies")
    context = make_context()

    with pytest.raises(Exception, match="out of luck"):
        make_pool().find("dies.run").run({}, context)

    assert [("dies stderr", "working\nValueError: out of luck\n")] == context.sections


def test_a_flood_of_output_neither_blocks_the_plugin_nor_fills_memory(add_plugin, make_pool, make_context):
    add_plugin("prints-much")
    context = make_context()

    make_pool().find("prints-much.run").run({}, context)

    [(_, text)] = context.sections
    assert len(text) < 200_000
    assert re.match(r"\[\d+ bytes of earlier output left out\]\n", text)
    assert text.endswith("last words\n")


def test_the_steps_deadline_bounds_the_call_and_is_named(add_plugin, make_pool, make_context, start):
    add_plugin("hangs")
    pool = make_pool()
    action = pool.find("hangs.run")
    start(pool, ["hangs.run"])

    with pytest.raises(ActionTimeoutError, match=r"did not answer hangs\.run within step timeout 300ms$"):
        action.run({}, make_context(Deadline.after(0.3, "step timeout 300ms")))


def test_a_step_without_any_timeout_is_bounded_all_the_same(add_plugin, make_pool, make_context):
    add_plugin("hangs")

    with pytest.raises(ActionTimeoutError, match=r"within 0\.30s, the limit of a step without timeout$"):
        make_pool(execute_s=0.3).find("hangs.run").run({}, make_context())


def test_an_action_that_info_lists_no_more_is_unknown_with_near_matches(add_plugin, make_pool, make_context, processes):
    folder = add_plugin("echo", code=SERVER.format(actions=[{"id": "echo.first"}]))
    action = make_pool().find("echo.first")
    action.run({}, make_context())
    (folder / "server.py").write_text(SERVER.format(actions=[{"id": "echo.fist"}]))
    processes.kill()
    assert [] == processes.left_over()

    with pytest.raises(UnknownActionError, match=r"echo\.first: plugin echo no longer lists it$") as caught:
        action.run({}, make_context())

    assert "did you mean echo.fist?" == caught.value.hint
