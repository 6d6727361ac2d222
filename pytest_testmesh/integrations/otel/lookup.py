"""The spans of one trace at a single look, for whoever reports on a step."""

from __future__ import annotations

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.integrations.otel.backends import find_backend
from pytest_testmesh.integrations.otel.spans import Span
from pytest_testmesh.integrations.otel.trees import in_order
from pytest_testmesh.model import EMPTY
from pytest_testmesh.polling import Deadline


def is_configured(context: ActionContext) -> bool:
    """Whether the settings name a Tempo or a Jaeger."""
    return bool({"tempo_url", "jaeger_url"} & context.settings.keys())


def spans_of_trace(trace_id: str, context: ActionContext, deadline: Deadline) -> list[Span]:
    """Return the spans that the Tempo or Jaeger of the settings has of a trace by now, parents before children.

    *trace_id* is 32 hexadecimal digits. Looks once and ends at *deadline*; empty where the trace is not known.

    Raises:
        ActionError: The server could not be reached in time, or said no.
    """
    return [span for _, span in in_order(find_backend(EMPTY, context, deadline).trace(trace_id))]
