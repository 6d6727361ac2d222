"""The names every flow has: ids of the run, random and time values, ``FAKER``.

Random and time values are made at their first use in an attempt and stay the same until the next one.
"""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from pytest_testmesh.errors import ExpressionError, MissingDependencyError, UndefinedNameError
from pytest_testmesh.values import Namespace

_MAX_RANDOM_TEXT = 10_000


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_FRESH: dict[str, Callable[[], Any]] = {
    "UUID": lambda: str(uuid.uuid4()),
    "RANDOM_ID": lambda: uuid.uuid4().hex[:12],
    "RANDOM_INT": lambda: random.randrange(1_000_000),
    "RANDOM_STRING": lambda: _random_text(10),
}

_TIME: dict[str, Callable[[datetime], Any]] = {
    "TIMESTAMP": lambda now: int(now.timestamp()),
    "ISO_TIMESTAMP": _iso,
    "DATE": lambda now: now.strftime("%Y-%m-%d"),
    "TODAY": lambda now: now.strftime("%Y-%m-%d"),
    "TIME": lambda now: now.strftime("%H:%M:%S"),
    "DATETIME": lambda now: now.strftime("%Y-%m-%d %H:%M:%S"),
}

_ALIASES = {"$timestamp": "TIMESTAMP", "$uuid": "UUID", "$random_int": "RANDOM_INT"}

_NAMESPACES = ("random", "FAKER", "fixtures")


def _random_text(length: int) -> str:
    return "".join(random.choices(string.ascii_letters + string.digits, k=length))


class BuiltinValues:
    """Values of the built-in names for one run of a flow.

    *constants* are ``FLOW_ID FLOW_NAME EXECUTION_ID FLOW_STATUS STEP_ID``; *fixtures* reads a pytest fixture by name.
    """

    def __init__(
        self,
        constants: Mapping[str, str],
        *,
        faker: Mapping[str, Any] | None = None,
        fixtures: Callable[[str], Any] | None = None,
    ) -> None:
        self.constants = dict(constants)
        self._faker_config = dict(faker or {})
        self._fixtures = fixtures
        self._fresh: dict[str, Any] = {}
        self._namespaces: dict[str, Namespace] = {}

    def refresh(self) -> None:
        """Forget random and time values; called before each attempt of a step."""
        self._fresh.clear()

    def __contains__(self, name: str) -> bool:
        return name in self.constants or name in _FRESH or name in _TIME or name in _ALIASES or name in _NAMESPACES

    def names(self) -> Iterator[str]:
        """Yield every built-in name."""
        yield from self.constants
        yield from _FRESH
        yield from _TIME
        yield from _ALIASES
        yield from _NAMESPACES

    def lookup(self, name: str) -> Any:
        """Return the value of a built-in name.

        Raises:
            UndefinedNameError: No such name.
            MissingDependencyError: It needs an extra that is not installed.
        """
        name = _ALIASES.get(name, name)
        if name in self.constants:
            return self.constants[name]
        if name in _NAMESPACES:
            return self._namespace(name)
        if name in _FRESH:
            return self.fresh(name, _FRESH[name])
        if name in _TIME:
            return _TIME[name](self.fresh("now", _now))
        raise UndefinedNameError(f"{name} is not defined")

    def fresh(self, key: str, make: Callable[[], Any]) -> Any:
        """Return the value of *key* that this attempt already made, or make it."""
        if key not in self._fresh:
            self._fresh[key] = make()
        return self._fresh[key]

    def _namespace(self, name: str) -> Namespace:
        if name not in self._namespaces:
            self._namespaces[name] = self._make_namespace(name)
        return self._namespaces[name]

    def _make_namespace(self, name: str) -> Namespace:
        if name == "random":
            return _Random(self)
        if name == "fixtures":
            return _Fixtures(self._fixtures)
        return _Faker(self, _make_faker(self._faker_config))


