"""What plugins need is installed inside their own folder, and a failure says what pip or npm said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from pytest_testmesh.errors import PluginRefusedError
from pytest_testmesh.registry.dependencies import move_environment, prepare_dependencies

WHEEL = {
    "greeting.py": "def main():\n    print('hello from a wheel')\n",
    "greeting-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n",
    "greeting-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "greeting-1.0.dist-info/entry_points.txt": "[console_scripts]\ngreet = greeting:main\n",
    "greeting-1.0.dist-info/RECORD": "",
}


@pytest.fixture
def add_wheel():
    """Put a wheel beside a plugin and ask for it, without any index."""

    def add(folder: Path, *lines: str) -> None:
        (folder / "wheels").mkdir()
        with zipfile.ZipFile(folder / "wheels" / "greeting-1.0-py3-none-any.whl", "w") as wheel:
            for name, content in WHEEL.items():
                wheel.writestr(name, content)
        options = ["--no-index", "--find-links wheels"]
        (folder / "requirements.txt").write_text("\n".join([*options, *lines]))

    return add


@pytest.fixture
def prepare(tmp_path, processes):
    """Prepare a folder and return the stages that were told."""

    def run(folder: Path, **limits: float) -> list[str]:
        lines: list[str] = []
        prepare_dependencies(folder, "demo", tmp_path / "log", lines.append, **limits)
        return lines

    return run


def test_requirements_are_installed_and_console_scripts_work_in_their_final_place(
    registry, make_source, add_wheel, run_actions
):
    source = make_source("demo")
    server = source / "server.py"
    server.write_text(f"import greeting, sys; assert sys.prefix.endswith('.venv')\n{server.read_text()}")
    add_wheel(source, "greeting")
    lines: list[str] = []

    folder = registry.install(source, progress=lines.append).manifest.folder

    assert ["making .venv", "pip install -r requirements.txt"] == lines[1:3]
    assert not (source / ".venv").exists()
    assert ["demo.run"] == run_actions(folder)
    script = subprocess.run([folder / ".venv" / "bin" / "greet"], capture_output=True, text=True, check=True)
    assert "hello from a wheel\n" == script.stdout
    activated = f". '{folder}/.venv/bin/activate' && command -v greet"
    found = subprocess.run(["bash", "-c", activated], capture_output=True, text=True, check=True)
    assert f"{folder}/.venv/bin/greet\n" == found.stdout


def test_what_pip_cannot_install_is_told_with_its_last_lines(registry, make_source, add_wheel, plugins_dir):
    source = make_source("demo")
    add_wheel(source, "no-such-package")

    with pytest.raises(PluginRefusedError) as caught:
        registry.install(source)

    first, *more = caught.value.message.splitlines()
    assert "dependencies of demo cannot be installed: pip exited with code 1" == first
    assert "No matching distribution found for no-such-package" in more[-1]
    assert not plugins_dir.exists()


def test_dependencies_can_be_left_out(registry, make_source):
    source = make_source("demo")
    (source / "requirements.txt").write_text("no-such-package")
    (source / "package.json").write_text('{"dependencies": {"no-such-package": "1"}}')

    plugin = registry.install(source, dependencies=False)

    assert not {".venv", "node_modules"} & set(os.listdir(plugin.manifest.folder))


NOTHING_TO_DO = {
    "nothing": {},
    "empty": {"requirements.txt": "", "package.json": "{}"},
    "only comments": {"requirements.txt": "# requests\n\n   \n  # httpx"},
    "no dependencies": {"package.json": '{"name": "demo", "type": "module", "dependencies": {}}'},
}


@pytest.mark.parametrize("files", NOTHING_TO_DO.values(), ids=NOTHING_TO_DO)
def test_files_that_ask_for_nothing_cost_nothing(tmp_path, prepare, files):
    for name, content in files.items():
        (tmp_path / name).write_text(content)

    assert [] == prepare(tmp_path)


def test_a_folder_named_like_the_file_asks_for_nothing(tmp_path, prepare):
    (tmp_path / "requirements.txt").mkdir()

    assert [] == prepare(tmp_path)


def test_absolute_paths_in_the_environment_follow_it(tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    packages = before / ".venv" / "lib" / "python3.x" / "site-packages"
    packages.mkdir(parents=True)
    (before / ".venv" / "bin").mkdir()
    (before / ".venv" / "bin" / "python").symlink_to(sys.executable)
    script = before / ".venv" / "bin" / "tool"
    script.write_text(f"#!{before}/.venv/bin/python\n")
    script.chmod(0o755)
    (packages / "local.pth").write_text(f"{before}/src\n")
    (packages / "binary.so").write_bytes(f"{before}".encode())

    move_environment(before, after)

    assert (f"#!{after}/.venv/bin/python\n", 0o755) == (script.read_text(), script.stat().st_mode & 0o777)
    assert f"{after}/src\n" == (packages / "local.pth").read_text()
    assert f"{before}" == (packages / "binary.so").read_text()


@pytest.fixture
def npm():
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")


def write_node_plugin(folder: Path) -> None:
    (folder / "greeting").mkdir()
    (folder / "greeting" / "package.json").write_text('{"name": "greeting", "version": "1.0.0"}')
    (folder / "greeting" / "index.js").write_text("module.exports = 'hello from npm'")
    package = {"name": "demo", "version": "1.0.0", "dependencies": {"greeting": "file:./greeting"}}
    (folder / "package.json").write_text(json.dumps(package))


@pytest.mark.usefixtures("npm")
def test_npm_installs_and_with_a_lock_file_exactly_what_is_in_it(registry, make_source, tmp_path):
    source = make_source("demo", type="reporter")
    write_node_plugin(source)
    lines: list[str] = []

    folder = registry.install(source, progress=lines.append).manifest.folder

    assert "npm install" == lines[1]
    said = subprocess.run(["node", "-p", "require('greeting')"], cwd=folder, capture_output=True, text=True, check=True)
    assert "hello from npm\n" == said.stdout
    shutil.copy(folder / "package-lock.json", source)
    registry.install(source, upgrade=True, progress=lines.append)
    assert "npm ci" in lines


@pytest.mark.usefixtures("npm")
def test_what_npm_cannot_install_is_told_with_its_last_lines(tmp_path, prepare):
    (tmp_path / "package.json").write_text("{not json")

    with pytest.raises(PluginRefusedError) as caught:
        prepare(tmp_path)

    first, *more = caught.value.message.splitlines()
    assert first.startswith("dependencies of demo cannot be installed: npm install exited with code ")
    assert any("JSON" in line for line in more)


def test_a_missing_npm_is_told(tmp_path, prepare, monkeypatch):
    (tmp_path / "package.json").write_text('{"dependencies": {"a": "1"}}')
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(PluginRefusedError, match=r"npm is not installed, and its package\.json needs it") as caught:
        prepare(tmp_path)

    assert "install Node.js with npm" in (caught.value.hint or "")


@pytest.fixture
def fake_npm(tmp_path, monkeypatch):
    """Put a program of that name first on PATH: what npm does when a package's scripts misbehave."""

    def write(script: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "npm").write_text(f"#!/bin/bash\n{script}")
        (folder / "npm").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        (tmp_path / "package.json").write_text('{"dependencies": {"a": "1"}}')

    return write


