"""Collecting flows against collecting as many plain test files."""

from __future__ import annotations

import statistics
from pathlib import Path

from harness import Figure, Pairs, make_suite, measure_pairs, milliseconds, processor_s, run_pytest

WHAT = "collecting 1,000 flows of 5 steps / 1,000 plain .py files, warm bytecode: processor time"
UNIT = "x"
TARGET = 1.0

# The texts differ from file to file where they do in real suites: in paths, ids and amounts.
FLOW = """\
flow:
  name: Order {n} is paid
  description: An order is created, paid and removed again.
  suite: orders
  tags: [smoke]
  env:
    API_URL: "${{API_URL:http://localhost:8080}}"
  steps:
    - id: create
      action: http_request
      config:
        method: POST
        url: "${{API_URL}}/orders"
        headers: {{Accept: application/json}}
        body: {{sku: sku-{n}, quantity: {n}, note: "order of ${{FLOW_NAME}}"}}
      output:
        order_id: $.body.id
      assert:
        - status == 201
        - body.total == {n}.5
    - id: pay
      action: http_request
      config:
        method: POST
        url: "${{API_URL}}/orders/${{order_id}}/pay"
        body: {{amount: "${{create.body.total}}"}}
      assert:
        - status == 200
        - body.state == "PAID"
    - id: paid
      action: http_request
      config:
        method: GET
        url: "${{API_URL}}/orders/${{order_id}}"
      eventually: 5s
      assert:
        - status == 200
        - body.items[0].sku == "sku-{n}"
    - action: log
      config:
        message: "order ${{order_id}} is ${{paid.body.state}}"
    - id: remove
      action: http_request
      config:
        method: DELETE
        url: "${{API_URL}}/orders/${{order_id}}"
      assert:
        - status == 204
"""

# The same test as people write it in Python; nothing but pytest is imported while it is collected.
TEST = """\
import os

import pytest

API_URL = os.environ.get("API_URL", "http://localhost:8080")


@pytest.mark.smoke
def test_order_{n}_is_paid(session):
    order = {{"sku": "sku-{n}", "quantity": {n}, "note": "order of test_order_{n}"}}
    created = session.post(f"{{API_URL}}/orders", json=order, headers={{"Accept": "application/json"}})
    assert created.status_code == 201
    assert created.json()["total"] == {n}.5
    order_id = created.json()["id"]

    paid = session.post(f"{{API_URL}}/orders/{{order_id}}/pay", json={{"amount": created.json()["total"]}})
    assert paid.status_code == 200
    assert paid.json()["state"] == "PAID"

    read = session.get(f"{{API_URL}}/orders/{{order_id}}")
    assert read.status_code == 200
    assert read.json()["items"][0]["sku"] == "sku-{n}"
    print(f"order {{order_id}} is {{read.json()['state']}}")

    assert session.delete(f"{{API_URL}}/orders/{{order_id}}").status_code == 204
"""
CONFTEST = """\
import pytest


@pytest.fixture(scope="session")
def session():
    import requests

    with requests.Session() as session:
        yield session
"""
SETTINGS = {"pytest.ini": "[pytest]\nmarkers = smoke\n"}


def measure(folder: Path, quick: bool) -> Figure:
    """Take the processor time of ``pytest --collect-only`` in both folders, and of one test for the bare start."""
    files = 200 if quick else 1000
    tests = {f"test_order_{n}.py": TEST.format(n=n) for n in range(files)}
    plain = make_suite(folder / "plain", {**SETTINGS, "conftest.py": CONFTEST, **tests})
    flows = make_suite(folder / "flows", {**SETTINGS, **{f"order_{n}.yaml": FLOW.format(n=n) for n in range(files)}})
    none = make_suite(
        folder / "none", {**SETTINGS, "conftest.py": CONFTEST, "test_one.py": "def test_one():\n    pass\n"}
    )
    cold_s = _collect(plain), _collect(flows)
    clock: list[float] = []
    pairs = measure_pairs(lambda: _collect(plain, clock), lambda: _collect(flows, clock), count=2 if quick else 7)
    start_s = statistics.median(_collect(none) for _ in range(5))
    plain_s, flows_s = pairs.medians()
    file_s, flow_s = (plain_s - start_s) / files, (flows_s - start_s) / files
    by_the_clock = Pairs(list(zip(clock[2::2], clock[3::2], strict=True)))
    return pairs.ratio(
        whole_process=f"{plain_s:.2f} s plain, {flows_s:.2f} s flows; {by_the_clock.ratio().value:.2f}x by the clock",
        a_file=f"{milliseconds(file_s)} plain, {milliseconds(flow_s)} a flow, {flow_s / file_s:.2f}x",
        first_run=f"{cold_s[0]:.2f} s plain (no bytecode yet), {cold_s[1]:.2f} s flows, {cold_s[1] / cold_s[0]:.2f}x",
    )


def _collect(suite: Path, clock: list[float] | None = None) -> float:
    seconds: list[float] = [] if clock is None else clock
    return processor_s(lambda: seconds.append(run_pytest(suite, "--collect-only")))