class _Random(Namespace):
    """``random.uuid``, ``random.int``, ``random.string(24)``."""

    def __init__(self, values: BuiltinValues) -> None:
        self._values = values

    def member(self, name: str) -> Any:
        if name == "uuid":
            return self._values.lookup("UUID")
        if name in {"int", "string"}:
            return self._values.lookup(f"RANDOM_{name.upper()}")
        raise UndefinedNameError(
            f"random.{name} is not defined", hint="there are random.uuid, random.int and random.string(24)"
        )

    def call(self, name: str, args: list[Any]) -> Any:
        if name != "string" or len(args) != 1 or not isinstance(args[0], int) or isinstance(args[0], bool):
            raise ExpressionError(f"random.{name} cannot be called so", hint="write random.string(24)")
        if not 0 <= args[0] <= _MAX_RANDOM_TEXT:
            raise ExpressionError(f"random.string({args[0]}): the length must be between 0 and {_MAX_RANDOM_TEXT}")
        length: int = args[0]
        return self._values.fresh(f"random.string({length})", lambda: _random_text(length))


class _Fixtures(Namespace):
    """``fixtures.NAME``: the fixtures that the flow asks for under ``fixtures:``."""

    def __init__(self, read: Callable[[str], Any] | None) -> None:
        self._read = read

    def member(self, name: str) -> Any:
        if self._read is None:
            raise ExpressionError(f"fixtures.{name}: this flow runs without pytest fixtures")
        return _fixture_value(f"fixtures.{name}", self._read(name))

    def call(self, name: str, args: list[Any]) -> Any:
        raise ExpressionError(f"fixtures.{name}(...): a fixture cannot be called from a flow")


class _FixtureObject(Namespace):
    """A Python object of the user's: public attributes and keys can be read, nothing can be called."""

    def __init__(self, path: str, value: object) -> None:
        self._path = path
        self._value = value
        self.description = f"{path}, of type {type(value).__name__},"

    def member(self, name: str) -> Any:
        path = f"{self._path}.{name}"
        if name.startswith("_"):
            raise ExpressionError(f"{path}: names with a leading underscore are private")
        if isinstance(self._value, Mapping) and name in self._value:
            return _fixture_value(path, self._value[name])
        try:
            return _fixture_value(path, getattr(self._value, name))
        except AttributeError:
            public = ", ".join(each for each in dir(self._value) if not each.startswith("_"))
            raise UndefinedNameError(f"{path} is not there", hint=f"{self._path} has: {public}") from None
        except Exception as exc:  # a property of the user's may raise anything
            raise ExpressionError(f"{path} raised {type(exc).__name__}: {exc}") from exc

    def call(self, name: str, args: list[Any]) -> Any:
        raise ExpressionError(f"{self._path}.{name}(...): a fixture's methods cannot be called from a flow")


def _fixture_value(path: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if _is_json(value):
        return value
    return _FixtureObject(path, value)


def _is_json(value: Any) -> bool:
    if value is None or type(value) in (bool, int, float, str):
        return True
    if type(value) is list:
        return all(_is_json(each) for each in value)
    return type(value) is dict and all(type(key) is str and _is_json(each) for key, each in value.items())


class _Faker(Namespace):
    """``FAKER.<namespace>.<camelCaseName>``: the namespace groups names as in the original and is not checked."""

    def __init__(self, values: BuiltinValues, faker: Any, group: str = "") -> None:
        self._values = values
        self._faker = faker
        self._group = group

    def member(self, name: str) -> Any:
        if not self._group:
            return _Faker(self._values, self._faker, name)
        return self._values.fresh(f"FAKER.{self._group}.{name}", lambda: self._make(name))

    def call(self, name: str, args: list[Any]) -> Any:
        raise ExpressionError(f"FAKER.{name}(...): write it without parentheses, FAKER.person.firstName")

    def _make(self, name: str) -> Any:
        snake = "".join(f"_{char.lower()}" if char.isupper() else char for char in name)
        provider = None if snake.startswith("_") else getattr(self._faker, snake, None)
        if provider is None:
            raise UndefinedNameError(
                f"FAKER.{self._group}.{name} is not defined",
                hint="names are those of the Faker library in camelCase: FAKER.person.firstName",
            )
        value = provider()
        return value if _is_json(value) else str(value)


def _make_faker(config: Mapping[str, Any]) -> Any:
    try:
        import faker
    except ImportError:
        raise MissingDependencyError(
            "FAKER needs the faker library", hint="pip install 'pytest-testmesh[faker]'"
        ) from None
    locale = config.get("locale")
    try:
        made = faker.Faker(locale)
    except (AttributeError, ValueError, TypeError):
        raise ExpressionError(f"FAKER has no locale {locale}", hint="write it as in en_US or de_DE") from None
    if "seed" in config:
        made.seed_instance(config["seed"])
    return made
