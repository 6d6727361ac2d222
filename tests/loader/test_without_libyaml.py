"""PyYAML without libyaml gives the same flow and the same errors, only slower."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pytest_testmesh

FLOW = "flow:\n  name: N\n  steps:\n    - {id: pay, action: log, config: {n: 5}}\n"
PROGRAM = """
import sys
sys.modules["yaml.cyaml"] = None
sys.path.insert(0, sys.argv[1])
from pytest_testmesh.errors import FlowError
from pytest_testmesh.loader import load_flow
try:
    flow = load_flow(sys.stdin.buffer.read(), "x.yaml")
    print(flow.steps[0].id, flow.steps[0].location.line, flow.steps[0].location.column)
except FlowError as exc:
    print(exc.location.line, exc.location.column, exc, exc.hint)
assert not __import__("yaml").__with_libyaml__
"""


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        (FLOW, "pay 4 7"),
        (f"{FLOW}    - {{}}\n", "5 7 step step_2 has no action None"),
        (
            f'{FLOW}    - assert:\n      - "x" == y\n',
            "6 13 not YAML: text after a value that ends with its closing quote or bracket "
            "put the whole line in quotes: - '\"x\" == y'",
        ),
        (f"{FLOW}\tx: 1\n", "5 1 not YAML: a tab where only spaces may indent replace the tab with spaces"),
        (f"{FLOW}    - *x\n", "5 7 not YAML: * starts an alias, and no anchor of that name comes before it"),
        (f"{FLOW}    - \x01\n", "5 7 the control character U+0001 may not stand in YAML"),
        (f'{FLOW}    - "\\U00110000"\n', "5 1 not YAML: chr() arg not in range"),
        (f"{FLOW}    - {'[' * 5000}\n", "5 103 nested more than 100 levels deep None"),
    ],
    ids=["flow", "schema", "quotes", "tab", "alias", "control", "escape", "deep"],
)
def test_the_python_parser_does_as_well(text: str, printed: str) -> None:
    root = str(Path(pytest_testmesh.__file__).parents[1])
    run = subprocess.run([sys.executable, "-c", PROGRAM, root], input=text.encode(), capture_output=True, check=False)

    assert (b"", 0) == (run.stderr, run.returncode)
    assert run.stdout.decode().strip().startswith(printed)
