"""``otel.*`` in flows: the same flows against recorded answers of Tempo, the real Jaeger and a real Tempo."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize("name", ["trace", "search"])
def test_flow(flows: Any, stored: Any, name: str) -> None:
    done = flows.run(str(flows.add(f"otel/{name}.yaml")), **stored.variables)

    assert {"passed": 1} == done.outcomes, done.text


@pytest.mark.parametrize("stored", ["recorded tempo", "tempo"], indirect=True)
def test_traceql(flows: Any, stored: Any) -> None:
    done = flows.run(str(flows.add("otel/traceql.yaml")), **stored.variables)

    assert {"passed": 1} == done.outcomes, done.text
