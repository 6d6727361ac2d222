"""`create_plugin` writes plugins that work at once, in every language, or changes nothing."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_testmesh import plugin_sdk
from pytest_testmesh.errors import ActionError, MeshError, PluginExistsError, PluginRefusedError, RegistryError
from pytest_testmesh.external.manifest import read_manifest
from pytest_testmesh.external.pool import ExternalPlugins
from pytest_testmesh.external.state import locked, read_state
from pytest_testmesh.registry import LANGUAGES
from pytest_testmesh.registry.scaffold import create_plugin

TOOLS = {"python": (), "node": ("node",), "bash": ("bash", "python3")}
FILES = {
    "python": {"server.py", "plugin_sdk.py"},
    "node": {"server.js"},
    "bash": {"server.sh", "serve.py", "plugin_sdk.py"},
}

PORT_TRIES = 3

each_language = pytest.mark.parametrize("language", LANGUAGES)


@pytest.fixture
def need() -> Callable[[str], None]:
    """Skip the test where a tool of the language is not installed."""

    def require(language: str) -> None:
        for tool in TOOLS[language]:
            if shutil.which(tool) is None:
                pytest.skip(f"{tool} is not installed")

    return require


@pytest.fixture
def plugins_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The plugins folder of an empty project; there is none yet."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    for name in ("PYTEST_ADDOPTS", "PLUGINS_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "plugins"


@pytest.fixture
def pool(plugins_dir: Path) -> Iterator[ExternalPlugins]:
    plugins = ExternalPlugins(plugins_dir)
    yield plugins
    plugins.stop()


def run_pytest(target: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        str(target),
        "-W",
        "error",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
    ]
    project = target.parent.parent
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=180, check=False)


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every entry below *folder* with its content; the lock file of the plugins folder may come and stay."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.name != ".testmesh.lock"
    }


@each_language
def test_a_new_plugin_passes_its_own_test(need: Callable[[str], None], plugins_dir: Path, language: str) -> None:
    """Its id has everything that an id may have."""
    need(language)

    folder = create_plugin(plugins_dir, "0-Shop.v2_x", language)
    run = run_pytest(folder)

    assert plugins_dir / "0-Shop.v2_x" == folder
    assert 0 == run.returncode, run.stdout + run.stderr
    assert "1 passed" in run.stdout
    assert "failed" not in run.stdout


@each_language
def test_a_new_plugin_is_whole_and_named_throughout(plugins_dir: Path, language: str) -> None:
    folder = create_plugin(plugins_dir, "greeter", language)

    assert {"manifest.json", "greeter.yaml", *FILES[language]} == {path.name for path in folder.iterdir()}
    assert ("greeter", "action", "1.0.0") == (lambda m: (m.id, m.type, m.version))(read_manifest(folder))
    others = [path for path in folder.iterdir() if path.name != "plugin_sdk.py"]
    assert [] == [path.name for path in others if "my-plugin" in path.read_text(encoding="utf-8")]
    assert [folder] == [path for path in plugins_dir.iterdir() if path.name != ".testmesh.lock"]


@pytest.mark.parametrize("language", ["python", "bash"])
def test_the_sdk_is_copied_as_it_is(plugins_dir: Path, language: str) -> None:
    folder = create_plugin(plugins_dir, "greeter", language)

    assert Path(plugin_sdk.__file__).read_bytes() == (folder / "plugin_sdk.py").read_bytes()


def test_files_and_folders_have_the_rights_that_the_user_gives_to_new_ones(plugins_dir: Path) -> None:
    mask = os.umask(0o027)
    try:
        folder = create_plugin(plugins_dir, "greeter", "python")
    finally:
        os.umask(mask)

    assert {0o640} == {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert 0o750 == folder.stat().st_mode & 0o777


@each_language
def test_any_text_passes_through_unharmed(
    need: Callable[[str], None], plugins_dir: Path, pool: ExternalPlugins, language: str
) -> None:
    need(language)
    create_plugin(plugins_dir, "greeter", language)

    names = [
        "O'Neil",
        'the "best"',
        "back\\slash",
        "$HOME `id` $(id) ${name}",
        "a\nb\tc",
        "Zoë 🫖",
        "-n",
        "100%",
        "&",
        "*",
    ]
    assert [f"Hello, {name}!" for name in names] == [
        pool.call("greeter.hello", {"name": name})["greeting"] for name in names
    ]


@each_language
def test_a_step_may_leave_out_what_the_manifest_gives(
    need: Callable[[str], None], plugins_dir: Path, pool: ExternalPlugins, language: str
) -> None:
    need(language)
    create_plugin(plugins_dir, "greeter", language)

    assert "Hello, Ada!" == pool.call("greeter.hello", {"name": "Ada"})["greeting"]
    assert "Hi, Ada!" == pool.call("greeter.hello", {"name": "Ada", "greeting": "Hi"})["greeting"]


def test_a_bash_action_sees_no_config_of_the_environment(
    need: Callable[[str], None], plugins_dir: Path, pool: ExternalPlugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("bash")
    monkeypatch.setenv("CONFIG_title", "Queen")
    folder = create_plugin(plugins_dir, "greeter", "bash")
    change(folder / "server.sh", "$CONFIG_greeting, ", "${CONFIG_title-no title}, ")

    assert "no title, Ada!" == pool.call("greeter.hello", {"name": "Ada"})["greeting"]


@each_language
def test_calls_may_come_at_once(
    need: Callable[[str], None], plugins_dir: Path, pool: ExternalPlugins, language: str
) -> None:
    need(language)
    create_plugin(plugins_dir, "greeter", language)

    def greet(number: int) -> object:
        return pool.call("greeter.hello", {"name": f"guest {number}"})["greeting"]

    with ThreadPoolExecutor(8) as threads:
        assert [f"Hello, guest {number}!" for number in range(40)] == list(threads.map(greet, range(40)))


@each_language
def test_bad_requests_do_not_end_the_plugin_and_shutdown_does(
    need: Callable[[str], None], plugins_dir: Path, language: str
) -> None:
    need(language)
    folder = create_plugin(plugins_dir, "greeter", language)
    with serving(read_manifest(folder).entry_point) as (process, port):
        with socket.create_connection(("127.0.0.1", port)) as half:
            half.sendall(b"POST /execute HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        assert not post(port, "/execute", b"{")["success"]
        assert "UNKNOWN_ACTION" == post(port, "/execute", b'{"action": "toString", "config": {}}')["error"]["code"]
        assert post(port, "/execute", b'{"action": "greeter.hello", "config": {"name": "a", "greeting": "b"}}')[
            "success"
        ]
        assert {"message": "shutting down"} == post(port, "/shutdown", b"")
        assert 0 == process.wait(60)


@contextlib.contextmanager
def serving(entry_point: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a plugin as the protocol says, from another folder; again if its port was taken meanwhile."""
    interpreter = {".py": sys.executable, ".js": "node", ".sh": "bash"}[entry_point.suffix]
    for _ in range(PORT_TRIES):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        environment = {**os.environ, "PLUGIN_PORT": str(port)}
        with subprocess.Popen([interpreter, str(entry_point)], env=environment, stderr=subprocess.DEVNULL) as process:
            try:
                if listens(process):
                    yield process, port
                    return
            finally:
                process.kill()
    raise AssertionError(f"{entry_point} does not listen")


