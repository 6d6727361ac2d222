"""The built-in names: fresh for each attempt, equal within it; fixtures are read, never called."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_testmesh.builtin_values import BuiltinValues
from pytest_testmesh.errors import ExpressionError, MeshError, UndefinedNameError
from pytest_testmesh.scope import Scope
from pytest_testmesh.template import compile_template


class Service:
    """Stands for what a user's fixture gives."""

    url = "http://127.0.0.1:1"
    ports = (1, 2)
    facts = {"zone": {"name": "eu"}}  # noqa: RUF012 - read only
    _secret = "hidden"

    @property
    def broken(self) -> str:
        raise RuntimeError("no disk")

    def stop(self) -> None:
        raise AssertionError("a flow called it")


def fill(text: str, *, faker: dict[str, Any] | None = None, values: BuiltinValues | None = None) -> Any:
    fixtures = {"service": Service(), "port": 8080, "plain": SimpleNamespace(a=[1, {"b": None}])}
    values = values or BuiltinValues({"FLOW_NAME": "Checkout"}, faker=faker, fixtures=fixtures.__getitem__)
    return compile_template(text).fill(Scope(builtins=values, environ={}))


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("UUID", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("$uuid", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("random.uuid", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("RANDOM_ID", r"[0-9a-f]{12}"),
        ("RANDOM_INT", r"\d{1,6}"),
        ("$random_int", r"\d{1,6}"),
        ("RANDOM_STRING", r"[A-Za-z0-9]{10}"),
        ("random.string(24)", r"[A-Za-z0-9]{24}"),
        ("TIMESTAMP", r"\d{10}"),
        ("$timestamp", r"\d{10}"),
        ("ISO_TIMESTAMP", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
        ("DATE", r"\d{4}-\d\d-\d\d"),
        ("TODAY", r"\d{4}-\d\d-\d\d"),
        ("TIME", r"\d\d:\d\d:\d\d"),
        ("DATETIME", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
        ("FLOW_NAME", "Checkout"),
    ],
)
def test_a_built_in_name_has_its_form(name: str, pattern: str) -> None:
    assert re.fullmatch(pattern, fill(f"<${{{name}}}>")[1:-1])


@pytest.mark.parametrize("name", ["UUID", "random.string(24)", "FAKER.person.firstName"])
def test_a_random_value_is_equal_within_an_attempt_and_new_in_the_next(name: str) -> None:
    values = BuiltinValues({}, faker={})
    first, second = fill(f"${{{name}}} ${{{name}}}", values=values).rsplit(" ", 1)
    texts = set()
    for _ in range(8):
        values.refresh()
        texts.add(fill(f"${{{name}}}", values=values))

    assert first == second
    assert 1 < len(texts)


def test_faker_with_a_seed_gives_the_same_again() -> None:
    names = {fill("${FAKER.person.firstName} ${FAKER.internet.email}", faker={"seed": 7}) for _ in range(2)}

    assert 1 == len(names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${fixtures.service.url}/orders", "http://127.0.0.1:1/orders"),
        ("${fixtures.port}", 8080),
        ("${fixtures.service.facts.zone.name}", "eu"),
        ("${fixtures.service.facts}", {"zone": {"name": "eu"}}),
        ("${fixtures.plain.a[1].b}", None),
    ],
)
def test_a_fixture_is_read(text: str, expected: Any) -> None:
    assert expected == fill(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${fixtures.service._secret}", "leading underscore"),
        ("${fixtures.service.__class__}", "leading underscore"),
        ("${fixtures.service.stop()}", "cannot be called"),
        ("${fixtures.service}", "fixtures.service"),
        ("${fixtures.service.stop}", "fixtures.service.stop"),
        ("${fixtures.service.broken}", "fixtures.service.broken raised RuntimeError: no disk"),
        ("${fixtures.service.uri}", "fixtures.service.uri is not there"),
        ("${random.colour}", "random.colour is not defined"),
        ("${random.string('x')}", "random.string cannot be called so"),
        ("${random.string(99999999)}", "the length must be between"),
        ("${FAKER.person.nobodyKnows}", "FAKER.person.nobodyKnows is not defined"),
        ("${FAKER.person._Faker__x}", "is not defined"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_names_it(text: str, message: str) -> None:
    with pytest.raises(MeshError, match=re.escape(message)):
        fill(text)


def test_a_locale_that_is_not_there_is_named() -> None:
    with pytest.raises(ExpressionError, match="FAKER has no locale xx_YY"):
        fill("${FAKER.person.firstName}", faker={"locale": "xx_YY"})


def test_an_undefined_name_suggests_a_built_in_one() -> None:
    with pytest.raises(UndefinedNameError) as caught:
        fill("${TIMESTMP}")

    assert "TIMESTAMP" in str(caught.value.hint)
