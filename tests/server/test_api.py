"""Every path of the REST API answers as the original's scripts expect, and does what it says."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from pytest_testmesh.registry.registry import PluginRegistry

MANIFEST = {
    "id": "my-plugin",
    "name": "Web Scraper",
    "version": "1.0.0",
    "description": "Scrape and extract data from web pages",
    "author": "Your Name",
    "homepage": "https://github.com/yourname/testmesh-scraper",
    "type": "action",
    "entry_point": "server.py",
    "permissions": ["network", "filesystem"],
    "config": {"timeout": 30},
}
PAGE = """
curl -X POST http://localhost:5016/api/v1/plugins/install \\
  -H "Content-Type: application/json" \\
  -d '{"source": "/path/to/my-plugin"}'
curl http://localhost:5016/api/v1/plugins
curl -X POST http://localhost:5016/api/v1/plugins/my-plugin/enable
curl -X POST http://localhost:5016/api/v1/plugins/my-plugin/disable
curl -X POST http://localhost:5016/api/v1/plugins/discover
curl -X DELETE http://localhost:5016/api/v1/plugins/my-plugin
"""


def test_an_installed_plugin_is_answered_with_its_manifest_and_state(client: Any, make_plugin: Any) -> None:
    reply = client.api("POST", "/install", {"source": str(make_plugin(**MANIFEST))})

    plugin = reply.json
    assert 201 == reply.status
    assert MANIFEST == plugin["manifest"]
    assert (True, True, False, None) == tuple(plugin[key] for key in ("enabled", "loaded", "starting", "error"))
    assert ["my-plugin.run"] == [action["id"] for action in plugin["actions"]]


def test_an_installed_plugin_lies_in_the_plugins_folder(client: Any, make_plugin: Any, plugins_dir: Path) -> None:
    plugin = client.api("POST", "/install", {"source": str(make_plugin())}).json

    assert str(plugins_dir / "my-plugin") == plugin["path"]
    assert (plugins_dir / "my-plugin" / "server.py").is_file()


def test_the_list_holds_what_was_installed(client: Any, make_plugin: Any) -> None:
    installed = client.api("POST", "/install", {"source": str(make_plugin())}).json

    listed = client.api("GET").json

    assert {"plugins": [installed], "total": 1, "broken": [], "ignored": []} == listed
    assert installed == client.plugin("my-plugin")


def test_enable_disable_and_uninstall_say_what_they_did(client: Any, make_plugin: Any) -> None:
    client.api("POST", "/install", {"source": str(make_plugin())})

    replies = [
        client.api("POST", "/my-plugin/disable"),
        client.api("POST", "/my-plugin/enable"),
        client.api("DELETE", "/my-plugin"),
    ]

    assert [200, 200, 200] == [reply.status for reply in replies]
    assert [{"message": f"Plugin {done}"} for done in ("disabled", "enabled", "uninstalled")] == [
        reply.json for reply in replies
    ]
    assert 0 == client.api("GET").json["total"]


def test_discover_counts_what_is_there(client: Any, make_plugin: Any, plugins_dir: Path) -> None:
    make_plugin("one", into=plugins_dir)
    make_plugin("two", into=plugins_dir)

    found = client.api("POST", "/discover").json

    assert 2 == found["discovered"] == found["total"]
    assert [("one", True), ("two", True)] == [(each["manifest"]["id"], each["loaded"]) for each in found["plugins"]]


def test_native_lists_the_eight_integrations_of_the_page(idle_client: Any) -> None:
    native = idle_client.api("GET", "/native").json

    eight = ["kafka", "postgresql", "redis", "neo4j", "minio", "otel", "loki", "prometheus"]
    assert (eight, 8) == (native["plugins"], native["total"])
    assert eight == [each["id"] for each in native["integrations"]]
    assert {"http_request", "log", "delay", "assert"} <= {each["id"] for each in native["actions"]}


def test_types_are_those_of_the_page(idle_client: Any) -> None:
    types = idle_client.api("GET", "/types").json["types"]

    assert [
        {"type": "action", "description": "Custom action handlers used as steps in flows"},
        {"type": "auth", "description": "Custom authentication providers"},
        {"type": "importer", "description": "Import test flows from external formats"},
        {"type": "exporter", "description": "Export flows to external formats"},
        {"type": "reporter", "description": "Generate custom report formats"},
    ] == types


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_pages_lines_work_as_written(client: Any, make_plugin: Any) -> None:
    """Only address and path are put in."""
    script = PAGE.replace("localhost:5016", f"localhost:{client.port}").replace(
        "/path/to/my-plugin", str(make_plugin())
    )
    script = script.replace("curl ", "curl --silent --write-out ' %{http_code}\\n' ")

    lines = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout.splitlines()

    assert ["201", "200", "200", "200", "200", "200"] == [line.rpartition(" ")[2] for line in lines]
    assert '{"message":"Plugin enabled"} 200' == lines[2]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/enable"), ("POST", "/disable"), ("DELETE", "")],
    ids=["show", "enable", "disable", "uninstall"],
)
def test_an_unknown_id_is_404(idle_client: Any, method: str, path: str) -> None:
    reply = idle_client.api(method, f"/nobody{path}")

    assert 404 == reply.status
    assert "nobody" in reply.json["error"]


def test_a_taken_id_is_409_unless_it_is_an_upgrade(client: Any, make_plugin: Any, tmp_path: Path) -> None:
    client.api("POST", "/install", {"source": str(make_plugin())})
    newer = make_plugin(into=tmp_path / "newer", version="2.0.0")

    again = client.api("POST", "/install", {"source": str(newer)})
    upgraded = client.api("POST", "/install", {"source": str(newer), "upgrade": True})

    assert (409, 201) == (again.status, upgraded.status)
    assert ("2.0.0", True) == (upgraded.json["manifest"]["version"], upgraded.json["loaded"])


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("sources/my-plugin", "absolute"),
        ("~/my-plugin", "absolute"),
        ("http://example.com/my-plugin", "URL"),
        ("git+ssh://example.com/my-plugin", "URL"),
        ("file:///srv/my-plugin", "URL"),
        ("file:/srv/my-plugin", "URL"),
        ("/no/such/folder", "not a folder"),
        ("/etc/hostname", "not a folder"),
        ("/\0", "not a folder"),
        ("/\ud800", ""),
        ("/" + "x" * 4000, "not a folder"),
        ("", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_a_source_that_is_no_folder_of_this_machine_is_422(idle_client: Any, source: Any, told: str) -> None:
    reply = idle_client.api("POST", "/install", {"source": source})

    assert 422 == reply.status
    assert told in reply.json["error"]


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", "7", '{"source": "/x", "extra": 1}', '{"upgrade": true}', "[" * 5000]
)
def test_a_body_that_is_no_request_is_refused(idle_client: Any, body: str) -> None:
    reply = idle_client.request("POST", "/api/v1/plugins/install", body, {"Content-Type": "application/json"})

    assert reply.status in (400, 422)
    assert reply.json["error"]


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "../x"},
        {"id": ".."},
        {"id": "redis"},
        {"type": "gizmo"},
        {"version": "one"},
        {"entry_point": "../server.py"},
    ],
    ids=str,
)
def test_a_manifest_that_cannot_be_used_is_422(
    client: Any, make_plugin: Any, plugins_dir: Path, changes: dict[str, str]
) -> None:
    source = make_plugin("sound")
    manifest = source / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))

    reply = client.api("POST", "/install", {"source": str(source)})

    assert 422 == reply.status
    assert [] == [each.name for each in plugins_dir.iterdir() if not each.name.startswith(".")]


def test_a_plugin_that_exits_at_once_is_not_installed_and_its_stderr_is_told(
    client: Any, make_plugin: Any, plugins_dir: Path
) -> None:
    reply = client.api("POST", "/install", {"source": str(make_plugin("broken"))})

    assert 422 == reply.status
    assert "exited with code 1 before it was healthy" in reply.json["error"]
    assert "ValueError: this plugin is broken" == reply.json["stderr"][-1]
    assert not (plugins_dir / "broken").exists()


@pytest.mark.parametrize("kind", ["auth", "importer", "exporter", "reporter"])
def test_other_types_can_be_installed_but_have_no_process(client: Any, make_plugin: Any, kind: str) -> None:
    reply = client.api("POST", "/install", {"source": str(make_plugin(type=kind))})

    assert 201 == reply.status
    assert (kind, True, False) == (reply.json["manifest"]["type"], reply.json["enabled"], reply.json["loaded"])
    assert 200 == client.api("POST", "/my-plugin/enable").status


def test_a_broken_manifest_in_the_folder_is_listed_as_such(client: Any, make_plugin: Any, plugins_dir: Path) -> None:
    make_plugin("sound", into=plugins_dir, version="one")

    listed = client.api("GET").json

    assert ([], ["sound"]) == (listed["plugins"], [each["id"] for each in listed["broken"]])
    assert "version" in listed["broken"][0]["error"]


def test_what_json_cannot_hold_does_not_break_the_list(client: Any, make_plugin: Any, plugins_dir: Path) -> None:
    make_plugin("odd", into=plugins_dir, name="half \ud800 pair", config={"deep": [[float("nan")]], "\udfff": "\ud800"})

    reply = client.api("GET")

    assert 200 == reply.status
    assert "half ? pair" == reply.json["plugins"][0]["manifest"]["name"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/my-plugin", "DELETE, GET"),
        ("POST", "/native", "GET"),
        ("GET", "/my-plugin/enable", "POST"),
        ("OPTIONS", "", "GET"),
        ("TRACE", "", "GET"),
    ],
)
def test_a_method_that_a_path_does_not_have_is_405(idle_client: Any, method: str, path: str, allowed: str) -> None:
    reply = idle_client.api(method, path)

    assert (405, allowed) == (reply.status, reply.headers["Allow"])
    assert f"allowed: {allowed}" == reply.json["hint"]


@pytest.mark.parametrize("path", ["/nothing", "/api/v2/plugins", "/api/v1/plugins/", "/redoc", "/api/v1/plugins/a/b"])
def test_an_unknown_path_is_404_in_our_shape(idle_client: Any, path: str) -> None:
    reply = idle_client.request("GET", path)

    assert 404 == reply.status
    assert {"error": f"there is nothing at {path}", "hint": "/docs lists what there is"} == reply.json


def test_operations_on_other_plugins_do_not_wait_for_a_slow_one(
    client: Any, make_plugin: Any, registry: PluginRegistry, plugins_dir: Path
) -> None:
    for plugin_id in ("held", "quick"):
        make_plugin(plugin_id, into=plugins_dir)
        registry.set_enabled(plugin_id, False)
    held = threading.Thread(target=client.api, args=("POST", "/held/enable"))
    held.start()

    quick = client.api("POST", "/quick/enable")

    assert held.is_alive()
    (plugins_dir / "held" / "go").touch()
    held.join()
    assert (200, True) == (quick.status, client.plugin("quick")["loaded"])


def test_the_description_covers_every_path_and_every_error(idle_client: Any) -> None:
    described = idle_client.request("GET", "/openapi.json").json

    operations = {
        (path, method): entry for path, methods in described["paths"].items() for method, entry in methods.items()
    }
    assert 9 == len(operations)
    assert all({"401", "403"} <= entry["responses"].keys() for entry in operations.values())
    assert all(
        {"413", "415"} <= entry["responses"].keys() for (_, method), entry in operations.items() if method != "get"
    )
    assert "HTTPValidationError" not in described["components"]["schemas"]


def test_the_documentation_loads_nothing_from_elsewhere(idle_client: Any) -> None:
    html = idle_client.request("GET", "/docs").body.decode()

    assert "POST /api/v1/plugins/install" in html
    assert "http://" not in html
    assert "https://" not in html
