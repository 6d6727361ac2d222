"""A run that meets no flow pays for next to nothing of ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Site, Workbench

HEAVY = {
    "click", "confluent_kafka", "faker", "jsonpath", "jsonschema", "minio", "neo4j", "prometheus_api_client",
    "psutil", "psycopg2", "redis", "referencing", "requests", "urllib3", "yaml",
}  # fmt: skip
TELL = """
import json
import sys

def pytest_unconfigure(config):
    with open("modules.json", "w") as modules:
        json.dump(sorted(sys.modules), modules)
"""


def _modules(mesh: Workbench, *args: str) -> list[str]:
    """The modules that are loaded at the end of a run in which only our plugin is active."""
    mesh.file("conftest.py", TELL)
    mesh.file("test_plain.py", "def test_plain():\n    pass\n")
    run = mesh.run_apart("-p", "testmesh", *args, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    assert 0 == run.exit_code, run.text + run.errors
    loaded: list[str] = json.loads((mesh.path / "modules.json").read_text(encoding="utf-8"))
    return loaded


def _ours(modules: list[str]) -> list[str]:
    return [name for name in modules if name.partition(".")[0] == "pytest_testmesh"]


def _heavy(modules: list[str]) -> set[str]:
    return HEAVY & {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize("args", [(), ("--collect-only",), ("-v",)], ids=["run", "collect-only", "verbose"])
def test_a_run_without_flows_loads_at_most_five_of_our_modules_and_no_library(
    mesh: Workbench, args: tuple[str, ...]
) -> None:
    modules = _modules(mesh, *args)

    assert 1 <= len(_ours(modules)) <= 5, _ours(modules)
    assert set() == _heavy(modules)


def test_foreign_yaml_is_not_parsed(mesh: Workbench) -> None:
    for number in range(20):
        mesh.file(f"deploy/{number}.yaml", "services:\n  web: {image: nginx}\n")

    modules = _modules(mesh)

    assert len(_ours(modules)) <= 5, _ours(modules)
    assert set() == _heavy(modules)


def test_collecting_flows_loads_no_client(mesh: Workbench) -> None:
    mesh.flow("orders", "steps: [{action: http_request, config: {method: GET, url: http://x}}, {action: log}]")

    loaded = _heavy(_modules(mesh, "--collect-only"))

    assert set() == loaded - {"yaml", "jsonschema", "referencing", "jsonpath"}


def test_a_run_loads_nothing_of_a_service_that_no_step_names_but_its_schemas(mesh: Workbench, site: Site) -> None:
    mesh.flow("orders", f"steps: [{{action: http_request, config: {{method: GET, url: {site.url}}}}}]")

    modules = [name.split(".")[2:] for name in _modules(mesh) if name.startswith("pytest_testmesh.integrations.")]

    assert {"http", "postgresql"} <= {service for service, *_ in modules}
    assert {"http"} == {service for service, *inner in modules if inner}
