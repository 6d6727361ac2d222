"""The servers of one run by name: those that ``TESTMESH_TEST_SERVICES`` names, or else those that pip brings.

It names a JSON file, ``{"redis": {"urls": {"url": "redis://..."}, "pid": 42, ...}, ...}``; ``compose-services.json``
shows its keys.
"""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from made_servers import MAKERS, NoServer
from real_server import OwnServer, Server

from pytest_testmesh.polling import Deadline, attempts

NAMED_BY = "TESTMESH_TEST_SERVICES"


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
    facts: Mapping[str, Mapping[str, Any]] = {}
    for _ in attempts(repeat(0.02), Deadline.after(10, "")):
        text = Path(path).read_text(encoding="utf-8")
        with suppress(json.JSONDecodeError):  # who restarts a server may just be writing its new pid
            facts = json.loads(text)
            return facts
    pytest.fail(f"{path} is no JSON: {text}", pytrace=False)
