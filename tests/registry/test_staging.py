"""The hidden folder of an operation is its own until its end, whatever others clean up meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys

from pytest_testmesh.external.state import LOCK_NAME
from pytest_testmesh.registry.staging import PREFIX, staging, sweep

WORK = """
import sys
from pathlib import Path
from pytest_testmesh.registry.staging import staging, sweep
for _ in range(100):
    sweep(Path(sys.argv[1]))
    with staging(Path(sys.argv[1])) as work:
        (work.new / "file").touch()
        sweep(Path(sys.argv[1]))
        assert (work.new / "file").exists()
"""


def test_400_operations_of_many_processes_keep_their_folders_and_leave_none(tmp_path):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "kept").touch()

    running = [subprocess.Popen([sys.executable, "-c", WORK, tmp_path / "plugins"]) for _ in range(4)]

    assert [0] * 4 == [process.wait() for process in running]
    assert {"kept", LOCK_NAME} == set(os.listdir(tmp_path / "plugins"))


def test_a_plugins_folder_that_was_only_made_for_an_operation_goes_with_it(tmp_path):
    with staging(tmp_path / "a" / "plugins"):
        pass

    assert [] == os.listdir(tmp_path)


def test_what_an_operation_of_this_process_still_needs_is_not_swept(tmp_path):
    with staging(tmp_path) as work:
        sweep(tmp_path)

        assert work.new.is_dir()


def test_a_deletion_that_was_killed_is_finished(tmp_path):
    (tmp_path / ".testmesh-gone-x" / f"{PREFIX}y" / "old" / "plugin").mkdir(parents=True)

    sweep(tmp_path)

    assert [] == os.listdir(tmp_path)
