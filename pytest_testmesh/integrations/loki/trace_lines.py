"""The log lines of one trace, for reports of failures."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pytest_testmesh.integrations._http_api import Access
from pytest_testmesh.integrations.http.client import HttpClient
from pytest_testmesh.integrations.loki.entries import Entry
from pytest_testmesh.integrations.loki.question import Question
from pytest_testmesh.integrations.loki.server import Loki
from pytest_testmesh.polling import Deadline

_MOST = 50


def lines_of_trace(
    trace_id: str, start_ns: int, end_ns: int, settings: Mapping[str, str], client: HttpClient, deadline: Deadline
) -> list[Entry]:
    """Return the lines that name a trace, or came with it as structured metadata, oldest first, at most 50.

    Nothing where *settings* name no ``loki_url``; one look. Times are Unix nanoseconds.

    Raises:
        ActionError: Loki could not be reached or said no, or *deadline* came.
    """
    url = settings.get("loki_url")
    if not url:
        return []
    loki = Loki(url, Access(client=client))
    # Loki gives every stream a service_name; OpenTelemetry's logs carry the trace beside the line
    wanted = json.dumps(trace_id)
    queries = [f'{{service_name=~".+"}} |= {wanted}', f'{{service_name=~".+"}} | trace_id={wanted} != {wanted}']
    found: list[Entry] = []
    for query in queries:
        question = Question(query=query, start_ns=start_ns, end_ns=end_ns, limit=_MOST, direction="forward")
        found += loki.find(question, deadline).entries
    return sorted(found, key=lambda entry: entry["timestamp"])[:_MOST]
