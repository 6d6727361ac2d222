"""Steps of one service against its bare client doing the same calls, with the connection made before.

A call over loopback takes less time than the engine needs for any step: the detail tells both shares.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
from harness import TIMER, Figure, NotMeasured, Pairs, items_spent, make_suite, measure_pairs, run_pytest, run_python

sys.path.append(str(Path(__file__).parents[1] / "tests" / "services" / "kit"))

from found_servers import NAMED_BY, Servers
from real_server import Server

FLOW = """\
flow:
  name: {name}
  steps:
"""
LOG_STEP = """\
    - action: log
      config: {{message: "bench:{n}"}}
      assert: ["message == 'bench:{n}'"]
"""
TIMED = """\
import json
import os
import pathlib
import time

{before}
started = time.perf_counter()
for n in range({count}):
{call}
seconds = time.perf_counter() - started
{after}
pathlib.Path("seconds.json").write_text(json.dumps(seconds))
"""


@contextmanager
def server(name: str) -> Iterator[Server]:
    """Give the server that ``TESTMESH_TEST_SERVICES`` names, else one that is started for this row.

    Raises:
        NotMeasured: There is none, and pip brought none.
    """
    servers = Servers(os.environ.get(NAMED_BY), complete=False)
    try:
        yield servers(name)
    except pytest.skip.Exception as exc:
        raise NotMeasured(str(exc)) from exc
    finally:
        servers.stop()


@dataclass(frozen=True, slots=True)
class Calls:
    """What *count* calls took, and as many steps; *detail* tells what one takes."""

    pairs: Pairs
    count: int
    detail: dict[str, str]

    def ratio(self) -> Figure:
        """Return steps / calls."""
        return self.pairs.ratio(**self.detail)

    def milliseconds_more(self) -> Figure:
        """Return what one step takes longer than a call."""
        return self.pairs.difference(1000 / self.count, **self.detail)


def measure_calls(
    folder: Path, quick: bool, *, client: str, step: str, before: str, call: str, after: str, **environ: str
) -> Calls:
    """Time the loop over a bare client, and the whole item of one flow; connections and imports are made before.

    *step* is a step of a flow with ``{n}`` in it; *before*, *call* and *after* are Python: *call* is the body of the
    timed loop, *before* also makes what the steps ask for.
    """
    calls = 200 if quick else 1000
    script = TIMED.format(before=before, call=call, after=after, count=calls).replace("COUNT", str(calls))
    plain = make_suite(folder / "script", {"calls.py": script})
    flows = {
        "a.yaml": FLOW.format(name="warm up") + step.format(n=0),
        "b.yaml": FLOW.format(name="calls") + "".join(step.format(n=n) for n in range(calls)),
        "c.yaml": FLOW.format(name="logs") + "".join(LOG_STEP.format(n=n) for n in range(calls)),
    }
    suite = make_suite(folder / "flows", {"conftest.py": TIMER, **flows})
    engine_s: list[float] = []

    def theirs() -> float:
        run_python("calls.py", folder=plain, **environ)
        seconds: float = json.loads((plain / "seconds.json").read_text(encoding="utf-8"))
        return seconds

    def ours() -> float:
        run_pytest(suite, **environ)
        spent = items_spent(suite)
        engine_s.append(spent["logs"].whole_s)
        return spent["calls"].whole_s

    pairs = measure_pairs(theirs, ours, count=3 if quick else 9)
    theirs_s, ours_s = pairs.medians()
    call_us, step_us, log_us = (each / calls * 1e6 for each in (theirs_s, ours_s, median(engine_s)))
    beyond = (step_us - log_us) / call_us
    detail = {
        "a_call": f"{call_us:.0f} µs {client}, {step_us:.0f} µs a step",
        "a_log_step": f"{log_us:.0f} µs; what the step takes beyond it: {beyond:.2f}x {client}",
    }
    return Calls(pairs, calls, detail)
