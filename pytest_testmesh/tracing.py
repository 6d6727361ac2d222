"""Spans of the run itself: where they go, one tracer for a process, and a sender that never holds a run up for long."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_testmesh.errors import MissingDependencyError
from pytest_testmesh.values import one_line, shorten

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_LIMIT_S = 2.0
"""What waiting for a collector that does not answer may cost a whole run."""

_REQUEST_S = 1.5
_MOST_S = 20.0
"""How long the end of a run waits for a collector that is slow, yet takes span after span."""

_SLICE_S = 0.05
_QUEUE_SPANS = 100_000
_DEFAULT_URL = "http://localhost:4318"
_PATH = "/v1/traces"
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_SERVICE = "pytest-testmesh"
_NOISY = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")
_WIRE = ("urllib3.connectionpool", "urllib3.util.retry")
_MESSAGE_WIDTH = 300
_ERRNO = re.compile(r"\[Errno -?\d+\] ([\w ]+)")
_GAVE_UP = "due to timeout"


def traces_url(option: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the URL that spans are sent to, None where nobody asks for them.

    *option* is what was given on the command line, ``""`` for "yes, wherever the environment says".

    Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    """
    if option:
        return _with_path(option)
    if option is None and (
        environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    ):
        return None
    given = environ.get(_ENDPOINT)
    return environ.get(_TRACES_ENDPOINT) or (
        _with_path(given) if given else None if option is None else _with_path(_DEFAULT_URL)
    )


def _with_path(url: str) -> str:
    url = url.rstrip("/")
    return url if url.endswith(_PATH) else url + _PATH


