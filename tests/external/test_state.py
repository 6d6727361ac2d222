"""The file that says which plugins are disabled: many writers, no torn read, nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_testmesh.errors import RegistryError
from pytest_testmesh.external import state
from pytest_testmesh.external.state import LOCK_NAME, STATE_NAME, PluginState, locked, read_state

WRITERS, CHANGES = 8, 25
WRITER = """
import sys
from pathlib import Path
from pytest_testmesh.external.state import locked
for number in range(int(sys.argv[3])):
    with locked(Path(sys.argv[1])) as folder:
        folder.set_enabled(f"{sys.argv[2]}-{number}", False)
"""


def disable(plugins_dir: Path, *ids: str) -> None:
    for plugin_id in ids:
        with locked(plugins_dir) as folder:
            folder.set_enabled(plugin_id, False)


def test_without_a_file_everything_is_enabled(tmp_path):
    assert read_state(tmp_path).is_enabled("any")


@pytest.mark.parametrize("place", ["none", "file"])
def test_a_plugins_folder_that_is_none_disables_nothing(tmp_path, place):
    (tmp_path / "file").touch()

    assert PluginState() == read_state(tmp_path / place)


def test_what_was_disabled_stays_so_until_it_is_enabled(tmp_path):
    disable(tmp_path, "a", "b")
    with locked(tmp_path) as folder:
        folder.set_enabled("a", True)

    found = read_state(tmp_path)

    assert (True, False, True) == (found.is_enabled("a"), found.is_enabled("b"), found.is_enabled("c"))


def test_the_file_is_for_people_and_other_programs(tmp_path):
    disable(tmp_path, "b", "a")

    assert {"format": 1, "disabled": ["a", "b"]} == json.loads((tmp_path / STATE_NAME).read_text())
    assert {STATE_NAME, LOCK_NAME} == {each.name for each in tmp_path.iterdir()}


def test_a_change_that_changes_nothing_writes_nothing(tmp_path):
    with locked(tmp_path) as folder:
        folder.set_enabled("a", True)

    assert not (tmp_path / STATE_NAME).exists()


DAMAGED = {
    "not JSON": (b'{"format": 1, "disa', "is not JSON: "),
    "not UTF-8": (b"\xff\xfe", "is not JSON: "),
    "empty": (b"", "is not JSON: "),
    "too deep": (b"[" * 100_000, "is not JSON: "),
    "a list": (b"[]", "is not a JSON object"),
    "no format": (b'{"disabled": []}', 'has "format": null, and only 1 is known'),
    "of a later version": (b'{"format": 2, "disabled": []}', 'has "format": 2, and only 1 is known'),
    "no list": (b'{"format": 1, "disabled": "a"}', '"disabled" is not a list of plugin ids'),
    "not ids": (b'{"format": 1, "disabled": [1]}', '"disabled" is not a list of plugin ids'),
    "nothing disabled": (b'{"format": 1}', '"disabled" is not a list of plugin ids'),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_told_and_never_overwritten(tmp_path, content, message):
    path = tmp_path / STATE_NAME
    path.write_bytes(content)

    with pytest.raises(RegistryError) as caught:
        read_state(tmp_path)
    with pytest.raises(RegistryError):
        disable(tmp_path, "a")

    assert caught.value.message.startswith(f"{path}: {message}")
    assert f"remove {path} to enable all" in (caught.value.hint or "")
    assert content == path.read_bytes()


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / STATE_NAME).mkdir()

    with pytest.raises(RegistryError, match=r"\.testmesh\.json: cannot be read: Is a directory"):
        read_state(tmp_path)


def test_what_a_killed_writer_left_is_no_state_and_in_nobodys_way(tmp_path):
    disable(tmp_path, "a")
    (tmp_path / f"{STATE_NAME}.new").write_text('{"format": 1, "dis')

    disable(tmp_path, "b")

    assert {"a", "b"} == read_state(tmp_path).disabled


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_told(tmp_path):
    tmp_path.chmod(0o555)

    with pytest.raises(RegistryError, match=r"cannot be changed: .*Permission denied"):
        disable(tmp_path, "a")


def test_a_lock_that_is_never_free_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "_LOCK_WAIT_S", 0.05)

    with locked(tmp_path), pytest.raises(RegistryError, match="is being changed by another process") as caught:
        disable(tmp_path, "a")

    assert str(tmp_path / LOCK_NAME) in (caught.value.hint or "")


def test_200_changes_by_many_processes_lose_nothing_and_no_reader_sees_half_a_file(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, str(number), str(CHANGES)])
        for number in range(WRITERS)
    ]
    sizes = [0]
    while any(writer.poll() is None for writer in writers):
        sizes.append(len(read_state(tmp_path).disabled))  # raises on half a file

    assert [0] * WRITERS == [writer.wait() for writer in writers]
    assert sorted(sizes) == sizes
    expected = {f"{number}-{change}" for number in range(WRITERS) for change in range(CHANGES)}
    assert expected == read_state(tmp_path).disabled