def listens(process: subprocess.Popen[bytes]) -> bool:
    """Wait until it does, itself and not whoever took its port meanwhile; False when it has ended before that."""
    first = psutil.Process(process.pid)
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(psutil.Error):
            family = (first, *first.children(recursive=True))
            if any(each.status == psutil.CONN_LISTEN for one in family for each in one.net_connections()):
                return True
        time.sleep(0.01)
    return False


def post(port: int, path: str, body: bytes) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", path, body)
        return json.loads(connection.getresponse().read())


BUGS = {
    "python": ("server.py", 'log(f"greeting {name}")', "log(nam)", "NameError: name 'nam' is not defined", "server.py"),
    "node": ("server.js", "log(`greeting ${name}`)", "log(nam)", "ReferenceError: nam is not defined", "server.js"),
    "bash": (
        "server.sh", 'echo "greeting $CONFIG_name"', 'echo "$CONFIG_nam"',
        "EXIT_1: server.sh: line 43: CONFIG_nam: unbound variable", "server.sh",
    ),
}  # fmt: skip
NO_OBJECTS = {
    "python": ("server.py", "return {", "return 5  # {", "BAD_RESULT: greeter.hello returned int, not a dict"),
    "node": (
        "server.js",
        "return { greeting",
        "return 5; // { greeting",
        "BAD_RESULT: greeter.hello must return an obj",
    ),
    "bash": ("server.sh", '{"greeting": %s}', "{%s", "BAD_RESULT: greeter.hello must print a JSON object: Expecting"),
}


