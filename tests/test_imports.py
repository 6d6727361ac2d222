"""Who may import whom, read from the source: ARCHITECTURE.md draws it, these tests hold it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from pytest_testmesh.integrations import BUILTIN

ROOT = Path(__file__).resolve().parent.parent / "pytest_testmesh"

# From the top down. Names on one line do not know each other; a folder is one name.
LAYERS = """
    __init__ plugin cli
    running
    traced
    collection terminal
    reporting starting
    traceback_text
    failure_text session _compat
    assertion_text
    runner server
    preparing
    attempts registry telemetry
    repeating integrations external tracing semantics
    actions hookspecs records
    loader
    template extraction
    expressions
    scope
    masked_text
    builtin_values secrets schemas
    model units polling values settings sniff
    errors plugin_sdk
"""
KNOW_PYTEST = {
    "plugin", "running", "traced", "collection", "terminal", "reporting", "starting", "session", "_compat", "hookspecs",
    "cli.folders",
}  # fmt: skip
HEAVY = {
    "click", "confluent_kafka", "faker", "fastapi", "filelock", "jinja2", "jsonpath", "jsonschema", "minio", "neo4j",
    "opentelemetry", "psutil", "psycopg2", "redis", "referencing", "requests", "sqlparse", "starlette",
    "urllib3", "uvicorn", "yaml",
}  # fmt: skip

HEIGHT = {name: -number for number, line in enumerate(LAYERS.strip().splitlines()) for name in line.split()}


@cache
def modules() -> dict[str, ast.Module]:
    """The syntax tree of every module by its name below the package: ``loader.flow``, ``loader``, ``errors``."""
    trees = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


def imports(node: ast.AST, *, inside_functions: bool = True) -> Iterator[str]:
    """The full names that *node* imports, except for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            child = ast.Module(child.orelse, [])
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not inside_functions:
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        else:
            yield from imports(child, inside_functions=inside_functions)


def ours(name: str, *, inside_functions: bool = True) -> set[str]:
    """The modules of this package that the module *name* imports."""
    found = set()
    for imported in imports(modules()[name], inside_functions=inside_functions):
        package, _, rest = imported.partition(".")
        if package == ROOT.name:
            found.add(rest if rest in modules() else rest.rpartition(".")[0] or "__init__")
    return found - {name}


def libraries(name: str, *, inside_functions: bool = True) -> set[str]:
    return {each.partition(".")[0] for each in imports(modules()[name], inside_functions=inside_functions)}


def layer(name: str) -> str:
    return name.partition(".")[0]


def test_every_module_has_a_layer() -> None:
    assert {layer(name) for name in modules()} == HEIGHT.keys()


@pytest.mark.parametrize("name", modules())
def test_imports_point_down(name: str) -> None:
    lower = {other for other in ours(name) if HEIGHT[layer(other)] < HEIGHT[layer(name)]}
    same = {other for other in ours(name) if layer(other) == layer(name)}

    assert set() == ours(name) - lower - same


def test_nothing_is_imported_in_a_circle() -> None:
    order = tuple(TopologicalSorter({name: ours(name) for name in modules()}).static_order())

    assert len(modules()) == len(order)


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith("integrations.")])
def test_a_service_knows_no_other_service_but_what_serves_several(name: str) -> None:
    """Some are spoken to over HTTP, some in SQL; ``database_query`` serves PostgreSQL among others."""
    service = name.split(".")[1]

    known = {other.split(".")[1] for other in ours(name) if other.startswith("integrations.")} - {service}

    shared = {"http", "sql", "postgresql"} if service == "database" else {"http", "sql"}
    assert set() == {other for other in known if not other.startswith("_")} - shared


@pytest.mark.parametrize("name", modules())
def test_only_the_upper_layers_know_pytest_and_one_module_its_private_names(name: str) -> None:
    assert name in KNOW_PYTEST or "pytest" not in libraries(name)
    assert name == "_compat" or "_pytest" not in libraries(name)


def test_heavy_libraries_are_imported_on_first_use() -> None:
    """A module may import one at its top only if no module that every run with flows loads leads to it."""
    packages = {name.rpartition(".")[0] for name in modules()} - {""}
    builtin = {name.partition(".")[2] for name in BUILTIN}
    loaded: set[str] = set()
    pending = {name for name in modules() if "." not in name} | packages | builtin | {"external.pool"}
    while pending:
        name = pending.pop()
        loaded.add(name)
        pending |= ours(name, inside_functions=False) - loaded

    offenders = {name: libraries(name, inside_functions=False) & HEAVY for name in loaded}
    assert {} == {name: found for name, found in offenders.items() if found}
