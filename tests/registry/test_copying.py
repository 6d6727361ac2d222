"""What may be copied out of a stranger's folder, and what is refused by name."""

from __future__ import annotations

import os
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_testmesh.errors import PluginRefusedError, RegistryError
from pytest_testmesh.registry.copying import CopyLimits, copy_plugin


@pytest.fixture
def source(tmp_path: Path) -> Path:
    place = tmp_path / "source"
    (place / "lib").mkdir(parents=True)
    (place / "server.py").write_text("serve()")
    (place / "lib" / "data.json").write_text("{}")
    return place


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def test_files_and_folders_are_copied_and_counted(source, target, snapshot):
    (source / "lib" / "empty").mkdir()

    assert 2 == copy_plugin(source, target)
    assert snapshot(source) == snapshot(target)


@pytest.mark.parametrize("mode", [0o755, 0o644, 0o600, 0o640], ids=oct)
def test_permissions_are_kept(source, target, mode):
    (source / "server.py").chmod(mode)

    copy_plugin(source, target)

    assert mode == stat.S_IMODE((target / "server.py").stat().st_mode)


@pytest.mark.parametrize(
    ("expected", "mode"),
    [(0o755, 0o777), (0o644, 0o666), (0o755, 0o4755), (0o755, 0o2755), (0o644, 0o444), (0o755, 0o1755)],
)
def test_nobody_gets_anothers_rights_and_the_owner_can_write(source, target, expected, mode):
    (source / "server.py").chmod(mode)

    copy_plugin(source, target)

    assert expected == stat.S_IMODE((target / "server.py").stat().st_mode)


def test_a_folder_without_write_permission_is_copied_as_one_that_can_be_removed(source, target):
    (source / "lib").chmod(0o555)

    copy_plugin(source, target)

    assert 0o755 == stat.S_IMODE((target / "lib").stat().st_mode)


@pytest.mark.parametrize("name", [".git", "__pycache__", ".venv", "node_modules"])
@pytest.mark.parametrize("place", ["", "lib"])
def test_what_is_made_anew_is_left_out(source, target, snapshot, name, place):
    before = snapshot(source)
    (source / place / name).mkdir()
    (source / place / name / "x").touch()

    copy_plugin(source, target)

    assert before == snapshot(target)


def test_what_is_left_out_is_not_looked_at(source, target):
    (source / ".venv").symlink_to("/")

    copy_plugin(source, target)

    assert not os.path.lexists(target / ".venv")


def test_a_folder_can_be_skipped(source, target):
    copy_plugin(source, target, skipped=source / "lib")

    assert ["server.py"] == os.listdir(target)


def test_names_that_are_not_utf8_are_copied(source, target):
    name = b"caf\xe9"
    Path(os.fsdecode(os.fsencode(source) + b"/" + name)).touch()

    copy_plugin(source, target)

    assert name in os.listdir(os.fsencode(target))


@pytest.mark.parametrize("leads_to", ["server.py", "lib", "lib/data.json", "./lib/../server.py", "nowhere"])
def test_a_relative_link_inside_is_kept_as_a_link(source, target, leads_to):
    (source / "link").symlink_to(leads_to)

    copy_plugin(source, target)

    assert leads_to == os.readlink(target / "link")


def link(place: str, leads_to: str) -> Callable[[Path], object]:
    return lambda source: (source / place).symlink_to(leads_to)


def bind(source: Path) -> None:
    folder = os.open(source, os.O_RDONLY)  # the path of a socket may have 100 characters only
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/odd")
    os.close(folder)


def through_a_link(source: Path) -> None:
    (source / "inside").symlink_to("lib")
    (source / "odd").symlink_to("inside/../../other")


