"""A small instrumented service: it continues the trace of a request, logs to Loki and counts for Prometheus."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, format_trace_id


class Shop:
    """``POST /orders`` answers 201 with the trace id, or 402 where the body says that the card is no good.

    Its spans go to *otlp_url* as they end, its log lines to *loki_push_url*, if there is one; ``GET /metrics`` tells
    how many orders there were, by trace.
    """

    def __init__(self, name: str, otlp_url: str, loki_push_url: str | None = None) -> None:
        self.name = name
        self._loki_push_url = loki_push_url
        self._orders: dict[str, int] = {}
        self._provider = TracerProvider(resource=Resource({"service.name": name}), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{otlp_url}/v1/traces", timeout=60)
        self._provider.add_span_processor(SimpleSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("shop")

    def order(self, headers: Mapping[str, str], body: Mapping[str, Any]) -> tuple[int, dict[str, str]]:
        """Place one order; return status and answer."""
        incoming = {name.lower(): value for name, value in headers.items()}
        with self._tracer.start_as_current_span("POST /orders", extract(incoming), SpanKind.SERVER) as span:
            trace_id = format_trace_id(span.get_span_context().trace_id)
            with self._tracer.start_as_current_span("INSERT orders", kind=SpanKind.CLIENT) as query:
                query.set_attribute("db.system.name", "postgresql")
            declined = body.get("card") == "declined"
            if declined:
                span.set_status(Status(StatusCode.ERROR, "card declined"))
            span.set_attributes({"http.response.status_code": 402 if declined else 201, "items": ["a", "b"]})
            self._log(f"order {'declined' if declined else 'placed'} trace_id={trace_id}")
            self._orders[trace_id] = self._orders.get(trace_id, 0) + 1
        return (402 if declined else 201), {"trace_id": trace_id}

    def metrics(self) -> str:
        """Return the counter in Prometheus' text format."""
        lines = [f'shop_orders_total{{trace_id="{each}"}} {count}' for each, count in self._orders.items()]
        return "\n".join(["# TYPE shop_orders_total counter", *lines, ""])

    def _log(self, line: str) -> None:
        if self._loki_push_url is None:
            return
        stream = {"stream": {"app": self.name}, "values": [[str(time.time_ns()), line]]}
        data = json.dumps({"streams": [stream]}).encode()
        request = urllib.request.Request(self._loki_push_url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            response.read()


def serve(shop: Shop) -> None:
    """Serve it on a free loopback port, which is printed, until the process is ended."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            status, answer = shop.order(dict(self.headers.items()), body)
            self._answer(status, "application/json", json.dumps(answer))

        def do_GET(self) -> None:
            self._answer(200, "text/plain; version=0.0.4", shop.metrics())

        def _answer(self, status: int, content_type: str, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    serve(Shop(*sys.argv[1:]))
