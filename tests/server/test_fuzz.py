"""The REST API under requests that schemathesis makes up from its own description; needs the extra ``fuzz``."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

MAX_TIME_S = 25


@pytest.mark.skipif(find_spec("schemathesis") is None, reason="the extra `fuzz` is not installed")
def test_whatever_is_sent_the_api_answers_as_it_describes(
    client: Any, make_plugin: Any, plugins_dir: Path, tmp_path: Path
) -> None:
    """No 5xx, no status, type, shape or Allow that is not described, and nothing wrong is taken.

    Nothing can be installed: no folder has the paths that are made up.
    """
    make_plugin("my-plugin", into=plugins_dir)

    done = _fuzz(client.port, tmp_path)

    assert 0 == done.returncode, done.stdout
    assert int(re.search(r"(\d+) generated", done.stdout)[1]) > 200
    assert {"my-plugin"} >= {each.name for each in plugins_dir.iterdir() if not each.name.startswith(".")}


def _fuzz(port: int, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/openapi.json"]
    options = [
        "--max-time",
        str(MAX_TIME_S),
        "--generation-database",
        ":memory:",
        "--no-color",
        "--request-timeout",
        "60",
    ]
    # A well-formed request to install a folder that is not there is rightly refused.
    options += ["--checks", "all", "--exclude-checks", "positive_data_acceptance"]
    return subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True)
