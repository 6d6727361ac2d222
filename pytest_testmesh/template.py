"""Templates: ``${...}`` and ``{{...}}`` inside parsed values, filled in with the variables of the scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_testmesh.errors import ExpressionError, ExpressionSyntaxError
from pytest_testmesh.expressions.evaluation import Compiler, Run
from pytest_testmesh.expressions.nodes import Placeholder
from pytest_testmesh.expressions.parser import ParsedTemplate, parse_template
from pytest_testmesh.values import from_text, shorten, to_json, to_text, type_name

if TYPE_CHECKING:
    from pytest_testmesh.expressions import Names

Path = tuple[str | int, ...]
Fill = Callable[[Any], Any]

_MAX_DEPTH = 100
_SCALARS = frozenset({int, float, bool, type(None)})


class Template:
    """A tree of values some of whose strings may hold placeholders.

    *written* is the tree as written, *value* the same, but of a constant one with its escapes undone. *names* are
    the root names its placeholders read, *lone* the paths of the strings that are exactly one placeholder.
    *constant*: there is nothing to fill in.
    """

    __slots__ = ("_fill", "constant", "lone", "names", "value", "written")

    def __init__(
        self, value: Any, fill: Fill | None, names: frozenset[str], lone: frozenset[Path], written: Any
    ) -> None:
        self.value = value
        self.written = written
        self.constant = fill is None
        self.names = names
        self.lone = lone
        self._fill = fill

    def __repr__(self) -> str:
        return f"Template({self.value!r})"

    def fill(self, names: Names) -> Any:
        """Return the tree with its placeholders filled in; what holds none is returned as it stands, not copied.

        Raises:
            ExpressionError: A placeholder has no value; ``path`` says where in the tree.
        """
        return self.value if self._fill is None else self._fill(names)


class _Text:
    """One string with placeholders; compiled when it is first filled in.

    *literal* is the text, escapes undone, if it holds no placeholder after all.
    """

    __slots__ = ("_parts", "_run", "_text", "literal", "lone", "names")

    def __init__(self, text: str, parsed: ParsedTemplate) -> None:
        self._text = text
        self._parts = parts = parsed.parts
        self._run: Run | None = None
        self.names = parsed.names
        self.lone = len(parts) == 1 and isinstance(parts[0], Placeholder)
        self.literal = "".join(map(str, parts)) if all(isinstance(part, str) for part in parts) else None

    def fill(self, names: Names) -> Any:
        run = self._run
        if run is None:
            run = self._run = self._compile()
        try:
            return run(names, None)
        except RecursionError:
            raise ExpressionError(f"{shorten(self._text)}: the values are nested too deeply") from None

    def _compile(self) -> Run:
        compiler = Compiler(self._text, inside_placeholder=True)
        parts = self._parts
        if not self.lone:
            return compiler.rendered(parts)
        assert isinstance(parts[0], Placeholder)
        content = compiler.compile(parts[0])
        return lambda names, item: to_json(content(names, item))


# As in expression.py: the garbage collector walks all that is kept.
@lru_cache(maxsize=512)
def _parse(text: str, ids: frozenset[str]) -> _Text:
    return _Text(text, parse_template(text, ids))


def compile_template(value: Any, ids: frozenset[str] = frozenset(), *, raw: bool = False) -> Template:
    """Compile a tree of mappings, lists and scalars; keys of mappings are not templates.

    *ids* are the step ids with ``-`` that are one name each. *raw* leaves every string as it is.

    Raises:
        ExpressionSyntaxError: A placeholder is wrong; ``path`` says in which string, ``offset`` where in it.
    """
    if raw:
        return Template(value, None, frozenset(), frozenset(), value)
    builder = _Builder(ids)
    fill, shown = builder.build(value, ())
    shown = shown if fill is None else value
    return Template(shown, fill, frozenset(builder.names), frozenset(builder.lone), value)


class _Builder:
    """Turns a tree into the function that fills it in; gathers names and lone placeholders on the way."""

    def __init__(self, ids: frozenset[str]) -> None:
        self.names: set[str] = set()
        self.lone: set[Path] = set()
        self._ids = ids

    def build(self, value: Any, path: Path) -> tuple[Fill | None, Any]:
        """Return the function that fills *value* in, or None and the constant that it is."""
        kind = type(value)
        if kind in _SCALARS:
            return None, value
        if isinstance(value, str):
            return self._text(value, path) if "${" in value or "{{" in value else (None, value)
        if kind is dict or isinstance(value, (list, Mapping)):
            if len(path) >= _MAX_DEPTH:
                raise ExpressionSyntaxError(f"values nested more than {_MAX_DEPTH} levels deep", path=path)
            return self._list(value, path) if isinstance(value, list) else self._mapping(value, path)
        return None, value

    def _text(self, text: str, path: Path) -> tuple[Fill | None, Any]:
        try:
            parsed = _parse(text, self._ids)
        except ExpressionSyntaxError as exc:
            raise ExpressionSyntaxError(exc.message, offset=exc.offset, path=path, hint=exc.hint) from None
        if parsed.literal is not None:
            return None, parsed.literal
        self.names |= parsed.names
        if parsed.lone:
            self.lone.add(path)
        return parsed.fill, text

    def _mapping(self, value: Mapping[Any, Any], path: Path) -> tuple[Fill | None, Any]:
        constant: dict[Any, Any] = {}
        fills: list[tuple[Any, Fill]] = []
        for key, each in value.items():
            fill, constant[key] = self.build(each, (*path, key))
            if fill is not None:
                fills.append((key, fill))
        if not fills:
            escaped = any(constant[key] is not each for key, each in value.items())
            return None, constant if escaped else value

        def fill_mapping(names: Names) -> dict[Any, Any]:
            filled = constant.copy()
            for key, fill in fills:
                try:
                    filled[key] = fill(names)
                except ExpressionError as exc:
                    exc.path = (key, *exc.path)
                    raise
            return filled

        return fill_mapping, value

    def _list(self, value: list[Any], path: Path) -> tuple[Fill | None, Any]:
        built = [self.build(each, (*path, index)) for index, each in enumerate(value)]
        constant = [each for _, each in built]
        fills = [(index, fill) for index, (fill, _) in enumerate(built) if fill is not None]
        if not fills:
            escaped = any(one is not other for one, other in zip(constant, value, strict=True))
            return None, constant if escaped else value

        def fill_list(names: Names) -> list[Any]:
            filled = constant.copy()
            for index, fill in fills:
                try:
                    filled[index] = fill(names)
                except ExpressionError as exc:
                    exc.path = (index, *exc.path)
                    raise
            return filled

        return fill_list, value


def convert(value: Any, schema_type: str | list[str]) -> Any:
    """Convert what a lone placeholder gave to the type a JSON schema asks for, if that loses nothing.

    *schema_type* is the schema's ``type``: ``"number"``, ``"integer"``, ``"boolean"``, ``"string"`` or a list of types.
    A value that already fits, or that no lossless conversion fits, is returned unchanged.
    """
    wanted = [schema_type] if isinstance(schema_type, str) else schema_type
    if any(_fits(value, each) for each in wanted):
        return value
    for each in wanted:
        converted = _converted(value, each)
        if _fits(converted, each):
            return converted
    return value


def _fits(value: Any, schema_type: str) -> bool:
    if schema_type == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return type_name(value) == schema_type


def _converted(value: Any, schema_type: str) -> Any:
    if isinstance(value, str):
        return from_text(value)
    if schema_type == "string" and isinstance(value, (bool, int, float)):
        return to_text(value)
    if schema_type == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
