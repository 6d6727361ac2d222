"""The budgets as ratios, measured side by side in one run: ``python benchmarks/run.py [--quick] [ROW ...]``.

Needs an environment with the package and its test extra installed. Nothing here fails because of a time: a figure
is for people to read.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

from harness import Figure, NotMeasured

ROWS = (
    "startup", "collect", "http", "process", "engine", "plugin", "start",
    "sqlite", "postgresql", "redis", "kafka", "neo4j", "minio",
)  # fmt: skip


def main(args: Sequence[str] | None = None) -> None:
    options = _options(args)
    if not any(each.name == "testmesh" for each in entry_points(group="pytest11")):
        raise SystemExit("pytest-testmesh is not installed in this environment: pip install -e '.[test]'")
    _say(f"{platform.platform()}, {_versions()}{', quick: figures are rough' if options.quick else ''}\n")
    results = []
    for name in options.rows or ROWS:
        try:
            result = _measure(name, options.quick)
        except NotMeasured as exc:
            _say(f"{name:<10} not measured: {exc}\n")
            continue
        results.append(result)
        for line in _lines(result):
            _say(line)
    if options.json:
        options.json.write_text(
            json.dumps({"versions": _versions(), "rows": results}, indent=2) + "\n", encoding="utf-8"
        )


def _options(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", choices=[*ROWS, []], help=f"which ones: {' '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="smaller suites, fewer repeats: some 40 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    return parser.parse_args(args)


def _versions() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("pytest", "requests", "urllib3"))
    return f"Python {platform.python_version()}, {libraries}"


def _measure(name: str, quick: bool) -> dict[str, Any]:
    row = import_module(f"rows.{name}")
    with tempfile.TemporaryDirectory(prefix=f"testmesh-bench-{name}-") as folder:
        figure: Figure = row.measure(Path(folder).resolve(), quick)
    return {
        "row": name,
        "what": row.WHAT,
        "figure": figure.value,
        "unit": row.UNIT,
        "smallest": figure.spread[0],
        "largest": figure.spread[1],
        "target": row.TARGET,
        "reached": figure.value <= row.TARGET,
        "detail": figure.detail,
    }


def _lines(result: dict[str, Any]) -> Iterator[str]:
    shown = {key: _shown(result[key], result["unit"]) for key in ("figure", "target", "smallest", "largest")}
    verdict = "reached" if result["reached"] else "NOT REACHED"
    yield f"{result['row']:<10} {result['what']}"
    yield f"{'':<10}   {shown['figure']} (target {shown['target']}): {verdict}"
    yield f"{'':<10}   from {shown['smallest']} to {shown['largest']} over the repeats"
    for name, text in result["detail"].items():
        yield f"{'':<10}   {name}: {text}"
    yield ""


def _shown(value: float, unit: str) -> str:
    return f"{value:.2f}x" if unit == "x" else f"{value:.1f} {unit}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
