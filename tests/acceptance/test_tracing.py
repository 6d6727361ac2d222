"""Spans of the run itself, as a collector gets them; nothing a collector does fails a test or holds a run up."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Sent:
    """One span as it came over the wire."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    service: str
    attributes: dict[str, Any]
    status: int
    message: str
    kind: int
    events: list[tuple[str, dict[str, Any]]]

    @property
    def everything(self) -> str:
        """All its text."""
        return repr(self)


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def _spans(body: bytes) -> Iterator[Sent]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Sent(
                    name=span.name,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    service=_values(resource.resource.attributes)["service.name"],
                    attributes=_values(span.attributes),
                    status=span.status.code,
                    message=span.status.message,
                    kind=span.kind,
                    events=[(event.name, _values(event.attributes)) for event in span.events],
                )


class Collector(ThreadingHTTPServer):
    """Answers ``POST /v1/traces`` as a collector, and any other request with 200; *silent*: takes all, answers none."""

    daemon_threads = True

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.spans: list[Sent] = []
        self.headers: list[dict[str, str]] = []
        self.silent = silent
        self.unanswered = 0
        self.closing = threading.Event()

    def named(self, name: str) -> Sent:
        """The only span of that name."""
        (span,) = [each for each in self.spans if each.name == name]
        return span


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.silent:
            self.server.unanswered += 1
            self.server.closing.wait(600)
            return
        if self.path == "/v1/traces":
            self.server.spans += _spans(body)
        self.do_GET()

    def do_GET(self) -> None:
        if self.path != "/v1/traces":
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def collecting(*, silent: bool = False) -> Iterator[Collector]:
    """Run a `Collector` while a ``with`` lasts."""
    server = Collector(silent=silent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith(("TESTMESH_", "OTEL_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


FIVE = """
steps:
  - {id: one, action: t.note, config: {say: 1}}
  - {id: two, action: t.note, config: {say: 2}}
  - {id: three, action: t.note, config: {say: 3}}
  - {id: four, action: t.note, config: {say: 4}}
  - {id: five, action: t.note, config: {say: 5}}
"""
BROKEN = "steps: [{id: sell, action: t.script, config: {say: s, answers: [broken]}}]"
NOISE = ("Transient error", "Failed to export", "Traceback", "retrying", "Max retries")


def test_a_flow_and_its_steps_are_one_trace(mesh: Any, collector: Collector) -> None:
    mesh.flow("house", FIVE)

    run = mesh.run_apart(f"--testmesh-otel={collector.url}")

    flow = collector.named("house")
    assert (0, {"passed": 1}) == (run.exit_code, run.outcomes)
    assert ["one", "two", "three", "four", "five"] == [span.name for span in collector.spans if span.parent_id]
    assert {flow.span_id} == {span.parent_id for span in collector.spans} - {""}
    assert 1 == len({span.trace_id for span in collector.spans})
    assert ("house", "pass") == (flow.attributes["test.case.name"], flow.attributes["test.case.result.status"])
    assert "house.yaml" == flow.attributes["test.suite.name"]


@pytest.mark.parametrize(
    ("environ", "service"),
    [({}, "pytest-testmesh"), ({"OTEL_SERVICE_NAME": "nightly"}, "nightly")],
    ids=["default", "OTEL_SERVICE_NAME"],
)
def test_the_environment_alone_asks_for_spans(
    mesh: Any, collector: Collector, environ: dict[str, str], service: str
) -> None:
    mesh.flow("house", FIVE)

    mesh.run_apart(env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **environ})

    assert {service} == {span.service for span in collector.spans}


def test_a_disabled_sdk_sends_nothing(mesh: Any, collector: Collector) -> None:
    mesh.flow("house", FIVE)

    run = mesh.run_apart(env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SDK_DISABLED": "true"})

    assert ({"passed": 1}, []) == (run.outcomes, collector.spans)


def test_a_request_carries_the_span_of_its_step(mesh: Any, collector: Collector) -> None:
    url = f"{collector.url}/x?token=abcdef7"
    mesh.flow("house", f"steps: [{{id: ask, action: http_request, config: {{url: '{url}'}}}}]")

    mesh.run_apart(f"--testmesh-otel={collector.url}")

    span = collector.named("ask")
    sampled = [f"00-{span.trace_id}-{span.span_id}-{flags}" for flags in ("01", "03")]  # 02: the id is random
    assert collector.headers[0]["traceparent"] in sampled
    assert ("GET", 200) == (span.attributes["http.request.method"], span.attributes["http.response.status_code"])
    assert f"{collector.url}/x?token=***" == span.attributes["url.full"]


def test_a_traceparent_of_the_flow_wins(mesh: Any, collector: Collector) -> None:
    own = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    config = f"{{url: '{collector.url}/x', headers: {{Traceparent: {own}}}}}"
    mesh.flow("house", f"steps: [{{id: ask, action: http_request, config: {config}}}]")

    mesh.run_apart(f"--testmesh-otel={collector.url}")

    assert [own] == [each["traceparent"] for each in collector.headers]


def test_without_tracing_no_header_goes_out(mesh: Any, collector: Collector) -> None:
    mesh.flow("house", f"steps: [{{id: ask, action: http_request, config: {{url: '{collector.url}/x'}}}}]")

    mesh.run_apart()

    assert "traceparent" not in collector.headers[0]


def test_a_failure_is_the_status_of_its_span_and_names_the_trace(mesh: Any, collector: Collector) -> None:
    mesh.flow("house", BROKEN)

    run = mesh.run_apart(f"--testmesh-otel={collector.url}")

    span, flow = collector.named("sell"), collector.named("house")
    assert (2, "the order is broken", "BROKEN") == (span.status, span.message, span.attributes["error.type"])
    assert (2, "fail") == (flow.status, flow.attributes["test.case.result.status"])
    assert f"  trace     {span.trace_id}\n" in run.text


def test_error_steps_are_children_of_the_step_that_failed(mesh: Any, collector: Collector) -> None:
    body = BROKEN.replace("}}]", "}, error_steps: [{id: mend, action: t.note}]}]")
    mesh.flow("house", body)

    mesh.run_apart(f"--testmesh-otel={collector.url}")

    assert collector.named("sell").span_id == collector.named("mend").parent_id


def test_attempts_that_failed_are_events_of_one_span(mesh: Any, collector: Collector) -> None:
    config = "{say: s, answers: [refused, refused, {sold: true}]}"
    retry = "{max_attempts: 3, delay: 1ms}"
    mesh.flow("house", f"steps: [{{id: sell, action: t.script, config: {config}, retry: {retry}}}]")

    mesh.run_apart(f"--testmesh-otel={collector.url}")

    events = collector.named("sell").events
    assert [("attempt failed", 1), ("attempt failed", 2)] == [(name, each["testmesh.attempt"]) for name, each in events]
    assert {"connection refused"} == {each["error.message"] for _, each in events}


def test_a_skipped_step_is_an_event_of_the_flow(mesh: Any, collector: Collector) -> None:
    mesh.flow("house", 'steps: [{id: left_out, when: "false", action: t.note}, {id: done, action: t.note}]')

    mesh.run_apart(f"--testmesh-otel={collector.url}")

    (event,) = collector.named("house").events
    assert ("step skipped", "left_out") == (event[0], event[1]["testmesh.step.id"])
    assert {"house", "done"} == {span.name for span in collector.spans}


def test_sql_is_sent_as_written_without_its_values(mesh: Any, collector: Collector) -> None:
    config = "{connection: 'sqlite:///:memory:', query: 'SELECT ? AS who', params: ['${who}']}"
    mesh.flow("house", f"env: {{who: Ada Lovelace}}\nsteps: [{{id: q, action: database_query, config: {config}}}]")

    run = mesh.run_apart(f"--testmesh-otel={collector.url}")

    span = collector.named("q")
    assert {"passed": 1} == run.outcomes, run.text
    assert "sqlite" == span.attributes["db.system.name"]
    assert "SELECT ? AS who" == span.attributes["db.query.text"]
    assert "Lovelace" not in span.everything


def test_secrets_do_not_leave(mesh: Any, collector: Collector) -> None:
    url = f"{collector.url.replace('//', '//ada:sekret-one@')}/x?api_key=sekret-two"
    mesh.flow(
        "house",
        f"""
        env: {{password: sekret-three}}
        steps:
          - {{id: ask, action: http_request, config: {{url: "{url}", headers: {{X-Why: "${{password}}"}}}}}}
          - {{id: say, action: t.script, config: {{say: s, answers: [{{}}]}}, assert: ["password == 'open'"]}}
        """,
    )

    run = mesh.run_apart(f"--testmesh-otel={collector.url}")

    assert {"failed": 1} == run.outcomes
    assert 3 == len(collector.spans)
    assert [] == [span for span in collector.spans if "sekret-" in span.everything]


def test_workers_of_xdist_lose_nothing(mesh: Any, collector: Collector) -> None:
    pytest.importorskip("xdist")
    for number in range(12):
        mesh.flow(f"flow{number}", FIVE)

    run = mesh.run_apart("-n2", f"--testmesh-otel={collector.url}")

    assert {"passed": 12} == run.outcomes
    assert 12 * 6 == len(collector.spans)
    assert 12 == len({span.trace_id for span in collector.spans})


def test_each_rerun_is_a_trace_of_its_own(mesh: Any, collector: Collector) -> None:
    pytest.importorskip("pytest_rerunfailures")
    mesh.flow("house", "steps: [{id: sell, action: t.script, config: {say: s, answers: [broken, {}]}}]")

    run = mesh.run_apart("--reruns=1", f"--testmesh-otel={collector.url}")

    flows = [span for span in collector.spans if span.name == "house"]
    assert {"passed": 1, "rerun": 1} == run.outcomes
    assert ["fail", "pass"] == [span.attributes["test.case.result.status"] for span in flows]
    assert 2 == len({span.trace_id for span in flows})


def test_ctrl_c_still_sends(mesh: Any, collector: Collector) -> None:
    mesh.flow(
        "house",
        """
        steps: [{id: nap, action: t.sleep, config: {say: zzz, seconds: 30}}]
        teardown: [{id: tidy, action: t.note}]
        """,
    )

    process = mesh.start(f"--testmesh-otel={collector.url}")
    mesh.wait_for_entry("zzz")
    process.send_signal(signal.SIGINT)
    run = mesh.finish(process)

    assert 2 == run.exit_code
    assert {"house", "nap", "tidy"} == {span.name for span in collector.spans}
    assert (2, "interrupted") == (collector.named("nap").status, collector.named("nap").message)


def test_a_collector_that_refuses_costs_one_line(mesh: Any, closed_port: int) -> None:
    mesh.flow("house", FIVE)
    mesh.flow("broken", BROKEN)

    run = mesh.run_apart(f"--testmesh-otel=http://127.0.0.1:{closed_port}", "--log-level=DEBUG")

    assert {"passed": 1, "failed": 1} == run.outcomes
    line = f"testmesh: 8 of 8 spans did not reach http://127.0.0.1:{closed_port}/v1/traces: connection refused"
    assert [line] == [each for each in run.text.splitlines() if each.startswith("testmesh:")]
    assert [] == [each for each in NOISE if each in run.text + run.errors]


def test_a_collector_that_never_answers_costs_two_seconds_once(mesh: Any) -> None:
    for name in ("a", "b", "c", "d", "e"):
        mesh.flow(name, BROKEN)

    with collecting(silent=True) as collector:
        run = mesh.run_apart(f"--testmesh-otel={collector.url}")
        mesh.wait_until(lambda: collector.unanswered, "a request")

    assert {"failed": 5} == run.outcomes
    assert 1 == run.text.count("testmesh: 10 of 10 spans did not reach"), run.text
    assert [] == [each for each in NOISE if each in run.text + run.errors]
    assert 1 == collector.unanswered  # five failures that waited, each for its own, would take ten seconds


def test_workers_tell_the_controller(mesh: Any, closed_port: int) -> None:
    pytest.importorskip("xdist")
    mesh.flow("house", FIVE)

    run = mesh.run_apart("-n1", f"--testmesh-otel=http://127.0.0.1:{closed_port}")

    assert {"passed": 1} == run.outcomes
    assert 1 == run.text.count("testmesh: 6 of 6 spans did not reach")


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == "opentelemetry" or name.startswith("opentelemetry."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""


def test_the_option_without_the_sdk_says_what_to_install(mesh: Any) -> None:
    mesh.flow("house", FIVE)
    mesh.file("blocked.py", BLOCKED)

    run = mesh.run_apart("-p", "blocked", "--testmesh-otel", env={"PYTHONPATH": str(mesh.path)})

    assert 4 == run.exit_code
    assert 'pip install "pytest-testmesh[otel]"' in run.text + run.errors


def test_the_environment_without_the_sdk_is_one_line(mesh: Any) -> None:
    mesh.flow("house", FIVE)
    mesh.file("blocked.py", BLOCKED)

    environ = {"PYTHONPATH": str(mesh.path), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    run = mesh.run_apart("-p", "blocked", env=environ)

    assert {"passed": 1} == run.outcomes
    assert 1 == run.text.count('pip install "pytest-testmesh[otel]"')


def test_a_folder_taken_for_the_url_is_refused(mesh: Any) -> None:
    run = mesh.run_apart("--testmesh-otel", "flows/")

    assert 4 == run.exit_code
    mesh.assert_says("--testmesh-otel 'flows/' is no URL", run.text + run.errors)


def test_a_run_that_nobody_traces_loads_nothing_of_it(mesh: Any) -> None:
    mesh.flow("house", FIVE)
    mesh.file(
        "told.py", "import sys\ndef pytest_unconfigure():\n    print([n for n in sys.modules if 'opentel' in n])\n"
    )

    run = mesh.run_apart("-p", "told", env={"PYTHONPATH": str(mesh.path)})

    assert "\n[]" in run.text


def test_a_look_up_that_fails_is_one_line(mesh: Any, collector: Collector, closed_port: int) -> None:
    mesh.flow("house", BROKEN)
    nowhere = f"http://127.0.0.1:{closed_port}"
    environ = {"TESTMESH_TEMPO_URL": nowhere, "TESTMESH_LOKI_URL": nowhere}

    run = mesh.run_apart(f"--testmesh-otel={collector.url}", env=environ)

    assert {"failed": 1} == run.outcomes
    mesh.assert_says(r"  spans     not available: .*refused", run.text)
    mesh.assert_says(r"  logs      not available: .*refused", run.text)


def test_the_look_up_can_be_turned_off(mesh: Any, collector: Collector, closed_port: int) -> None:
    mesh.flow("house", BROKEN)

    run = mesh.run_apart(
        f"--testmesh-otel={collector.url}",
        "--testmesh-no-telemetry-lookup",
        env={"TESTMESH_TEMPO_URL": f"http://127.0.0.1:{closed_port}"},
    )

    assert "  trace     " in run.text
    assert "  spans     " not in run.text


def test_a_look_up_that_hangs_ends_after_two_seconds(mesh: Any, collector: Collector) -> None:
    for name in ("a", "b"):
        mesh.flow(name, BROKEN)

    with socket.create_server(("127.0.0.1", 0)) as never:
        nowhere = f"http://127.0.0.1:{never.getsockname()[1]}"
        environ = {"TESTMESH_TEMPO_URL": nowhere, "TESTMESH_LOKI_URL": nowhere}
        run = mesh.run_apart(f"--testmesh-otel={collector.url}", "-o", "log_level=DEBUG", env=environ)

    took_s = [float(each) for each in re.findall(r"in ([\d.]+)s", run.text.splitlines()[-1])]
    assert {"failed": 2} == run.outcomes
    assert 2 == run.text.count("  spans     not available: ") == run.text.count("  logs      not available: ")
    assert took_s[0] < 60
