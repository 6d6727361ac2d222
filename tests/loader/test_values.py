"""Scalars are resolved by the YAML 1.2 core schema, less what would change a text of digits."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_testmesh.loader.source import Source
from pytest_testmesh.loader.values import read_value
from pytest_testmesh.loader.yaml_nodes import read_documents


def read(text: str) -> Any:
    source = Source("x.yaml", text.encode())
    return read_value(source, read_documents(source)[0])


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("0", 0),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("25.00", 25.0),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("null", None),
        ("~", None),
        ("", None),
        *(
            (text, text)
            for text in (
                *("01234", "00", "-01", "0123.5", "1_000", "12:30:00", "2024-01-01", "2024-01-01T12:30:00Z"),
                *("no", "on", "yes", "off", "y", "N", "tRUE", "nULL", "0b1", "0o8", "1.2.3", "+", ".", "1e", "e5"),
                *("192.168.0.1", "0xZZ", "--", "=", "٣", "1\u00a0"),
            )
        ),
        ("'5'", "5"),
        ('"true"', "true"),
        ("''", ""),
        ("|\n    5\n", "5\n"),
    ],
)
def test_a_scalar(written: str, value: object) -> None:
    [seen] = read(f"- {written}\n")

    assert (type(value), value) == (type(seen), seen)


def test_collections_nest() -> None:
    assert {"a": [1, {"b": None}], "c": {}, "on": []} == read("a: [1, {b: }]\nc: {}\non: []\n")


def test_an_alias_is_the_same_value() -> None:
    assert {"a": {"x": 1}, "b": {"x": 1}} == read("a: &a {x: 1}\nb: *a\n")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("{<<: *one, b: 3}", {"a": 1, "b": 3}),
        ("{b: 3, <<: *one}", {"a": 1, "b": 3}),
        ("{<<: [*one, *two]}", {"a": 1, "b": 2, "c": 5}),
        ("{'<<': *one}", {"<<": {"a": 1, "b": 2}}),
    ],
)
def test_merge_keys(written: str, value: object) -> None:
    assert value == read(f"- &one {{a: 1, b: 2}}\n- &two {{b: 4, c: 5}}\n- {written}\n")[2]
