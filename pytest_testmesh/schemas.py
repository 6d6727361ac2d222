"""Checks of a value against its JSON Schema: a quick yes for the usual case, jsonschema for every other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from pytest_testmesh.errors import FlowSchemaError
from pytest_testmesh.units import DURATION_HINT, parse_duration
from pytest_testmesh.values import near_matches

Path = tuple["str | int", ...]
Proof = Callable[[Any], bool]

_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: type(value) is str,
    "boolean": lambda value: type(value) is bool,
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) is int or type(value) is float,
    "null": lambda value: value is None,
    "array": lambda value: type(value) is list,
    "object": lambda value: type(value) is dict,
}
_ANNOTATIONS = frozenset({"description", "title", "default", "examples", "$schema", "$id", "$comment"})
_PROVED = frozenset(
    {"type", "enum", "format", "pattern", "minLength", "maxLength"}
    | {"properties", "required", "additionalProperties", "items"}
)

DURATION_FORMAT = "testmesh-duration"
"""The ``format`` of durations in schemas; "duration" is taken by ISO 8601."""


def is_duration(value: object) -> bool:
    """Whether `parse_duration` takes the value."""
    try:
        parse_duration(value)
    except FlowSchemaError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Violation:
    """The first thing that is wrong with a value: where, what, and what to do."""

    path: Path
    message: str
    hint: str | None = None


def compile_proof(schema: Mapping[str, Any] | bool) -> Proof:
    """Return a quick test that says True only for values that surely fit *schema*.

    False means "ask jsonschema". jsonschema takes more time for one config than the rest of the engine does for
    a step; most configs need no more than this.
    """
    if not isinstance(schema, Mapping) or schema.keys() - _ANNOTATIONS - _PROVED:
        return _unproved
    tests = [_prove_type(schema["type"])] if "type" in schema else []
    if "enum" in schema:
        tests.append(_prove_enum(schema["enum"]))
    if "format" in schema:
        tests.append(_prove_format(schema["format"]))
    if "pattern" in schema:
        tests.append(_prove_pattern(schema["pattern"]))
    if "minLength" in schema or "maxLength" in schema:
        tests.append(_prove_length(schema.get("minLength", 0), schema.get("maxLength", inf)))
    if "properties" in schema or "required" in schema or "additionalProperties" in schema:
        tests.append(_prove_object(schema))
    if "items" in schema:
        tests.append(_prove_items(schema["items"]))
    if len(tests) == 1:
        return tests[0]
    return lambda value: all(test(value) for test in tests)


def _unproved(value: Any) -> bool:
    return False


def _prove_type(types: str | list[str]) -> Proof:
    checks = [_TYPES.get(each, _unproved) for each in ([types] if isinstance(types, str) else types)]
    if len(checks) == 1:
        return checks[0]
    return lambda value: any(check(value) for check in checks)


def _prove_enum(choices: list[Any]) -> Proof:
    texts = frozenset(each for each in choices if type(each) is str)
    return lambda value: type(value) is str and value in texts


def _prove_format(name: str) -> Proof:
    return is_duration if name == DURATION_FORMAT else lambda value: True


def _prove_pattern(pattern: str) -> Proof:
    try:
        search = re.compile(pattern).search
    except (re.error, TypeError):
        return _unproved
    return lambda value: type(value) is not str or search(value) is not None


def _prove_length(least: float, most: float) -> Proof:
    return lambda value: type(value) is not str or least <= len(value) <= most


def _prove_object(schema: Mapping[str, Any]) -> Proof:
    proofs = {key: compile_proof(each) for key, each in schema.get("properties", {}).items()}
    required = frozenset(schema.get("required", ()))
    rest = schema.get("additionalProperties", True)
    other = compile_proof(rest) if isinstance(rest, Mapping) else (lambda value: bool(rest))

    def proved(value: Any) -> bool:
        if type(value) is not dict:
            return False
        if not required <= value.keys():
            return False
        return all(proofs.get(key, other)(each) for key, each in value.items())

    return proved


def _prove_items(items: Mapping[str, Any]) -> Proof:
    proof = compile_proof(items)
    return lambda value: type(value) is list and all(map(proof, value))


class ConfigSchema:
    """A JSON Schema, compiled once; *name* is what messages call the whole value, empty for keys alone.

    Source: https://json-schema.org/draft/2020-12, through the jsonschema library, without network.
    """

    def __init__(self, schema: Mapping[str, Any], *, name: str = "config") -> None:
        self.schema = schema
        self._name = name
        self._proof = compile_proof(schema)
        self._validator: Any = None

    def violation(self, value: Any) -> Violation | None:
        """Return the first thing that is wrong with *value*, or None."""
        if self._proof(value):
            return None
        errors = sorted(self._jsonschema().iter_errors(value), key=_telling_first)
        return _violation(errors[0], self._name) if errors else None

    def of_keys(self) -> ConfigSchema:
        """Return a schema of the keys alone, for a mapping whose values are not known yet."""
        known = self.schema.get("properties", {})
        properties = {key: {"description": self.at((key,)).get("description", "")} for key in known}
        rules = {key: self.schema[key] for key in ("required", "additionalProperties") if key in self.schema}
        return ConfigSchema({**rules, "properties": properties}, name=self._name)

    def at(self, path: Path) -> Mapping[str, Any]:
        """Return the schema that ``properties`` and ``items`` give for the value at *path*; empty for none."""
        found: Any = self.schema
        for key in path:
            if isinstance(key, int):
                found = found.get("items")
            else:
                found = found.get("properties", {}).get(key, found.get("additionalProperties"))
            if not isinstance(found, Mapping):
                return {}
        return found  # type: ignore[no-any-return]

    def _jsonschema(self) -> Any:
        if self._validator is None:
            import jsonschema
            import referencing

            validator = jsonschema.validators.validator_for(self.schema, default=jsonschema.Draft202012Validator)
            formats = jsonschema.FormatChecker(())
            formats.checks(DURATION_FORMAT)(is_duration)
            self._validator = validator(self.schema, registry=referencing.Registry(), format_checker=formats)
        return self._validator


def _telling_first(error: Any) -> tuple[bool, list[str]]:
    # A misspelt key explains why another one is missing.
    return error.validator != "additionalProperties", [str(key) for key in error.absolute_path]


def _violation(error: Any, name: str) -> Violation:
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        return _unknown_key(error, path, name)
    if error.validator == "required":
        return _missing_key(error, path, name)
    problem, hint = _problem(error)
    return Violation(path, _said(name, path, problem), hint)


def _said(name: str, path: Path, problem: str) -> str:
    place = dotted((name, *path))
    return f"{place}{problem}" if place else problem.lstrip(": ")


_BRACES_HINT = "put it in quotes: YAML reads { } as a mapping"


def _is_text_in_braces(value: Any) -> bool:
    """Whether the author may have meant text: ``query: {app="x"}`` is a mapping of a key without a value."""
    return isinstance(value, dict) and bool(value) and all(each is None for each in value.values())


def _problem(error: Any) -> tuple[str, str | None]:
    """Return what follows the place of the error in its message, and a hint."""
    shown = _shown(error.instance)
    rule = error.validator_value
    described = _described(error.absolute_path[-1], error.schema) if error.absolute_path else None
    match error.validator:
        case "type":
            problem = f" must be {rule if isinstance(rule, str) else ' or '.join(rule)}, not {shown}"
            return problem, _BRACES_HINT if "string" in rule and _is_text_in_braces(error.instance) else None
        case "format" if rule == DURATION_FORMAT:
            return f": {shown} is not a duration", DURATION_HINT
        case "pattern" if described:
            return f": {shown} is not valid", described
        case "minLength" if rule == 1:
            return " must not be empty", described
        case "maxLength":
            return f": {shown} is longer than {rule} characters", described
        case "enum":
            near = near_matches(str(error.instance), map(str, rule), 1)
            return f": {error.message}", f"did you mean {near[0]}?" if near else None
        case _:
            return f": {error.message}", None


def _missing_key(error: Any, path: Path, name: str) -> Violation:
    missing = next(key for key in error.validator_value if key not in error.instance)
    hint = _described(missing, error.schema.get("properties", {}).get(missing))
    return Violation(path, _said(name, path, f" lacks the key {missing}"), hint)


def _described(key: str | int, schema: Any) -> str | None:
    """Return what the schema's author says about a value, for a hint."""
    description = schema.get("description") if isinstance(schema, Mapping) else None
    return f"{key}: {description}" if description else None


def _unknown_key(error: Any, path: Path, name: str) -> Violation:
    known = sorted(error.schema.get("properties", {}))
    extra = next(
        (key for key in error.instance if key not in known), "?"
    )  # patternProperties could have matched others
    near = near_matches(str(extra), known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"
    return Violation((*path, extra), _said(name, path, f" has an unknown key {extra}"), hint)


def dotted(path: Path) -> str:
    """Write a path for people: ``"items[0].name"``."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def _shown(value: Any) -> str:
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