class Tracing:
    """The tracer of this process.

    Raises:
        MissingDependencyError: OpenTelemetry's SDK is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.ended = 0
        self.remarks: list[str] = []
        """What the SDK says of variables that it does not understand."""
        try:
            with warnings.catch_warnings(), _heard(self.remarks):
                warnings.simplefilter("ignore")  # of libraries while they are imported; nothing the run can mend
                self._connect(url)
        except ImportError as exc:
            raise MissingDependencyError(
                f"spans of the run need {exc.name or 'opentelemetry'}, which is not installed",
                hint='pip install "pytest-testmesh[otel]"',
            ) from exc

    def _connect(self, url: str) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

        exporter = OTLPSpanExporter(endpoint=url, timeout=_REQUEST_S)  # type: ignore[call-overload,unused-ignore]
        self._sender = Sender(exporter, failed=SpanExportResult.FAILURE, succeeded=SpanExportResult.SUCCESS)
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        batches: Any = BatchSpanProcessor(self._sender, max_queue_size=_QUEUE_SPANS, schedule_delay_millis=1000)  # type: ignore[arg-type]
        self._provider.add_span_processor(batches)
        self._tracer = self._provider.get_tracer("pytest_testmesh")
        self._api = trace

    def start(self, name: str, kind: str, parent: Span | None) -> Span:
        """Start a span; *kind* is INTERNAL, CLIENT, PRODUCER or CONSUMER; without *parent* it begins a trace."""
        from opentelemetry.context import Context

        context = self._api.set_span_in_context(parent, Context()) if parent is not None else Context()
        return self._tracer.start_span(name, context=context, kind=self._api.SpanKind[kind])

    def end(self, span: Span, error: str | None = None, lasted_s: float | None = None) -> None:
        """End a span; *error* is what its status says, *lasted_s* how long it was, where that is known."""
        if error is not None:
            self._fail(span, error)
        start_ns: int | None = getattr(span, "start_time", None)  # those that are not sampled have none
        span.end(None if start_ns is None or lasted_s is None else start_ns + round(lasted_s * 1e9))
        self.ended += span.get_span_context().trace_flags.sampled

    def _fail(self, span: Span, error: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        span.set_status(Status(StatusCode.ERROR, error))

    def current(self, span: Span) -> Any:
        """Make *span* the current one while a ``with`` lasts, for what is instrumented in this process."""
        return self._api.use_span(span, record_exception=False, set_status_on_exception=False)

    def flush(self) -> bool:
        """Send what has ended so far; return whether it went out. Waits two seconds at most, in a run."""
        return self._sender.within_limit(self._provider.force_flush)

    def close(self) -> str | None:
        """Send what is left and stop; return what to tell about spans that did not go out."""
        self._sender.within_limit(self._provider.shutdown)
        lost = self.ended - self._sender.sent
        self._sender.be_heard()
        if not self._sender.trouble or lost <= 0:
            return None
        return f"{lost} of {self.ended} spans did not reach {self.url}: {self._sender.trouble}"


@contextmanager
def _heard(remarks: list[str]) -> Iterator[None]:
    """Put what OpenTelemetry logs while it is set up into *remarks*, and not into the user's log."""

    class Remarks(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            remarks.append(_without_headers(record.getMessage()))

    logger, handler = logging.getLogger("opentelemetry"), Remarks(logging.WARNING)
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def _without_headers(message: str) -> str:
    """Hide what stands in the variables for headers: there are logins among it."""
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        for header in filter(None, map(str.strip, os.environ.get(name, "").split(","))):
            told, _, value = message.partition(": ")
            if header in value:
                message = f"{told}: *** (in {name})"
    return shorten(one_line(message), _MESSAGE_WIDTH)


def traceparent(span: Span) -> str | None:
    """Return the W3C header that makes whoever gets it a child of *span*."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _resource() -> Any:
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    resource = Resource.create()  # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are in it
    if str(resource.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: _SERVICE}))
    # by this `otel.assert` knows the run's own spans, which are none of the services under test
    return resource.merge(Resource({"telemetry.distro.name": _SERVICE}))


class Sender:
    """A span exporter around OpenTelemetry's: after the first failure it lets the rest of the run's spans go.

    The SDK repeats, logs and waits as suits a service; a test run can afford none of these.
    """

    def __init__(self, exporter: Any, *, failed: Any, succeeded: Any) -> None:
        self._exporter = exporter
        self._failed = failed
        self._succeeded = succeeded
        self._progress_at = 0.0
        self._said = _Said()
        self.trouble: str | None = None
        self.sent = 0
        for name in (*_NOISY, *_WIRE):
            logging.getLogger(name).addFilter(self._said)

    def export(self, spans: Sequence[Any]) -> Any:
        """Send a batch; called by the SDK on its own thread."""
        if self.trouble is not None:
            return self._failed
        with self._said.aside() as said:
            try:
                result = self._exporter.export(spans)
            except Exception as exc:  # noqa: BLE001 - older exporters let errors of requests through
                said.append(f"{type(exc).__name__}: {exc}")
                result = self._failed
        if result is not self._succeeded:
            self.trouble = _cause(said)
            return self._failed
        self.sent += len(spans)
        self._progress_at = time.monotonic()
        return self._succeeded

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """Nothing is kept here."""
        return True

    def shutdown(self) -> None:
        """Close the connection."""
        with self._said.aside():
            self._exporter.shutdown()

    def within_limit(self, work: Callable[[], object]) -> bool:
        """Do *work* on a thread that is left behind when a collector does not answer; return whether all went well."""
        if self.trouble is not None:
            self._start(work)
            return False
        started = time.monotonic()
        thread = self._start(work)
        while thread.is_alive():
            thread.join(_SLICE_S)
            now = time.monotonic()
            if now > max(started, self._progress_at) + _LIMIT_S or now > started + _MOST_S:
                self.trouble = f"no answer within {_LIMIT_S:g} s"
                return False
        return self.trouble is None

    def _start(self, work: Callable[[], object]) -> threading.Thread:
        def quietly() -> None:
            with self._said.aside():
                work()

        thread = threading.Thread(target=quietly, name="testmesh-spans", daemon=True)
        thread.start()
        return thread

    def be_heard(self) -> None:
        """Let the loggers of the SDK go."""
        for name in (*_NOISY, *_WIRE):
            logging.getLogger(name).removeFilter(self._said)


def _cause(said: Sequence[str]) -> str:
    """Find the cause in what the exporter logs: errors within errors, then that it gives up."""
    system = next((found[1].lower() for each in said if (found := _ERRNO.search(each))), None)
    if system is not None:
        return system
    if not said or _GAVE_UP in said[-1]:
        return f"no answer within {_REQUEST_S:g} s" if len(said) < 2 else shorten(one_line(said[0]), _MESSAGE_WIDTH)
    return shorten(one_line(said[-1]), _MESSAGE_WIDTH)


class _Said(logging.Filter):
    """Takes what the exporter logs on threads that send out of the user's log; other threads are not touched."""

    def __init__(self) -> None:
        super().__init__()
        self._local = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        said: list[str] | None = getattr(self._local, "said", None)
        if said is None:
            return True
        if record.levelno >= logging.WARNING and record.name in _NOISY:
            said.append(record.getMessage())
        return False

    @contextmanager
    def aside(self) -> Iterator[list[str]]:
        """Collect what this thread logs meanwhile."""
        before: list[str] | None = getattr(self._local, "said", None)
        said: list[str] = []
        self._local.said = said
        try:
            yield said
        finally:
            self._local.said = before


def asked_by_environment() -> bool:
    """Whether the environment alone asks for spans."""
    return traces_url(None, os.environ) is not None