def test_a_tool_that_does_not_end_is_killed_with_all_it_started(tmp_path, prepare, fake_npm):
    fake_npm("echo fetching; setsid sleep 600 & sleep 600")

    with pytest.raises(PluginRefusedError, match=r"npm install was not done within 3\.00s\n  fetching"):
        prepare(tmp_path, limit_s=3)


def test_what_a_tool_leaves_running_ends_with_it(tmp_path, prepare, fake_npm):
    fake_npm("setsid sleep 600 & sleep 0.2")
    begin = time.monotonic()

    assert ["npm install"] == prepare(tmp_path)
    assert time.monotonic() - begin < 120


@pytest.fixture
def somebody_answers():
    """Have an answer wait on the standard input of this process."""
    reading, writing = os.pipe()
    before = os.dup(0)
    os.dup2(reading, 0)
    os.write(writing, b"yes\n")
    os.close(writing)
    os.close(reading)
    yield
    os.dup2(before, 0)
    os.close(before)


@pytest.mark.usefixtures("somebody_answers")
def test_a_tool_cannot_ask_questions(tmp_path, prepare, fake_npm):
    fake_npm("read answer || { echo nobody answers; exit 7; }")

    with pytest.raises(PluginRefusedError, match=r"npm install exited with code 7\n  nobody answers"):
        prepare(tmp_path)


def test_a_tool_that_is_killed_is_told(tmp_path, prepare, fake_npm):
    fake_npm("kill -9 $$")

    with pytest.raises(PluginRefusedError, match="npm install was killed by SIGKILL"):
        prepare(tmp_path)


def test_only_the_last_lines_are_shown(tmp_path, prepare, fake_npm):
    fake_npm("seq 100000; printf '\\xff\\n'; exit 1")

    with pytest.raises(PluginRefusedError) as caught:
        prepare(tmp_path)

    assert ["  99999", "  100000", "  \\xff"] == caught.value.message.splitlines()[-3:]
    assert 11 == len(caught.value.message.splitlines())
