"""The README is true: its first flow and both outputs are real, and it names everything there is to use."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pytest_testmesh import hookspecs
from pytest_testmesh.actions import ActionRegistry
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.integrations import register_builtins

README = Path(__file__).parent.parent.joinpath("README.md").read_text(encoding="utf-8")
FIRST_FLOW = re.search(r"```yaml\n(flow:\n.*?)```", README, re.DOTALL)[1]
PASSES, FAILS = (match[1] for match in re.finditer(r"```console\n\$ pytest flows/[^\n]*\n(.*?)```", README, re.DOTALL))


class Shop(BaseHTTPRequestHandler):
    """The shop of the README's first screen: an order is paid when it is looked at for the second time."""

    looks = 0
    total = 25.0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).looks = 0
        self.answer(201, "NEW")

    def do_GET(self) -> None:
        type(self).looks += 1
        self.answer(200, "NEW" if self.looks < 2 else "PAID")

    def answer(self, status: int, state: str) -> None:
        body = json.dumps({"id": 7, "state": state, "total": self.total}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Shop]]:
    handler = type("Handler", (Shop,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("SHOP_URL", f"http://127.0.0.1:{server.server_port}")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def first_flow(pytester: pytest.Pytester, shop: type[Shop]) -> type[Shop]:
    pytester.mkdir("flows").joinpath("order.yaml").write_text(FIRST_FLOW, encoding="utf-8")
    return shop


def steady(text: str) -> list[str]:
    """Leave out what differs from run to run: times, the port, the dots that fill a line."""
    text = re.sub(r"\b\d+(\.\d+)?(s| ?ms)\b", "TIME", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "HOST", text)
    return [re.sub(r" +\[100%\]", " [100%]", line).rstrip() for line in text.splitlines()]


def test_the_output_of_the_first_flow_is_real(pytester: pytest.Pytester, first_flow: type[Shop]) -> None:
    result = pytester.runpytest_inprocess("flows/", "-v", "-p", "no:randomly")

    result.assert_outcomes(passed=1)
    printed = steady(result.stdout.str())
    for line in steady(PASSES):
        assert line in printed


def test_the_report_of_the_first_flow_is_real(pytester: pytest.Pytester, first_flow: type[Shop]) -> None:
    first_flow.total = 30.0

    result = pytester.runpytest_inprocess("flows/", "-p", "no:randomly")

    result.assert_outcomes(failed=1)
    printed = steady(result.stdout.str())
    start = printed.index(steady(FAILS)[0])
    assert steady(FAILS) == printed[start : start + len(steady(FAILS))]


def test_the_five_line_action_works(pytester: pytest.Pytester) -> None:
    source = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert 5 >= len([line for line in source.splitlines() if line])
    pytester.makeconftest(source)
    steps = "steps: [{action: shop.discount, config: {total: 20}, assert: [total == 18]}]"
    pytester.path.joinpath("sale.yaml").write_text(f"flow:\n  name: Sale\n  {steps}\n", encoding="utf-8")

    pytester.runpytest_inprocess("-p", "no:randomly").assert_outcomes(passed=1)


def test_the_first_screen_fits_on_one() -> None:
    assert 45 >= len(README[: README.index("\n## ")].splitlines())


def test_every_option_and_ini_key_is_documented(pytestconfig: pytest.Config) -> None:
    source = Path(hookspecs.__file__).with_name("plugin.py").read_text(encoding="utf-8")
    names = re.findall(r'"(--testmesh-[\w-]+|testmesh_[a-z_]+)"', source)

    assert {"--testmesh-var", "testmesh_secrets"} <= set(names)
    destinations = {name.lstrip("-").replace("-", "_") for name in names if name.startswith("--")}
    assert [] == [name for name in names if f"`{name}" not in README and name not in destinations]


def test_every_hook_is_documented_with_its_arguments() -> None:
    for name, hook in vars(hookspecs).items():
        if name.startswith("pytest_testmesh_"):
            arguments = ", ".join(hook.__code__.co_varnames[: hook.__code__.co_argcount])
            assert f"`{name}({arguments})`" in README


def test_every_action_is_documented_with_its_config_and_result() -> None:
    registry = ActionRegistry()
    register_builtins(registry)

    for action in registry.actions():
        row = re.search(rf"^\| `{re.escape(action.name)}` \|(.*)\|(.*)\|$", README, re.MULTILINE)
        assert row is not None, action.name
        required = action.schema.get("required", ())
        config = [f"**{key}**" if key in required else key for key in action.schema["properties"]]
        assert config == row[1].split()
        assert list(action.result) == row[2].split()


def test_every_built_in_name_is_documented() -> None:
    names = BuiltinValues(dict.fromkeys(("FLOW_ID", "FLOW_NAME", "FLOW_STATUS", "EXECUTION_ID", "STEP_ID"), "")).names()

    assert [] == [name for name in names if name not in README]
