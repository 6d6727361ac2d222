"""Runs of many short flows through faults: each flow begins when the test lets it, however slow the machine is."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flow_runs import FlowRun, Flows, RunningFlows

LAST = "flow_z"


class _Turns:
    """Who asks for a turn waits for one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._asked = self._given = 0

    def take(self) -> None:
        with self._changed:
            self._asked += 1
            number = self._asked
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._given >= number)

    def give(self, count: int) -> None:
        with self._changed:
            self._given += count
            self._changed.notify_all()

    def are_used(self, timeout_s: float) -> bool:
        """Wait until somebody asks for one more than were given."""
        with self._changed:
            return self._changed.wait_for(lambda: self._asked > self._given, timeout_s)


class FaultRun:
    """Flows that run one after the other in a process of their own."""

    def __init__(self, running: RunningFlows, turns: _Turns, count: int) -> None:
        self._running = running
        self._turns = turns
        self._count = count
        self._let = 0

    def let(self, count: int) -> Sequence[str]:
        """Let *count* more flows begin, and whatever comes next befall them; return their names."""
        names = [_name(self._let + number) for number in range(count)]
        self._let += count
        self._turns.give(count)
        return names

    def go(self, count: int) -> Sequence[str]:
        """Do as `let`, and return when they have ended: then the next one asks for its turn."""
        names = self.let(count)
        if not self._turns.are_used(120):
            pytest.fail(f"waited for {names}:\n{self._running.text}")
        return names

    def finish(self) -> FlowRun:
        """Let those begin that are left, the last of which must pass."""
        self.let(self._count)
        return Flows.finish(self._running, 180)


def _name(number: int) -> str:
    return f"flow_{number:02}"


@contextmanager
def fault_run(flows: Flows, service: str, count: int, **variables: object) -> Iterator[FaultRun]:
    """Start *count* flows ``steady.yaml`` of a service and then its ``afterwards.yaml``; none begins before its turn.

    The first step of each is a GET of ``${TURNS}``.
    """
    turns = _Turns()
    steady = flows.add(f"{service}/steady.yaml")
    for number in range(count):
        shutil.copy(steady, steady.with_name(f"{_name(number)}.yaml"))
    steady.unlink()
    flows.add(f"{service}/afterwards.yaml").rename(steady.with_name(f"{LAST}.yaml"))
    with _serving(turns) as url:
        running = flows.start(service, TURNS=url, **variables)
        try:
            yield FaultRun(running, turns, count + 1)
        finally:
            running.process.kill()
            running.process.wait()


@contextmanager
def _serving(turns: _Turns) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            turns.take()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        turns.give(1_000_000)  # to what the killed run still asked for
        server.shutdown()
