"""``neo4j.query`` and ``neo4j.assert`` at work: one statement over a pooled driver, its answer as JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import MissingPathError, StepAssertionError
from pytest_testmesh.integrations._assertions import read_checks, require
from pytest_testmesh.integrations._clients import ClientPool
from pytest_testmesh.integrations._durations import duration_s
from pytest_testmesh.integrations._sockets import bounded_by
from pytest_testmesh.integrations._tls import tls_of_address
from pytest_testmesh.integrations._within import holds_within, look_deadline, not_again
from pytest_testmesh.integrations.neo4j.address import parse_address
from pytest_testmesh.integrations.neo4j.connection import Answer, Client, Endpoint
from pytest_testmesh.integrations.neo4j.cypher import read_statement
from pytest_testmesh.integrations.neo4j.failures import Asking, failure, is_mapped, offset_in
from pytest_testmesh.integrations.neo4j.params import check_params
from pytest_testmesh.integrations.sql.outcome import Received, Sent, caret
from pytest_testmesh.polling import Deadline
from pytest_testmesh.scope import ResultNames
from pytest_testmesh.units import format_duration


def query(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Run one statement.

    Config and result: ``QUERY_SCHEMA`` and ``QUERY_RESULT`` of this package.

    Raises:
        ActionConfigError: The statement or the address cannot be used.
        ActionTimeoutError: ``timeout`` or the context's deadline came.
        TargetUnavailableError: No connection, or it broke.
        TargetError: The server said no.
    """
    result, answer = _Step.read(config, context).look(look_deadline(config, context.deadline))
    for each in answer.notifications:
        context.log(each.text, "warning" if each.severity == "WARNING" else "info")
    return result


def check(config: Mapping[str, Any], context: ActionContext) -> Mapping[str, Any]:
    """Run one statement, with ``within`` again and again, until all assertions hold of what it returns.

    Raises:
        StepAssertionError, MissingPathError: They did not; the hint tells what the server warned of.
        ActionError: As for `query`.
    """
    step = _Step.read(config, context)
    checks = tuple(read_checks(config, "assert", context.scope.hyphenated_ids()))
    within_s = duration_s(config, "within", "0")
    end = Deadline.after(within_s, f"within {config.get('within')}") if within_s else None
    warnings: tuple[str, ...] = ()

    def look() -> Mapping[str, Any]:
        nonlocal warnings
        result, answer = step.look(look_deadline(config, context.deadline, end))
        warnings = answer.warnings
        try:
            require(checks, ResultNames(result, context.scope, complete=True))
        except (StepAssertionError, MissingPathError) as exc:
            if within_s and answer.changes:
                raise not_again(exc) from None
            raise
        return {"passed": True, "assertions_checked": len(checks), **result}

    try:
        return holds_within(look, within_s, context.deadline) if within_s else look()
    except (StepAssertionError, MissingPathError) as exc:
        exc.hint = "\n".join(filter(None, [exc.hint, *(f"the server warns: {each}" for each in warnings)])) or None
        raise
    finally:
        for each in warnings:
            context.log(each, "warning")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One statement and where it goes; it may be run more than once."""

    text: str
    params: Mapping[str, Any]
    database: str | None
    endpoint: Endpoint
    context: ActionContext

    @classmethod
    def read(cls, config: Mapping[str, Any], context: ActionContext) -> _Step:
        check_params(config.get("params"))
        return cls(
            text=read_statement(config["query"], context),
            params=config.get("params", {}),
            database=config.get("database") or None,
            endpoint=_endpoint(config, context),
            context=context,
        )

    def look(self, deadline: Deadline) -> tuple[Mapping[str, Any], Answer]:
        """Run the statement once."""
        started = time.perf_counter()
        exchange = self.context.exchange
        exchange.sent, exchange.received = self._sent(None), None
        pool = self.context.session.get(Client, _make_pool, ClientPool.close)
        with bounded_by(deadline), pool.lend(self.endpoint, deadline) as client, self._mapped(client, deadline):
            answer = client.run(self.text, self.params, self.database, deadline)
        duration_ms = round((time.perf_counter() - started) * 1000)
        exchange.received = Received([answer.outcome], duration_ms)
        return _result(answer, duration_ms), answer

    @contextmanager
    def _mapped(self, client: Client, deadline: Deadline) -> Iterator[None]:
        handled = sys.exc_info()[1]
        started = time.perf_counter()
        try:
            yield
        except Exception as exc:
            if not is_mapped(exc):
                raise
            waited = format_duration(time.perf_counter() - started)
            offset = offset_in(exc, self.text)
            if offset is not None:
                self.context.exchange.sent = self._sent(offset)
            raise failure(
                exc,
                Asking(
                    text=self.text,
                    address=self.endpoint.address,
                    database=self.database,
                    deadline=deadline,
                    waited=waited,
                    first=client.is_new,
                    handled=handled,
                ),
            ) from exc

    def _sent(self, offset: int | None) -> Sent:
        database = f" (database {self.database})" if self.database else ""
        target = f"{self.endpoint.address.url}{database}"
        return Sent([(self.text, self.params)], target, None if offset is None else caret(self.text, offset))


def _result(answer: Answer, duration_ms: int) -> dict[str, Any]:
    outcome = answer.outcome
    return {
        "rows": outcome.rows,
        "count": len(outcome.rows),
        "columns": list(outcome.columns),
        "keys": list(outcome.columns),
        "first_row": outcome.first_row,
        "counters": answer.counters,
        "query_type": answer.query_type,
        "database": answer.database,
        "duration_ms": duration_ms,
    }


def _endpoint(config: Mapping[str, Any], context: ActionContext) -> Endpoint:
    address = parse_address(config, context.settings)
    context.hide(address.password)
    return Endpoint(address, tls_of_address(address.tls, address.verify, config, context.flow_dir))


def _make_pool() -> ClientPool[Endpoint, Client]:
    return ClientPool(
        lambda endpoint, _deadline: Client(endpoint), is_alive=lambda client: client.is_alive, close=Client.close
    )
