"""The page's own plugins, word for word, and the example plugins of this project."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from pytest_testmesh.errors import ActionConfigError, ActionError
from pytest_testmesh.external.lifecycle import Limits
from pytest_testmesh.external.pool import ExternalPlugins

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "plugins"
LONG_GRACE = Limits(shutdown_s=120)


@pytest.fixture
def page(processes):
    pool = ExternalPlugins(HERE / "page", limits=LONG_GRACE)
    yield pool
    pool.stop()


@pytest.fixture
def examples(processes, plugins_dir):
    shutil.copytree(EXAMPLES, plugins_dir, dirs_exist_ok=True)
    pool = ExternalPlugins(plugins_dir, limits=LONG_GRACE)
    yield pool
    pool.stop()


@pytest.fixture(scope="session")
def checksum(tmp_path_factory):
    """The compiled example, built once."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    folder = shutil.copytree(EXAMPLES / "checksum-go", tmp_path_factory.mktemp("go") / "checksum-go")
    subprocess.run(["go", "build", "-o", "checksum", "."], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize(
    ("file", "sha256"),
    [
        ("my-plugin/server.py", "1cee85c04426698d7d41245df4d8a4f6fe8d5151fecb15f531e02ce2fdb5bfe5"),
        ("my-js-plugin/server.js", "c2b905263c01ef671f42f6290c3f7864e6a7e931907c7115fc5b441826eaeb10"),
    ],
)
def test_the_pages_plugins_stand_here_word_for_word(file, sha256):
    assert sha256 == hashlib.sha256((HERE / "page" / file).read_bytes()).hexdigest()


def test_the_pages_python_plugin_runs_as_it_stands(page):
    output = page.call("my-plugin.hello", {"name": "TestMesh"})

    assert "Hello, TestMesh!" == output["greeting"]
    assert isinstance(output["timestamp"], float)


def test_the_pages_python_plugin_answers_its_own_errors_with_400(page):
    with pytest.raises(ActionError, match=r"^UNKNOWN_ACTION: Unknown action: my-plugin$") as caught:
        page.call("my-plugin")

    assert "UNKNOWN_ACTION" == caught.value.code


def test_the_pages_schema_is_enforced_before_the_call(page):
    with pytest.raises(ActionConfigError, match=r"^config lacks the key name \(action my-plugin\.hello"):
        page.call("my-plugin.hello", {})


def test_the_pages_node_plugin_runs_as_it_stands(page, need):
    need("node")

    output = page.call("my-js-plugin.transform", {"input": {"a": [1, "x", None]}, "expression": "."})

    assert {"a": [1, "x", None]} == output["result"]
    assert output["transformed_at"].endswith("Z")


def test_the_pages_plugins_end_on_shutdown_without_waiting_for_the_grace(page, need, processes, start):
    need("node")
    start(page, ["my-plugin.hello", "my-js-plugin.transform"])
    assert 2 == len(processes.running())
    began = time.monotonic()

    page.stop()

    assert time.monotonic() - began < LONG_GRACE.shutdown_s / 2
    assert [] == processes.left_over()


@pytest.mark.parametrize(
    ("config", "greeting"),
    [({"name": "you"}, "Hello, you!"), ({"name": "you", "greeting": "Hi"}, "Hi, you!")],
    ids=["default of the manifest", "the step's own"],
)
def test_the_python_example_greets(examples, config, greeting):
    assert greeting == examples.call("my-plugin.hello", config)["greeting"]


def test_the_python_example_fails_with_a_code(examples):
    with pytest.raises(ActionError, match="EMPTY_NAME: there is nobody to greet") as caught:
        examples.call("my-plugin.hello", {"name": " "}, step_id="greet")

    assert {"step": "greet"} == caught.value.details


@pytest.mark.parametrize(
    ("expression", "result"),
    [(".", {"a": [{"b": 1}, {"b": 2}]}), (".a[1].b", 2), (".a[].b", [1, 2]), (".x.y", None)],
    ids=str,
)
def test_the_node_example_transforms(examples, need, expression, result):
    need("node")
    config = {"input": {"a": [{"b": 1}, {"b": 2}]}, "expression": expression}

    assert result == examples.call("my-js-plugin.transform", config)["result"]


def test_the_node_example_fails_with_a_code(examples, need):
    need("node")

    with pytest.raises(ActionError, match="BAD_EXPRESSION: not a path: a b"):
        examples.call("my-js-plugin.transform", {"input": 1, "expression": "a b"})


def test_the_bash_example_counts(examples, need):
    need("bash")
    need("python3")

    text = 'one two\nthree "four" $five\n'

    assert {"lines": 2, "words": 5, "bytes": 27} == examples.call("my-bash-plugin.count", {"text": text})


def test_the_bash_example_fails_with_the_exit_code_and_the_last_line_of_stderr(examples, need):
    need("bash")
    need("python3")

    with pytest.raises(ActionError, match="EXIT_4: no line matches z"):
        examples.call("my-bash-plugin.grep", {"text": "a\nb", "pattern": "z"})


def test_the_compiled_example_computes_a_checksum(checksum, processes):
    pool = ExternalPlugins(checksum.parent)
    try:
        output = pool.call("my-go-plugin.sha256", {"text": "a"})
        with pytest.raises(ActionError, match="CHECKSUM_MISMATCH"):
            pool.call("my-go-plugin.sha256", {"text": "a", "expected": "0"})
    finally:
        pool.stop()

    assert "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" == output["sha256"]


def test_the_examples_end_on_shutdown_without_waiting_for_the_grace(examples, need, processes, start):
    for tool in ("bash", "python3", "node"):
        need(tool)
    start(examples, ["my-plugin.hello", "my-js-plugin.transform", "my-bash-plugin.count"])
    assert 3 == len(processes.running())
    began = time.monotonic()

    examples.stop()

    assert time.monotonic() - began < LONG_GRACE.shutdown_s / 2
    assert [] == processes.left_over()


FLOW = """\
flow:
  name: "Product Price Check"

  steps:
    - id: greet
      action: my-plugin.hello
      config:
        name: "TestMesh"
      output:
        message: "$.greeting"

    - id: log_greeting
      action: log
      config:
        message: "Got greeting: ${greet.message}"
"""
NODE_FLOW = """\
flow:
  name: Echo through Node
  steps:
    - id: echo
      action: my-js-plugin.transform
      config: {input: {price: 29.99}, expression: .price}
      assert: [result.price == 29.99, transformed_at startsWith "20"]
"""


def run_page(pytester: pytest.Pytester, flow: str) -> pytest.RunResult:
    shutil.copytree(HERE / "page", pytester.path / "plugins", ignore=shutil.ignore_patterns("*.toml"))
    pytester.path.joinpath("flow-with-plugin.yaml").write_text(flow, encoding="utf-8")
    return pytester.runpytest_subprocess("-rP", "-p", "no:randomly")


def test_the_pages_flow_passes_through_the_pages_python_plugin(pytester):
    result = run_page(pytester, FLOW)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*Got greeting: Hello, TestMesh!*"])


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_a_flow_passes_through_the_pages_node_plugin(pytester):
    run_page(pytester, NODE_FLOW).assert_outcomes(passed=1)
