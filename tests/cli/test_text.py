"""Texts of plugins on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_testmesh.cli.text import cells, cut, pad, printable, shown_path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("Größe 日本 ✓", "Größe 日本 ✓", id="letters of all languages"),
        pytest.param("\x1b[31mred", "\\x1b[31mred", id="colour"),
        pytest.param("a\rb\nc\td", "a\\rb\\nc\\td", id="breaks"),
        pytest.param("\x9b2J", "\\x9b2J", id="C1 control"),
        pytest.param("\u202egnp.exe", "\\u202egnp.exe", id="right to left"),
        pytest.param("\ud800", "\\ud800", id="half of a pair"),
    ],
)
def test_nothing_but_text_reaches_the_terminal(text: str, shown: str) -> None:
    assert shown == printable(text)


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0)])
def test_width_is_counted_in_columns(text: str, width: int) -> None:
    assert width == cells(text)


@pytest.mark.parametrize(
    ("text", "width", "keep_end", "shown"),
    [
        ("abcdef", 6, False, "abcdef"),
        ("abcdefg", 6, False, "abc..."),
        ("abcdefg", 6, True, "...efg"),
        ("日本日本", 6, False, "日..."),
        ("日本日本", 6, True, "...本"),
    ],
)
def test_cut_text_fits(text: str, width: int, keep_end: bool, shown: str) -> None:
    assert shown == cut(text, width, keep_end=keep_end)


def test_padding_counts_columns() -> None:
    assert "日本  |" == pad("日本", 6) + "|"


def test_paths_are_relative_below_the_working_directory_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    assert "a/b" == shown_path(tmp_path / "here" / "a" / "b")
    assert str(tmp_path / "there") == shown_path(tmp_path / "there")
