"""One statement of a step: its text, placeholders filled in, and the values bound to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_testmesh.errors import ActionConfigError
from pytest_testmesh.integrations.sql.binding import Piece, bind, split_params
from pytest_testmesh.integrations.sql.filling import fill_sql, fill_values
from pytest_testmesh.integrations.sql.lexer import Dialect, statements

if TYPE_CHECKING:
    from pytest_testmesh.actions import ActionContext


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL as the author reads it, *params* as a report shows them, and the *pieces* to send."""

    text: str
    params: Any
    pieces: tuple[Piece, ...]


def build_statement(
    text: str, dialect: Dialect, params: Any = None, named: Mapping[str, Any] | None = None
) -> Statement:
    """Bind *params* (a list or a mapping) and *named* to the placeholders of *text*.

    Raises:
        ActionConfigError: There is no statement in it, or placeholders and values do not fit together.
    """
    if "\0" in text:
        raise ActionConfigError("the statement holds a NUL character", hint="bind the value in `params`")
    if not statements(text, dialect):
        raise ActionConfigError("there is no statement: the text is empty or a comment")
    positional, by_name = split_params(params, named)
    shown = {**params, **named} if isinstance(params, Mapping) and named else params or named
    return Statement(text, shown, bind(text, dialect, positional, by_name))


def read_query(config: Mapping[str, Any], dialect: Dialect, context: ActionContext) -> Statement:
    """Return the statement of a config with ``query`` (as written), ``params`` and ``named_params``."""
    text = fill_sql(config["query"], dialect, context, "config.query")
    return build_statement(text, dialect, config.get("params"), config.get("named_params"))


def read_statements(written: Any, dialect: Dialect, context: ActionContext) -> list[Statement]:
    """Return the statements of a list, as written, of texts and ``{query, params, named_params}``.

    Raises:
        ActionConfigError: One of them cannot be used; says which.
    """
    listed = written if isinstance(written, list) else [written]
    return [_listed(each, dialect, context, f"config.statements[{index}]") for index, each in enumerate(listed)]


def _listed(written: Any, dialect: Dialect, context: ActionContext, where: str) -> Statement:
    entry = written if isinstance(written, Mapping) else {"query": written}
    bound = {key: entry[key] for key in ("params", "named_params") if key in entry}
    values = fill_values(bound, context)
    text = fill_sql(entry["query"], dialect, context, where)
    try:
        return build_statement(text, dialect, values.get("params"), values.get("named_params"))
    except ActionConfigError as exc:
        raise ActionConfigError(f"{where}: {exc.message}", hint=exc.hint) from None


def joined(parts: Iterable[str | Statement]) -> Statement:
    """Put SQL and statements together into one."""
    text, params, pieces = "", [], []
    for part in parts:
        offset = len(text)
        if isinstance(part, str):
            pieces.append(Piece(offset, offset + len(part), part))
            text += part
            continue
        pieces += [Piece(offset + each.start, offset + each.end, each.text, each.value) for each in part.pieces]
        params += [each.value for each in part.pieces if each.text is None]
        text += part.text
    return Statement(text, params, tuple(pieces))


def value(bound: Any) -> Statement:
    """Return a placeholder with its value, to be joined."""
    return Statement("?", [bound], (Piece(0, 1, None, bound),))
