"""HTTP steps against requests doing the same calls."""

from __future__ import annotations

import json
from pathlib import Path

from harness import TIMER, Figure, items_spent, make_suite, measure_pairs, run_pytest, run_python, serving

WHAT = "1,000 http_request steps / requests.Session doing the same calls"
UNIT = "x"
TARGET = 0.5

FLOW = """\
flow:
  name: {name}
  steps:
"""
STEP = """\
    - action: http_request
      config:
        method: GET
        url: "${{BASE_URL}}/orders/{n}"
        headers: {{Accept: application/json}}
      assert:
        - status == 200
        - body.id == {n}
"""
SCRIPT = """\
import json
import os
import pathlib
import time

import requests

base_url = os.environ["BASE_URL"]
headers = {"Accept": "application/json"}
with requests.Session() as session:
    session.get(f"{base_url}/orders/0")
    started = time.perf_counter()
    for n in range(COUNT):
        response = session.get(f"{base_url}/orders/{n}", headers=headers)
        assert response.status_code == 200
        assert response.json()["id"] == n
    seconds = time.perf_counter() - started
pathlib.Path("seconds.json").write_text(json.dumps(seconds))
"""


def measure(folder: Path, quick: bool) -> Figure:
    """Time the loop over a session, and the whole item of one flow; connections and imports are made before."""
    calls = 200 if quick else 1000
    flow = FLOW.format(name="calls") + "".join(STEP.format(n=n) for n in range(calls))
    warm_up = FLOW.format(name="warm up") + STEP.format(n=0)
    suite = make_suite(folder / "flows", {"conftest.py": TIMER, "a.yaml": warm_up, "b.yaml": flow})
    script = make_suite(folder / "script", {"calls.py": SCRIPT.replace("COUNT", str(calls))})

    with serving() as base_url:

        def theirs() -> float:
            run_python("calls.py", folder=script, BASE_URL=base_url)
            seconds: float = json.loads((script / "seconds.json").read_text(encoding="utf-8"))
            return seconds

        def ours() -> float:
            run_pytest(suite, BASE_URL=base_url)
            return items_spent(suite)["calls"].whole_s

        pairs = measure_pairs(theirs, ours, count=3 if quick else 9)
    theirs_s, ours_s = pairs.medians()
    return pairs.ratio(a_call=f"{theirs_s / calls * 1e6:.0f} µs requests, {ours_s / calls * 1e6:.0f} µs a step")
