"""The end of what a plugin prints is kept, in bounded memory."""

from __future__ import annotations

from pytest_testmesh.external.output import OutputTail


def test_what_was_written_after_a_position_is_returned():
    tail = OutputTail()
    tail.write(b"before\n")
    position = tail.position
    tail.write(b"after\n")

    assert "after\n" == tail.since(position)
    assert "" == tail.since(tail.position)


def test_only_the_last_part_is_kept_and_what_is_missing_is_said():
    tail = OutputTail(kept_bytes=10)
    for digit in b"0123456789" * 5:
        tail.write(bytes([digit]))

    assert "[40 bytes of earlier output left out]\n0123456789" == tail.since(0)
    assert "[5 bytes of earlier output left out]\n0123456789" == tail.since(35)
    assert "6789" == tail.since(46)
    assert 50 == tail.position


def test_memory_stays_bounded_however_much_is_written():
    tail = OutputTail(kept_bytes=1000)
    for _ in range(1000):
        tail.write(b"x" * 999)

    assert len(tail._data) <= 3000


def test_bytes_that_are_not_utf_8_survive():
    tail = OutputTail()
    tail.write("café ".encode() + b"\xff\n")

    assert "café \\xff\n" == tail.since(0)


def test_the_last_lines_leave_blank_ones_out():
    tail = OutputTail()
    tail.write(b"one\n\ntwo  \n \nthree\n")

    assert ["two", "three"] == tail.last_lines(2)
