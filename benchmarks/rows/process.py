"""A whole run of flows against a whole run of plain tests that do the same."""

from __future__ import annotations

from pathlib import Path

from harness import Figure, make_suite, measure_pairs, run_pytest, serving

WHAT = "200 flows of 5 GETs, whole process / plain tests with requests.Session"
UNIT = "x"
TARGET = 0.8

FLOW = """\
flow:
  name: Order {n}
  steps:
"""
STEP = """\
    - action: http_request
      config:
        method: GET
        url: "${{BASE_URL}}/orders/{n}"
      assert:
        - status == 200
        - body.id == {n}
"""
CONFTEST = """\
import os

import pytest
import requests


@pytest.fixture(scope="session")
def session():
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="session")
def base_url():
    return os.environ["BASE_URL"]
"""
TEST = """\
def test_order_{n}(session, base_url):
    for _ in range(5):
        response = session.get(f"{{base_url}}/orders/{n}")
        assert response.status_code == 200
        assert response.json()["id"] == {n}


"""


def measure(folder: Path, quick: bool) -> Figure:
    """Time whole pytest processes: a file for each flow and each test; beside it all tests in one file."""
    count = 40 if quick else 200
    tests = [TEST.format(n=n) for n in range(count)]
    flows = {f"order_{n}.yaml": FLOW.format(n=n) + STEP.format(n=n) * 5 for n in range(count)}
    suite = make_suite(folder / "flows", flows)
    plain = make_suite(
        folder / "plain", {"conftest.py": CONFTEST, **{f"test_order_{n}.py": text for n, text in enumerate(tests)}}
    )
    one_file = make_suite(folder / "one", {"conftest.py": CONFTEST, "test_orders.py": "".join(tests)})
    repeats = 2 if quick else 7
    with serving() as base_url:
        pairs = measure_pairs(
            lambda: run_pytest(plain, BASE_URL=base_url), lambda: run_pytest(suite, BASE_URL=base_url), repeats
        )
        single = measure_pairs(
            lambda: run_pytest(one_file, BASE_URL=base_url), lambda: run_pytest(suite, BASE_URL=base_url), repeats // 2
        )
    theirs_s, ours_s = pairs.medians()
    return pairs.ratio(
        whole_process=f"{theirs_s:.2f} s plain, {ours_s:.2f} s flows",
        all_tests_in_one_file=f"{single.ratio().value:.2f}x ({single.medians()[0]:.2f} s plain)",
    )
