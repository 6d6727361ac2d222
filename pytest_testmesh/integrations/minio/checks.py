"""What can be seen to be wrong in a config at collection, before any server is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations._assertions import check_texts
from pytest_testmesh.integrations.minio.address import parse_address
from pytest_testmesh.integrations.minio.content import read_content
from pytest_testmesh.integrations.minio.names import read_place

OF_AN_OBJECT = ("content_type", "size", "size_gte", "contains")


def check_place(config: Mapping[str, Any]) -> None:
    """Check what all the actions have."""
    read_place(config)
    parse_address(config, {})


def check_put(config: Mapping[str, Any]) -> None:
    """Check ``minio.put``; the file may be made by an earlier step."""
    check_place(config)
    read_content(config, Path())


def check_get(config: Mapping[str, Any]) -> None:
    """Check ``minio.get``."""
    check_place(config)
    if "as" in config and "file" in config:
        raise ActionConfigError("config has both `as` and `file`", hint="a file gets the bytes as they are stored")


def check_assert(config: Mapping[str, Any]) -> None:
    """Check ``minio.assert``; of a config with placeholders there is only what comes as written."""
    check_texts(config, "assert")
    if "bucket" not in config:
        return
    check_place(config)
    if config.get("exists", True) is False:
        for key in OF_AN_OBJECT:
            if key in config:
                raise ActionConfigError(
                    f"config has `{key}` beside `exists: false`", hint="an object that is not there has none"
                )
