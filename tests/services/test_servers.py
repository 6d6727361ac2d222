"""How the tests come by their servers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def test_compose_and_its_facts_name_the_same_servers_and_ports() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    facts = json.loads(Path(__file__).with_name("compose-services.json").read_text(encoding="utf-8"))

    assert services.keys() == facts.keys()
    for name, service in services.items():
        for port in service["ports"]:
            address, _, _inner = port.rpartition(":")
            assert address in json.dumps(facts[name]), f"{name} listens at {address}"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a test that asks for a server, beside our own ``conftest.py`` files."""
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    folder = pytester.mkdir("services")
    folder.joinpath("conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text(encoding="utf-8"))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("TESTMESH_TEST_SERVICES", raising=False)

    def start(name: str, url: str = "", **environ: str) -> Any:
        test = f"NAME, URL = {name!r}, {url!r}\n\ndef test_it(service):\n    assert URL in service(NAME).url\n"
        folder.joinpath("test_it.py").write_text(test)
        for key, value in environ.items():
            monkeypatch.setenv(key, value)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider")

    return start


def test_a_server_that_a_file_names_is_used(run: Callable[..., Any], tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text('{"loki": {"url": "http://127.0.0.1:7"}}')
    done = run("loki", "http://127.0.0.1:7", TESTMESH_TEST_SERVICES=str(facts))

    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["*real servers*", "loki: TESTMESH_TEST_SERVICES (1 test)"])


def test_a_missing_server_is_skipped_and_told(run: Callable[..., Any]) -> None:
    done = run("loki")

    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["loki: missing: set TESTMESH_TEST_SERVICES to a JSON file that names one (1 test)"])


def test_a_missing_server_fails_in_ci(run: Callable[..., Any], tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text("{}")
    done = run("redis", CI="true", TESTMESH_TEST_SERVICES=str(facts))

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([f"{facts} names no redis; in CI every server must be there"])
