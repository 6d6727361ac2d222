"""Values bound to a Cypher statement: what Bolt can carry of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.values import shorten

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def check_params(params: Any, where: str = "config.params") -> None:
    """Refuse values that the driver could not send.

    Raises:
        ActionConfigError: A whole number of more than 64 bits, or text with half a character.
    """
    if isinstance(params, str):
        _check_text(params, where)
    elif isinstance(params, int):
        if not _SMALLEST <= params <= _LARGEST:
            raise ActionConfigError(
                f"{where}: {shorten(str(params), 60)} is too large for Neo4j",
                hint="whole numbers have 64 bits; send it as text or as a float",
            )
    elif isinstance(params, Mapping):
        for key, value in params.items():
            _check_text(key, where)
            check_params(value, f"{where}.{key}")
    elif isinstance(params, list):
        for index, value in enumerate(params):
            check_params(value, f"{where}[{index}]")


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ActionConfigError(f"{where} holds half a character: {exc.reason}") from exc
