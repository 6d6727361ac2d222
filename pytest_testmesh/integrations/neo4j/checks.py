"""What can be seen to be wrong with configs of ``neo4j.*`` at collection; loads no driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._assertions import check_texts
from pytest_testmesh.integrations.neo4j.address import parse_address
from pytest_testmesh.integrations.neo4j.cypher import check_statement
from pytest_testmesh.integrations.neo4j.params import check_params


def check_query(config: Mapping[str, Any]) -> None:
    """Check what both actions have.

    It may be called with a part of a config, as written, whose schema was not checked yet; so may the other.

    Raises:
        ActionConfigError: There is no statement, the URL is none, or a value cannot be sent.
    """
    query = config.get("query")
    if isinstance(query, str) and "${" not in query and "{{" not in query:
        check_statement(query)
    check_params(config.get("params"))
    parse_address(config, {})


def check_assert(config: Mapping[str, Any]) -> None:
    """Check ``neo4j.assert``.

    Raises:
        ActionConfigError: As for `check_query`, or there is nothing to check, or a text is no expression.
    """
    check_query(config)
    if not config.get("assert"):
        raise ActionConfigError("there is nothing to check", hint='write `assert: ["count == 1"]`')
    check_texts(config, "assert")
