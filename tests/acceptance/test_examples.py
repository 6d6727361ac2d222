"""The example flows of the repository, run as a reader of the README runs them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EXAMPLES = {
    "flows/bad_orders.yaml::Bad orders are refused",
    "flows/cancel.yaml::A cancelled order gives its stock back",
    "flows/checkout.yaml::Checkout",
    "flows/declined_card.yaml::A declined card",
    "flows/hello.yaml::Hello from a plugin",
    "flows/refund.yaml::A paid order can be cancelled",
    "flows/sold_out.yaml::A sold-out article sells again",
}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing of the developer's environment that changes the examples or their output."""
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("PYTEST_ADDOPTS", "PLUGINS_DIR", "STAGE"):
        monkeypatch.delenv(name, raising=False)


def run_examples(*args: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run ``pytest flows/`` in a process of its own, with every warning an error."""
    command = [sys.executable, "-m", "pytest", "flows/", "-W", "error", "-p", "no:randomly", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *args], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )


def outcomes(run: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The outcome of each node id, from the short summary of ``-rA``."""
    lines = re.findall(r"(?m)^([A-Z]+) (flows/\S+\.yaml::.+?)(?: - .*)?$", run.stdout)
    return {node_id: outcome for outcome, node_id in lines}


@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "two workers"])
def test_every_example_passes_and_leaves_no_process(workers: tuple[str, ...]) -> None:
    run = run_examples("-rA", *workers)

    assert dict.fromkeys(EXAMPLES, "PASSED") == outcomes(run), run.stdout + run.stderr
    assert 0 == run.returncode


def test_every_example_says_what_it_shows() -> None:
    undescribed = [path.name for path in (ROOT / "flows").glob("*.yaml") if "\n  description: " not in path.read_text()]

    assert [] == undescribed


def test_examples_can_be_selected_by_tag() -> None:
    run = run_examples("-rA", "-m", "smoke and orders", "--strict-markers")

    assert {"flows/checkout.yaml::Checkout": "PASSED"} == outcomes(run), run.stdout + run.stderr


def test_an_example_for_other_stages_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE", "production")

    run = run_examples("-rs", "-k", "declined")

    assert 0 == run.returncode, run.stdout + run.stderr
    assert "there are no test cards in production" in run.stdout


def test_a_failing_example_shows_neither_token_nor_card_number(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "flows", tmp_path / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    checkout = tmp_path / "flows" / "checkout.yaml"
    checkout.write_text(checkout.read_text().replace("status == 202", "status == 200"))

    run = run_examples("-vv", "-k", "Checkout", cwd=tmp_path)

    assert 1 == run.returncode, run.stdout + run.stderr
    assert "status == 200 is false" in run.stdout
    assert "example-token-7d1f" not in run.stdout
    assert "4242424242424242" not in run.stdout
