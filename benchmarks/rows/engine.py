"""What the engine itself adds to a step."""

from __future__ import annotations

from pathlib import Path

from harness import TIMER, Figure, figure, items_spent, make_suite, run_pytest

WHAT = "engine overhead of a step (log action, one template, one assertion): processor time"
UNIT = "µs"
TARGET = 60.0

FLOW = """\
flow:
  name: {name}
  env: {{order: 7}}
  steps:
"""
STEP = """\
    - action: log
      config: {message: "order ${order} is here"}
      assert: ["message == 'order 7 is here'"]
"""


def measure(folder: Path, quick: bool) -> Figure:
    """Take the processor time of a whole item of many such steps, reports and all, less that of one step."""
    steps = 1000
    flows = {"a.yaml": ("warm up", 1), "b.yaml": ("one", 1), "c.yaml": ("many", steps)}
    texts = {file: FLOW.format(name=name) + STEP * count for file, (name, count) in flows.items()}
    suite = make_suite(folder / "flows", {"conftest.py": TIMER, **texts})
    repeats = 3 if quick else 9
    without_logging = [_step_us(suite, steps, "-p", "no:logging") for _ in range(repeats)]
    return figure(
        [_step_us(suite, steps) for _ in range(repeats)],
        without_pytest_capturing_the_log=f"{figure(without_logging).value:.1f} µs",
    )


def _step_us(suite: Path, steps: int, *args: str) -> float:
    run_pytest(suite, *args)
    spent = items_spent(suite)
    return (spent["many"].processor_s - spent["one"].processor_s) / (steps - 1) * 1e6
