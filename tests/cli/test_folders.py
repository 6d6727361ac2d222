"""The command line works on the folder that a pytest session here would use, and asks pytest for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_testmesh.cli.folders import Folders, PytestConfigError, session_folders

SESSION = """
import pathlib

def pytest_collection_finish(session):
    from pytest_testmesh.session import info_cache_path, plugins_dir

    found = f"{plugins_dir(session.config)}|{info_cache_path(session.config)}"
    pathlib.Path(__file__).with_name("told.txt").write_text(found)
"""


def folders_of_a_session(project: Path) -> str:
    """Run pytest in the working directory and return which folders it uses."""
    (project / "conftest.py").write_text(SESSION)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the others take a second to load
    command = [sys.executable, "-m", "pytest", "-p", "pytest_testmesh.plugin"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    told = project / "told.txt"
    assert told.exists(), done.stdout + done.stderr
    return told.read_text()


@pytest.mark.parametrize(
    ("ini", "addopts", "environment"),
    [
        pytest.param("", "", {}, id="nothing set, below rootdir"),
        pytest.param("testmesh_plugins_dir = tools/plugins", "", {}, id="ini"),
        pytest.param("testmesh_plugins_dir = tools", "", {"PLUGINS_DIR": "other"}, id="environment before ini"),
        pytest.param("addopts = --testmesh-plugins-dir=own", "", {"PLUGINS_DIR": "other"}, id="addopts"),
        pytest.param(
            "addopts = --testmesh-plugins-dir own", "-q --testmesh-plugins-dir env", {}, id="PYTEST_ADDOPTS first"
        ),
        pytest.param("cache_dir = .cached", "-o cache_dir=.later", {}, id="override"),
        pytest.param("", "-p no:cacheprovider", {}, id="no cache"),
        pytest.param("addopts = -p no:cacheprovider -v", "", {}, id="no cache in addopts"),
        pytest.param("", "--rootdir=..", {}, id="rootdir"),
        pytest.param("", "-c ../other.ini", {}, id="another configuration file"),
        pytest.param("strict_config = true\nstrict_markers = true", "", {}, id="strict"),
    ],
)
def test_the_folders_are_those_of_a_session(
    project: Path, monkeypatch: pytest.MonkeyPatch, ini: str, addopts: str, environment: dict[str, str]
) -> None:
    (project / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    (project / "other.ini").write_text("[pytest]\ntestmesh_plugins_dir = elsewhere\n")
    (project / "sub").mkdir()
    monkeypatch.chdir(project / "sub")
    for name, value in {"PYTEST_ADDOPTS": addopts, **environment}.items():
        monkeypatch.setenv(name, value)
    folders = session_folders(create=True)

    assert folders_of_a_session(project) == f"{folders.plugins_dir}|{folders.info_cache}"


def test_the_option_goes_before_everything(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "pytest.ini").write_text("[pytest]\naddopts = --testmesh-plugins-dir=own\n")
    monkeypatch.setenv("PLUGINS_DIR", "env")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--testmesh-plugins-dir=env")

    assert project / "given" == session_folders(Path("given")).plugins_dir


def test_no_code_of_the_project_runs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "conftest.py").write_text("raise SystemExit('conftest.py runs')")
    (project / "mine.py").write_text("raise SystemExit('mine.py runs')")
    (project / "pytest.ini").write_text("[pytest]\naddopts = -p mine --cov=x -n 4\npythonpath = .\n")
    monkeypatch.setenv("PYTEST_PLUGINS", "mine")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p mine --mine=1")
    monkeypatch.setenv("PYTHONPATH", str(project))

    assert project / "plugins" == session_folders().plugins_dir
    assert "mine" == os.environ["PYTEST_PLUGINS"]
    assert "PYTEST_DISABLE_PLUGIN_AUTOLOAD" not in os.environ


@pytest.mark.parametrize("loading", ["", "1"])
def test_it_does_not_matter_whether_plugins_are_loaded_by_themselves(
    project: Path, monkeypatch: pytest.MonkeyPatch, loading: str
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", loading)
    (project / "pytest.ini").write_text("[pytest]\nrequired_plugins = pytest-nosuch\ntestmesh_plugins_dir = tools\n")

    assert project / "tools" == session_folders().plugins_dir
    assert loading == os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]


def test_no_configuration_file_is_needed(project: Path) -> None:
    (project / "pytest.ini").unlink()

    assert project / "plugins" == session_folders().plugins_dir


def test_nothing_is_printed_and_nothing_written(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folders = session_folders()

    assert Folders(plugins_dir=project / "plugins", info_cache=None) == folders
    assert ("", "") == capfd.readouterr()
    assert ["pytest.ini"] == [path.name for path in project.iterdir()]


def test_a_folder_that_is_there_has_a_cache(project: Path) -> None:
    (project / "plugins").mkdir()

    assert project / ".pytest_cache/d/testmesh/plugins.json" == session_folders().info_cache


@pytest.mark.parametrize(
    ("ini", "addopts", "reason"),
    [
        pytest.param("[pytest", "", "pytest.ini:1: unexpected value continuation", id="broken ini"),
        pytest.param("[pytest]", "--rootdir=/nosuch", "Directory '/nosuch' not found", id="no rootdir"),
        pytest.param("[pytest]", "-c nosuch.ini", "nosuch.ini'", id="no configuration file"),
        pytest.param("[pytest]", "'", "No closing quotation", id="open quotes"),
        pytest.param("[pytest]", "--rootdir", "--rootdir: expected one argument", id="option without value"),
        pytest.param("[pytest]\nminversion = 99", "", "'minversion' requires pytest-99", id="minversion"),
    ],
)
def test_a_broken_configuration_is_told_with_the_way_out(
    project: Path, monkeypatch: pytest.MonkeyPatch, ini: str, addopts: str, reason: str
) -> None:
    (project / "pytest.ini").write_text(ini)
    monkeypatch.setenv("PYTEST_ADDOPTS", addopts)

    with pytest.raises(PytestConfigError) as error:
        session_folders()

    assert reason in error.value.message
    assert error.value.hint is not None