@each_language
def test_a_bug_in_the_action_fails_the_flow_and_is_shown_with_its_place(
    need: Callable[[str], None], plugins_dir: Path, language: str
) -> None:
    need(language)
    folder = create_plugin(plugins_dir, "greeter", language)
    name, right, wrong, error, place = BUGS[language]
    change(folder / name, right, wrong)

    run = run_pytest(folder)

    assert 1 == run.returncode, run.stdout + run.stderr
    assert 'greeter.yaml:6: step 1/2 "greet" (greeter.hello) failed after' in run.stdout
    assert f": {error}\n" in run.stdout
    assert place in run.stdout.partition("Captured")[2]


@each_language
def test_a_new_plugin_refuses_an_empty_name(
    need: Callable[[str], None], plugins_dir: Path, pool: ExternalPlugins, language: str
) -> None:
    need(language)
    create_plugin(plugins_dir, "greeter", language)

    with pytest.raises(ActionError, match=r"^EMPTY_NAME: there is nobody to greet$"):
        pool.call("greeter.hello", {"name": " "})


@each_language
def test_a_result_that_is_no_object_is_told(
    need: Callable[[str], None], plugins_dir: Path, pool: ExternalPlugins, language: str
) -> None:
    need(language)
    folder = create_plugin(plugins_dir, "greeter", language)
    name, right, wrong, error = NO_OBJECTS[language]
    change(folder / name, right, wrong)

    with pytest.raises(ActionError) as failed:
        pool.call("greeter.hello", {"name": "Ada"})

    assert failed.value.message.startswith(error)


def change(path: Path, right: str, wrong: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert 1 == text.count(right)
    path.write_text(text.replace(right, wrong), encoding="utf-8")


@pytest.mark.parametrize(
    ("plugin_id", "language", "message"),
    [
        ("..", "python", "a plugin cannot be called so: id: '..' is not valid"),
        ("../x", "python", "id: '../x' is not valid"),
        ("a/b", "node", "id: 'a/b' is not valid"),
        ("/tmp/x", "node", "id: '/tmp/x' is not valid"),
        (".hidden", "bash", "id: '.hidden' is not valid"),
        ("", "python", "id: '' is not valid"),
        ("two words", "python", "id: 'two words' is not valid"),
        ('a"b', "python", "is not valid"),
        ("a\n", "python", "is not valid"),
        ("a" * 129, "python", "is longer than 128 characters"),
        ("kafka", "python", "id kafka is reserved: kafka is built in"),
        ("Kafka", "python", "id Kafka is reserved: kafka is built in"),
        ("redis.cache", "python", "id redis.cache is reserved: redis is built in"),
        ("log", "python", "id log is reserved: log is built in"),
        ("http_request", "python", "id http_request is reserved: http_request is built in"),
        ("greeter", "ruby", "there is no template for 'ruby'"),
        ("greeter", "../python", "there is no template for '../python'"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    plugins_dir: Path, plugin_id: str, language: str, message: str
) -> None:
    with pytest.raises(PluginRefusedError) as refused:
        create_plugin(plugins_dir, plugin_id, language)

    assert message in refused.value.message
    assert refused.value.hint
    assert not plugins_dir.exists()


def taken_by_folder(plugins_dir: Path) -> None:
    (plugins_dir / "greeter").mkdir()


def taken_by_file(plugins_dir: Path) -> None:
    (plugins_dir / "greeter").write_text("mine", encoding="utf-8")


def taken_by_broken_link(plugins_dir: Path) -> None:
    (plugins_dir / "greeter").symlink_to(plugins_dir / "nowhere")


def taken_by_id(plugins_dir: Path) -> None:
    create_plugin(plugins_dir, "first", "python").rename(plugins_dir / "elsewhere")
    manifest = plugins_dir / "elsewhere" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "id": "greeter"}), encoding="utf-8")


