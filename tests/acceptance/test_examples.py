"""The example flows of the repository, run as a reader of the README runs them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
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
    "flows/stored_order.yaml::An order is stored as it was answered",
}

PYTEST = [sys.executable, "-m", "pytest", "flows/", "-W", "error", "-p", "no:randomly", "-p", "no:cacheprovider"]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing of the developer's environment that changes the examples or their output."""
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("PYTEST_ADDOPTS", "PLUGINS_DIR", "STAGE", "TESTMESH_POSTGRESQL_URL", "TESTMESH_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def run_examples(*args: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run ``pytest flows/`` in a process of its own, with every warning an error."""
    return subprocess.run(
        [*PYTEST, *args], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180
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


def test_an_example_that_needs_servers_is_skipped_and_tells_which() -> None:
    run = run_examples("-rs", "-k", "closed_books")

    assert 0 == run.returncode, run.stdout + run.stderr
    assert "needs a PostgreSQL and a Redis: set TESTMESH_POSTGRESQL_URL and TESTMESH_REDIS_URL" in run.stdout


def test_a_failing_example_shows_neither_token_nor_card_number(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "flows", tmp_path / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    checkout = tmp_path / "flows" / "checkout.yaml"
    checkout.write_text(checkout.read_text().replace("status == 202", "status == 200"))

    run = run_examples("-vv", "-k", "Checkout", cwd=tmp_path)

    assert 1 == run.returncode, run.stdout + run.stderr
    assert "status == 200 is false" in run.stdout
    assert "Authorization: ***" in run.stdout
    assert '{"card_number": "***"}' in run.stdout
    assert "example-token-7d1f" not in run.stdout
    assert "4242424242424242" not in run.stdout


def order_states(database: Path) -> list[str]:
    """The states of a shop's orders; none before there is a shop."""
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as connection:
        try:
            return [state for (state,) in connection.execute("SELECT state FROM orders")]
        except sqlite3.OperationalError:  # its tables are not there yet
            return []


def wait_for_payment(database: Path, timeout_s: float = 60) -> None:
    """Return when the bank is at work on an order; fail the test when that never happens."""
    end = time.monotonic() + timeout_s
    while order_states(database) != ["PENDING"]:
        assert time.monotonic() < end, f"no payment within {timeout_s:g} s: {order_states(database)}"
        time.sleep(0.01)


@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_example_cancels_its_order(tmp_path: Path, signal_number: signal.Signals) -> None:
    shutil.copytree(ROOT / "flows", tmp_path / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    service = tmp_path / "flows" / "shop_service.py"
    service.write_text(service.read_text().replace("PAYMENT_TAKES_S = 0.3", "PAYMENT_TAKES_S = 3"))
    database = tmp_path / "temp" / "shop0" / "shop.db"
    args = ["-k", "declined", "--basetemp", str(tmp_path / "temp")]
    with subprocess.Popen(
        [*PYTEST, *args],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as pytest_process:
        wait_for_payment(database)
        os.killpg(pytest_process.pid, signal_number)
        output, errors = pytest_process.communicate(timeout=180)

    assert ["CANCELLED"] == order_states(database)
    assert 2 == pytest_process.returncode, output + errors
    assert "" == errors
