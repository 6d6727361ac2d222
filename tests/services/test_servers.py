"""How the tests come by their servers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from found_servers import Servers

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FACTS = HERE / "compose-services.json"
ADDRESSES = {
    "kafka": "127.0.0.1:9092",
    "neo4j": "bolt://127.0.0.1:7687",
    "postgres": "postgresql://postgres:test-password@127.0.0.1:5432/postgres",
    "redis": "redis://:test-password@127.0.0.1:6379/0",
    "minio": "http://127.0.0.1:9000",
    "loki": "http://127.0.0.1:3100",
    "prometheus": "http://127.0.0.1:9090",
    "jaeger": "http://127.0.0.1:16686",
    "tempo": "http://127.0.0.1:3200",
}


@pytest.fixture(scope="module")
def composed() -> Mapping[str, Any]:
    """The services of ``compose.yaml``."""
    services: Mapping[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return services


@pytest.fixture(scope="module")
def facts() -> Mapping[str, Any]:
    """What ``compose-services.json`` tells of them."""
    told: Mapping[str, Any] = json.loads(FACTS.read_text(encoding="utf-8"))
    return told


def test_compose_and_its_facts_name_the_same_servers(composed: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    assert ADDRESSES.keys() == composed.keys() == facts.keys()


@pytest.mark.parametrize("name", ADDRESSES)
def test_compose_publishes_on_loopback_what_the_facts_name(
    composed: Mapping[str, Any], facts: Mapping[str, Any], name: str
) -> None:
    published = {port.rpartition(":")[0] for port in composed[name]["ports"]}

    assert published == set(re.findall(r"127\.0\.0\.1:\d+", json.dumps(facts[name])))


@pytest.mark.parametrize(
    ("name", "setting", "fact"),
    [
        ("neo4j", "NEO4J_AUTH", "password"),
        ("postgres", "POSTGRES_PASSWORD", "password"),
        ("minio", "MINIO_ROOT_USER", "access_key"),
        ("minio", "MINIO_ROOT_PASSWORD", "secret_key"),
        ("minio", "MINIO_REGION", "region"),
    ],
)
def test_compose_sets_the_passwords_that_the_facts_name(
    composed: Mapping[str, Any], facts: Mapping[str, Any], name: str, setting: str, fact: str
) -> None:
    assert composed[name]["environment"][setting].endswith(facts[name][fact])


@pytest.mark.parametrize("name", ADDRESSES)
def test_every_server_has_an_address_for_clients(name: str) -> None:
    servers = Servers(str(FACTS), complete=True)

    assert ADDRESSES[name] == servers(name).url


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a test that asks for a server, beside our own ``conftest.py`` files."""
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    folder = pytester.mkdir("services")
    shutil.copy(HERE / "conftest.py", folder)
    shutil.copytree(HERE / "kit", folder / "kit", ignore=shutil.ignore_patterns("__pycache__"))
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