def taken_by_broken_plugin(plugins_dir: Path) -> None:
    taken_by_id(plugins_dir)
    (plugins_dir / "elsewhere" / "server.py").unlink()


@pytest.mark.parametrize(
    "take",
    [taken_by_folder, taken_by_file, taken_by_broken_link, taken_by_id, taken_by_broken_plugin],
    ids=lambda take: take.__name__.removeprefix("taken_by_"),
)
def test_a_taken_id_is_refused_and_changes_nothing(plugins_dir: Path, take: Callable[[Path], None]) -> None:
    plugins_dir.mkdir()
    take(plugins_dir)
    before = snapshot(plugins_dir)

    with pytest.raises(PluginExistsError, match=r"^plugin greeter is there already: ") as refused:
        create_plugin(plugins_dir, "greeter", "python")

    assert refused.value.hint
    assert before == snapshot(plugins_dir)


def test_a_plugins_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")

    with pytest.raises(MeshError, match=r"^plugins folder .*file cannot be read: Not a directory$"):
        create_plugin(tmp_path / "file", "greeter", "python")

    assert ["file"] == [path.name for path in tmp_path.iterdir()]


def test_a_disk_that_is_full_is_told_and_nothing_is_left(plugins_dir: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(RegistryError, match=r"^cannot create plugin greeter: File too large"):
            create_plugin(plugins_dir, "greeter", "python")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert not plugins_dir.exists()


def test_of_many_who_create_one_id_at_once_one_does(plugins_dir: Path) -> None:
    def create(language: str) -> str:
        try:
            create_plugin(plugins_dir, "greeter", language)
        except PluginExistsError:
            return "refused"
        return language

    with ThreadPoolExecutor(6) as threads:
        done = list(threads.map(create, [*LANGUAGES, *LANGUAGES]))

    assert 5 == done.count("refused")
    (language,) = set(done) - {"refused"}
    assert {"manifest.json", "greeter.yaml", *FILES[language]} == {
        path.name for path in (plugins_dir / "greeter").iterdir()
    }
    assert {"greeter", ".testmesh.lock"} == {path.name for path in plugins_dir.iterdir()}


def test_an_id_that_is_taken_in_the_last_moment_is_refused(plugins_dir: Path) -> None:
    plugins_dir.mkdir()
    with ThreadPoolExecutor(1) as threads:
        with locked(plugins_dir):
            creation = threads.submit(create_plugin, plugins_dir, "greeter", "node")
            while not list(plugins_dir.glob(".*/new/greeter/server.js")):
                assert not creation.done()
            (plugins_dir / "greeter").mkdir()
        with pytest.raises(PluginExistsError, match=r"^plugin greeter is there already"):
            creation.result()

    assert {"greeter": None} == snapshot(plugins_dir)


def test_a_new_plugin_is_enabled_though_one_of_its_id_was_not(plugins_dir: Path) -> None:
    plugins_dir.mkdir()
    with locked(plugins_dir) as state:
        state.set_enabled("greeter", False)

    create_plugin(plugins_dir, "greeter", "python")

    assert read_state(plugins_dir).is_enabled("greeter")
