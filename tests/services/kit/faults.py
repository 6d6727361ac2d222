"""What befalls a server while flows run one after the other, and what they must tell of it: once, for all services."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from fault_runs import LAST, FaultRun, fault_run
from flow_runs import FlowRun, Flows

_FLOWS = 14
_TIMED_OUT = r"(timed out after .* waiting for .* \(|out of time: )the step's timeout of 1\.00s"
_REFUSED = "connection refused"
_BROKEN = "the connection broke|the server closed the connection"


@dataclass(frozen=True, kw_only=True)
class Fallible:
    """How each fault comes over a service.

    *start* returns when it serves again. *change_password* leaves nobody logged in by the old one; with the old one
    flows then fail by *login_refused*. Whatever else a server says that comes or goes stands in *also_told*.
    """

    service: str
    frozen: Callable[[], AbstractContextManager[object]]
    stop: Callable[[], object]
    start: Callable[[], object]
    change_password: Callable[[str, str], object] | None = None
    passwords: tuple[str, str] = ("first-one", "second-one")
    login_refused: str = _REFUSED
    also_told: str = _BROKEN


def run_through_faults(flows: Flows, server: Fallible, **variables: object) -> Sequence[str]:
    """Run flows of the service while it freezes, stops, starts and changes its password.

    Return what is wrong: a flow that a fault did not fail, a cause that is not the fault's, a last flow that failed.
    """
    with fault_run(flows, server.service, _FLOWS, **variables) as run:
        befallen = _befall(run, server)
        done = run.finish()
    return list(_troubles(done, befallen, server))


def _befall(run: FaultRun, server: Fallible) -> Mapping[str, Sequence[str]]:
    """Return the flows that ran during each fault, by the cause that they are to tell."""
    befallen = {}
    run.go(2)
    with server.frozen():
        befallen[_TIMED_OUT] = run.go(2)
    run.let(1)
    server.stop()  # before that flow, in the middle of it or after it
    befallen[_REFUSED] = run.go(3)
    server.start()
    run.go(2)
    if server.change_password is not None:
        server.change_password(*server.passwords)
        befallen[server.login_refused] = run.go(3)
        server.change_password(*reversed(server.passwords))
    return befallen


def _troubles(done: FlowRun, befallen: Mapping[str, Sequence[str]], server: Fallible) -> Iterator[str]:
    failed = done.failed
    known = "|".join([*befallen, _BROKEN, server.also_told])
    yield from (f"{flow}: {cause}" for flow, cause in failed.items() if flow == LAST or not re.search(known, cause))
    for cause, names in befallen.items():
        yield from (f"{flow} passed in spite of: {cause}" for flow in names if flow not in failed)
        if not any(re.search(cause, failed.get(flow, "")) for flow in names):
            yield f"none of {names} tells: {cause}"
    ended = done.outcomes.get("passed", 0) + done.outcomes.get("failed", 0)
    if ended != _FLOWS + 1:
        yield f"{ended} flows ended of {_FLOWS + 1}:\n{done.text}"
