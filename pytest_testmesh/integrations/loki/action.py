"""``loki.*`` at work: asks once, or until the lines are as they should be."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.integrations._assertions import compile_check
from pytest_testmesh.integrations._http_api import Access
from pytest_testmesh.integrations._watching import watch
from pytest_testmesh.integrations._within import look_deadline
from pytest_testmesh.integrations.loki.explaining import LastLook
from pytest_testmesh.integrations.loki.question import read_question
from pytest_testmesh.integrations.loki.server import DEFAULT_URL, Found, Loki
from pytest_testmesh.integrations.loki.texts import Received, Sent
from pytest_testmesh.polling import Deadline

_WITHIN = "10s"

Result = Mapping[str, Any]


def query(config: Mapping[str, Any], context: ActionContext) -> Result:
    """Ask once.

    Config and result: ``QUERY_SCHEMA`` and ``RESULT`` of this package.

    Raises:
        ActionConfigError: A time is none, or the keys do not go together.
        ActionError: Loki could not be reached or said no.
    """
    return _Step(config, context).look(look_deadline(config, context.deadline))


def assert_lines(config: Mapping[str, Any], context: ActionContext) -> Result:
    """Ask until every assertion holds; by default, that there is a line or series.

    Raises:
        StepAssertionError, MissingPathError: They did not hold within ``within``; tells the newest lines.
        ActionError: As for `query`.
    """
    step = _Step(config, context)
    something = compile_check("count > 0", "nothing matches", "config.assert", frozenset())
    return watch(step.look, step.explain, something, _WITHIN, config, context)


class _Step:
    """One step, which may look more than once."""

    def __init__(self, config: Mapping[str, Any], context: ActionContext) -> None:
        self._config = config
        self._context = context
        self._began_ns = time.time_ns()
        url = config.get("url") or context.settings.get("loki_url") or DEFAULT_URL
        self._loki = Loki(url, Access.of(config, context))
        self._last: LastLook | None = None

    def look(self, deadline: Deadline) -> Result:
        """Look once."""
        question = read_question(self._config, self._began_ns, time.time_ns())
        exchange = self._context.exchange
        exchange.sent = Sent(question, self._loki.url)
        started = time.perf_counter()
        found = self._loki.find(question, deadline)
        exchange.received = Received(found, time.perf_counter() - started)
        self._last = LastLook(question, found)
        self._warn(found)
        return found.result()

    def explain(self, deadline: Deadline) -> Sequence[str]:
        """Say what the last look saw."""
        return list(self._last.explain(self._loki, deadline)) if self._last else ()

    def _warn(self, found: Found) -> None:
        told = {each["message"] for each in self._context.logs}
        for warning in found.warnings:
            if warning not in told:
                self._context.log(warning, "warning")
