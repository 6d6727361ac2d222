"""What having the plugin installed costs a suite without flows."""

from __future__ import annotations

import json
from pathlib import Path

from harness import Figure, Pairs, make_suite, measure_pairs, processor_s, run_pytest

WHAT = "plugin installed, suite without flows: processor time of the start"
UNIT = "ms"
TARGET = 5.0

CLIENTS = {
    "click", "confluent_kafka", "faker", "jsonpath", "jsonschema", "minio", "neo4j", "prometheus_api_client",
    "psutil", "psycopg2", "redis", "referencing", "requests", "urllib3", "yaml",
}  # fmt: skip

TELL_MODULES = """
import json
import pathlib
import sys

def pytest_unconfigure():
    pathlib.Path("modules.json").write_text(json.dumps(sorted(sys.modules)))
"""


def measure(folder: Path, quick: bool) -> Figure:
    """Time whole runs of one plain test with ``-p no:testmesh`` and without it, and list what we loaded."""
    test = "def test_plain():\n    pass\n"
    suite = make_suite(folder / "plain", {"test_plain.py": test})
    loaded = _loaded(make_suite(folder / "modules", {"test_plain.py": test, "conftest.py": TELL_MODULES}))
    ours = [name for name in loaded if name.partition(".")[0] == "pytest_testmesh"]
    clients = sorted(CLIENTS & {name.partition(".")[0] for name in loaded})
    clock: list[float] = []

    def start(*args: str) -> float:
        return processor_s(lambda: clock.append(run_pytest(suite, *args)))

    pairs = measure_pairs(lambda: start("-p", "no:testmesh"), start, count=5 if quick else 31)
    by_the_clock = Pairs(list(zip(clock[2::2], clock[3::2], strict=True)))
    return pairs.difference(
        1000,
        by_the_clock=f"{by_the_clock.difference(1000).value:.1f} ms",
        our_modules=f"{len(ours)} (at most 5): {', '.join(ours)}",
        other_modules_loaded_for_us=", ".join(name for name in loaded if name not in ours) or "none",
        client_libraries=", ".join(clients) or "none",
    )


def _loaded(suite: Path) -> list[str]:
    names: list[set[str]] = []
    for args in ((), ("-p", "no:testmesh")):
        run_pytest(suite, *args)
        names.append(set(json.loads((suite / "modules.json").read_text(encoding="utf-8"))))
    return sorted(names[0] - names[1])