HOSTILE = {
    "link above": (link("odd", "../other"), "odd is a link out of the folder, to ../other"),
    "link far above": (link("lib/odd", "../../../../../etc/passwd"), "lib/odd is a link out of the folder, to ../../"),
    "absolute link": (link("odd", "/etc/passwd"), "odd is a link out of the folder, to /etc/passwd"),
    "link to a folder": (link("odd", "/etc"), "odd is a link out of the folder, to /etc"),
    "link to its parent": (link("odd", ".."), "odd is a link out of the folder, to .."),
    "link through a link": (through_a_link, "odd is a link out of the folder, to inside/../../other"),
    "link out and back": (link("odd", "../source/server.py"), "odd is a link out of the folder, to ../source/server"),
    "link to itself": (link("odd", "odd"), "odd is a link that leads in a circle: odd"),
    "pipe": (lambda source: os.mkfifo(source / "odd"), "odd is a named pipe"),
    "pipe deeper": (lambda source: os.mkfifo(source / "lib" / "odd"), "lib/odd is a named pipe"),
    "socket": (bind, "odd is a socket"),
}


@pytest.mark.parametrize(("spoil", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_folder_is_refused_by_the_name_in_it(source, target, tmp_path, spoil, message):
    (tmp_path / "other").touch()
    spoil(source)

    with pytest.raises(PluginRefusedError) as caught:
        copy_plugin(source, target)

    assert caught.value.message.startswith(f"{source}/{message}")


def test_two_links_in_a_circle_are_refused(source, target):
    (source / "a").symlink_to("b")
    (source / "b").symlink_to("a")

    with pytest.raises(PluginRefusedError, match="a is a link that leads in a circle: b"):
        copy_plugin(source, target)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_a_device_is_refused(source, target):
    os.mknod(source / "odd", 0o600 | stat.S_IFCHR, os.makedev(1, 5))

    with pytest.raises(PluginRefusedError, match="odd is a device"):
        copy_plugin(source, target)


def huge(source: Path) -> None:
    with (source / "huge").open("wb") as file:
        file.truncate(1024**4)


def many(source: Path) -> None:
    for number in range(30):
        (source / str(number)).touch()


def deep(source: Path) -> None:
    (source / "/".join("d" * 9)).mkdir(parents=True)


LIMITED = {
    "huge file": (huge, " holds more than 1 MiB"),
    "many files": (many, " holds more than 20 files and folders"),
    "deep": (deep, "/d/d/d/d/d/d/d/d/d lies more than 8 folders deep"),
}


@pytest.mark.parametrize(("fill", "message"), LIMITED.values(), ids=LIMITED)
def test_what_a_plugin_holds_is_limited(source, target, fill, message):
    fill(source)

    with pytest.raises(PluginRefusedError) as caught:
        copy_plugin(source, target, limits=CopyLimits(entries=20, size_bytes=1024 * 1024, depth=8))

    assert f"{source}{message}" == caught.value.message


def test_the_size_is_that_of_all_files_together(source, target):
    for number in range(3):
        (source / str(number)).write_bytes(b"x" * 400)

    with pytest.raises(PluginRefusedError, match="holds more than"):
        copy_plugin(source, target, limits=CopyLimits(size_bytes=1000))


def test_what_another_user_owns_is_refused(source, target):
    assert 2 == copy_plugin(source, target, owner=os.getuid())
    with pytest.raises(PluginRefusedError) as caught:
        copy_plugin(source, target / "again", owner=os.getuid() + 1)

    expected = f"{source} belongs to the user with id {os.getuid()}, not to {os.getuid() + 1}"
    assert expected == caught.value.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["lib", "lib/data.json", "link"])
def test_one_file_of_another_user_is_enough(source, target, name):
    (source / "link").symlink_to("server.py")
    os.chown(source / name, 12345, -1, follow_symlinks=False)

    with pytest.raises(PluginRefusedError, match=f"{name} belongs to the user with id 12345, not to 0"):
        copy_plugin(source, target, owner=0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read_is_told(source, target):
    (source / "server.py").chmod(0)

    with pytest.raises(PluginRefusedError, match=r"server\.py cannot be read: Permission denied"):
        copy_plugin(source, target)


@contextmanager
def small_disk() -> Iterator[None]:
    """Stands for a full disk: no file may become larger than 1000 bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_what_cannot_be_written_is_told_of_the_target_not_of_the_source(source, target):
    (source / "lib" / "large").write_bytes(b"x" * 5000)

    with small_disk(), pytest.raises(RegistryError) as caught:
        copy_plugin(source, target)

    assert f"{target / 'lib' / 'large'} cannot be written: File too large" == caught.value.message
    assert not isinstance(caught.value, PluginRefusedError)
