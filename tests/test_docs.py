"""README and docs are true: flows and outputs in them are real, and they name everything there is to use."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pytest_testmesh import hookspecs, plugin_sdk
from pytest_testmesh.actions import ActionRegistry
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.cli import app as command_line
from pytest_testmesh.integrations import register_builtins
from pytest_testmesh.registry.registry import PluginRegistry
from pytest_testmesh.server.app import create_app
from pytest_testmesh.server.service import PluginService
from pytest_testmesh.server.settings import ServerSettings
from pytest_testmesh.settings import SETTINGS

ROOT = Path(__file__).parent.parent
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}
README = PAGES["README.md"]
ACTION = re.compile(r"\baction: ([\w.]+)")
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
        row = re.search(rf"^\| `{re.escape(action.name)}` \|(.*)\|(.*)\|$", PAGES["actions.md"], re.MULTILINE)
        assert row is not None, action.name
        required = action.schema.get("required", ())
        config = [f"**{key}**" if key in required else key for key in action.schema["properties"]]
        assert config == row[1].split()
        assert list(action.result) == row[2].split()


def test_every_setting_is_documented() -> None:
    assert [] == [name for name in SETTINGS if f"`testmesh_{name}`" not in README]


def examples() -> Iterator[Any]:
    """The YAML blocks of all pages that are flows, or steps of one."""
    for name, text in PAGES.items():
        for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL), 1):
            if block.startswith("flow:"):
                yield pytest.param(block, id=f"{name}-{number}")
            elif re.match(r"- (id|action|name):", block):
                steps = "".join(f"    {line}\n" for line in block.splitlines())
                yield pytest.param(f"flow:\n  name: Steps\n  steps:\n{steps}", id=f"{name}-{number}")


@pytest.mark.parametrize("flow", list(examples()))
def test_every_example_is_a_flow(pytester: pytest.Pytester, flow: str) -> None:
    """Its keys, expressions and constant configs are checked before it runs, its actions are known."""
    pytester.path.joinpath("example.yaml").write_text(flow, encoding="utf-8")

    result = pytester.runpytest_inprocess("--setup-plan", "-p", "no:randomly")

    assert pytest.ExitCode.OK == result.ret, result.stdout.str()


def test_every_action_in_an_example_is_built_in() -> None:
    registry = ActionRegistry()
    register_builtins(registry)
    known = {action.name for action in registry.actions()}

    for name, text in PAGES.items():
        used = {found for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) for found in ACTION.findall(block)}
        assert set() == used - known, name


def test_links_between_pages_lead_somewhere() -> None:
    for name, text in PAGES.items():
        folder = ROOT if name == "README.md" else ROOT / "docs"
        targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
        local = [target for target in targets if target and "://" not in target]
        assert [] == [target for target in local if not (folder / target).exists()], name


def test_every_built_in_name_is_documented() -> None:
    names = BuiltinValues(dict.fromkeys(("FLOW_ID", "FLOW_NAME", "FLOW_STATUS", "EXECUTION_ID", "STEP_ID"), "")).names()

    assert [] == [name for name in names if name not in README]


def test_the_plugin_in_python_works_beside_a_copy_of_the_sdk(pytester: pytest.Pytester) -> None:
    (source,) = re.findall(r"```python\n(from plugin_sdk.*?)```", README, re.DOTALL)
    folder = pytester.mkdir("plugins").joinpath("greeter")
    folder.mkdir()
    manifest = {"id": "greeter", "name": "Greeter", "version": "1.0.0", "type": "action", "entry_point": "server.py"}
    folder.joinpath("manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    folder.joinpath("server.py").write_text(source, encoding="utf-8")
    shutil.copy(plugin_sdk.__file__, folder)
    steps = 'steps: [{action: greeter.hello, config: {name: Ada}, assert: [greeting endsWith "Ada!"]}]'
    pytester.path.joinpath("hello.yaml").write_text(f"flow:\n  name: Hello\n  {steps}\n", encoding="utf-8")

    pytester.runpytest_inprocess("-p", "no:randomly").assert_outcomes(passed=1)


def test_every_command_is_documented_with_its_options() -> None:
    assert {"plugins", "serve"} == set(command_line.testmesh.commands)
    plugins = command_line.testmesh.commands["plugins"].commands
    for name, command in plugins.items():
        line = next((line for line in README.splitlines() if re.match(rf"\| .*\b{name} ?[A-Z]*`", line)), "")
        options = {option for each in command.params for option in each.opts if option.startswith("--")}
        for option in options - {"--json", "--plugins-dir", "--help"}:
            assert f"`{option}" in line or (name == "new" and option in README), (name, option)
        assert line, name
    assert "`--json`" in README
    assert "`--plugins-dir DIR`" in README


def test_every_option_of_the_server_is_documented() -> None:
    options = {option for each in command_line.testmesh.commands["serve"].params for option in each.opts}

    assert {"--host", "--port", "--token"} <= options
    assert [] == [option for option in options - {"--plugins-dir"} if option not in README]


def test_every_request_of_the_rest_api_is_documented(tmp_path: Path) -> None:
    app = create_app(PluginService(PluginRegistry(tmp_path)), settings=ServerSettings())
    for path, requests in app.openapi()["paths"].items():
        for method in requests:
            place = path.removeprefix("/api/v1/plugins").replace("{plugin_id}", "{id}")
            assert f"`{method.upper()} {place}".rstrip() in README, (method, path)
