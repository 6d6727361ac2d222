"""Which server and database a step means: its config, then the settings of all flows, then libpq's defaults."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from psycopg2 import ProgrammingError
from psycopg2.extensions import make_dsn, parse_dsn

from pytest_testmesh.actions import ActionContext
from pytest_testmesh.errors import ActionConfigError

_OVERRIDES = {
    "host": "host",
    "port": "port",
    "database": "dbname",
    "user": "user",
    "password": "password",
    "sslmode": "sslmode",
}
_DRIVER = re.compile(r"^postgres(?:ql)?(?:\+\w+)?://")
_FIXED = {"client_encoding": "UTF8", "fallback_application_name": "pytest-testmesh"}
_FORM = "write postgresql://user:password@host:5432/database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One database as one user; *shown* is what messages call it, without its password.

    *is_default* says that nobody named the server, nor did the environment.
    """

    dsn: str = field(repr=False)
    host: str
    port: str
    shown: str
    password: str | None = field(repr=False)
    is_default: bool = field(default=False, compare=False)


def find_target(config: Mapping[str, Any], context: ActionContext) -> Target:
    """Return the target of a step with ``connectionString``, ``host``, ``port``, ``database``, ``user`` and the like.

    Its password becomes a secret of the context.

    Raises:
        ActionConfigError: The connection string is none.
    """
    given, where = config.get("connectionString"), "config.connectionString"
    if given is None and "host" not in config and "port" not in config:
        given, where = context.settings.get("postgresql_url"), "testmesh_postgresql_url"
    overrides = tuple((name, str(config[key])) for key, name in _OVERRIDES.items() if key in config)
    target = _resolved(given, where, overrides, tuple(map(os.environ.get, _FROM_ENVIRONMENT)))
    context.hide(target.password)
    return target


_FROM_ENVIRONMENT = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGPORT")
"""What libpq reads where nothing is given, as far as it concerns the address."""


# Steps of a flow mean the same target again and again, and libpq takes as long to read it as for a statement.
@lru_cache(maxsize=64)
def _resolved(
    given: str | None, where: str, overrides: tuple[tuple[str, str], ...], environ: tuple[str | None, ...]
) -> Target:
    options = {**(_parsed(given, where) if given else {}), **dict(overrides)}
    if "\0" in "".join(options.values()):
        raise ActionConfigError("the connection settings hold a NUL character")
    known = dict(zip(_FROM_ENVIRONMENT, environ, strict=True))
    is_default = not any((options.get("host"), options.get("hostaddr"), options.get("service"), *environ[:3]))
    if is_default:
        options["host"] = "localhost"
    host = options.get("host") or options.get("hostaddr") or known["PGHOST"] or known["PGHOSTADDR"] or "localhost"
    port = options.get("port") or known["PGPORT"] or "5432"
    return Target(
        dsn=make_dsn(**_FIXED, **options),
        host=host,
        port=port,
        shown=_shown(options, host, port),
        password=options.get("password"),
        is_default=is_default,
    )


def _shown(options: Mapping[str, str], host: str, port: str) -> str:
    login = options.get("user", "")
    if options.get("password"):
        login += ":***"
    if ":" in host:
        host = f"[{host}]"
    database = options.get("dbname")
    return f"postgresql://{login}{'@' * bool(login)}{host}:{port}{'/' * bool(database)}{database or ''}"


def _parsed(given: str, where: str) -> dict[str, str]:
    """Return what a connection string says, as libpq reads it."""
    dsn = _DRIVER.sub("postgresql://", given.strip())
    if dsn.startswith("jdbc:"):
        raise ActionConfigError(f"{where} is a JDBC address", hint=_FORM)
    try:
        options: dict[str, str] = parse_dsn(dsn)
    except ProgrammingError as exc:
        raise ActionConfigError(f"{where} is no connection string: {_told(exc, dsn)}", hint=_FORM) from None
    port = options.get("port", "")
    if not all(each.isdecimal() for each in port.split(",") if each):
        raise ActionConfigError(f"{where}: {port!r} is no port", hint=_FORM)
    return {name: value for name, value in options.items() if name not in _FIXED}


def _told(exc: ProgrammingError, dsn: str) -> str:
    """Return what libpq says, unless it repeats a part of the string, which may hold the password."""
    said = str(exc).strip().removeprefix("invalid dsn: ").partition("\n")[0]
    if not dsn.startswith("postgresql://"):
        return "it is neither a URL nor key=value pairs"
    try:
        password = urlsplit(dsn).password or ""
    except ValueError:
        return "it cannot be read as a URL"
    secrets = {password, unquote(password), dsn} - {""}
    return "it cannot be read as a URL" if any(each in said for each in secrets) else said
