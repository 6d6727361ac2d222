"""What is wrong with a request's config although its schema holds; loads no client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_testmesh.errors import ActionConfigError


def check_request_config(config: Mapping[str, Any]) -> None:
    """Refuse a config that describes two bodies.

    Raises:
        ActionConfigError: ``body`` is given together with ``form`` or ``files``.
    """
    if config.get("body") is not None and (config.get("form") or config.get("files")):
        raise ActionConfigError("a request has either `body` or `form` and `files`", hint="remove one of them")
