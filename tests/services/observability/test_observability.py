"""A whole example: one request to an instrumented service, then its trace, its log line and its counter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from running_shop import RunningShop, running_shop

from pytest_testmesh.polling import Deadline, attempts


@pytest.fixture
def shop(service: Any, unique: str, monkeypatch: pytest.MonkeyPatch, flows: Any) -> Iterator[RunningShop]:
    """An instrumented service that the real Jaeger, Loki and Prometheus hear of."""
    jaeger, loki, prometheus = (service(name).facts for name in ("jaeger", "loki", "prometheus"))
    if "targets_dir" not in prometheus:
        pytest.skip("this Prometheus has no folder of targets")
    for name, facts in (("JAEGER", jaeger), ("LOKI", loki), ("PROMETHEUS", prometheus)):
        monkeypatch.setenv(f"TESTMESH_{name}_URL", facts["url"])
    targets = Path(prometheus["targets_dir"]) / f"{unique}.json"
    with running_shop(unique, jaeger["otlp_http"], loki["push"]) as running:
        targets.write_text(json.dumps([{"targets": [running.url.removeprefix("http://")]}]))
        try:
            _wait_until_scraped(prometheus["url"], running.url.removeprefix("http://"))
            yield running
        finally:
            targets.unlink()


def _wait_until_scraped(prometheus_url: str, target: str) -> None:
    query = urlencode({"query": f'up{{instance="{target}"}}'})
    for _ in attempts(repeat(0.05), Deadline.after(120, "")):
        with urlopen(f"{prometheus_url}/api/v1/query?{query}", timeout=60) as response:
            if json.load(response)["data"]["result"]:
                return
    pytest.fail(f"Prometheus does not scrape {target}")


@pytest.mark.parametrize("name", ["order", "declined"])
def test_what_a_request_left_is_found(flows: Any, shop: RunningShop, name: str) -> None:
    done = flows.run(str(flows.add(f"observability/{name}.yaml")), SHOP=shop.name, SHOP_URL=shop.url)

    assert {"passed": 1} == done.outcomes, done.text
