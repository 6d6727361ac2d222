"""What libyaml and PyYAML find wrong, in our words and with advice for the author's line."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_testmesh.errors import FlowSyntaxError
from pytest_testmesh.loader.quoting import quote_from_indicator, quote_second_colon
from pytest_testmesh.model import Location

if TYPE_CHECKING:
    from yaml.error import Mark, MarkedYAMLError

    from pytest_testmesh.loader.source import Source


class _Problem(NamedTuple):
    """*words* occur in the problem as both parsers word it.

    *opened*: the place to show is where the text began. *quotable*: quotes around the line may be what it lacks.
    """

    words: str
    message: str
    hint: str | None = None
    opened: bool = False
    quotable: bool = True


_INDENTATION = "check the indentation of this line and of the one above"
_PROBLEMS = (
    _Problem("undefined alias", "* starts an alias, and no anchor of that name comes before it"),
    _Problem("duplicate anchor", "the same anchor is defined twice", quotable=False),
    _Problem("unknown escape", "unknown escape in double quotes", "double each backslash", quotable=False),
    _Problem("end of stream", "a quote is opened here and never closed", "close the quote", opened=True),
    _Problem(
        "',' or ']'",
        "a list is opened here with [ and lacks a comma or its ]",
        'put text that holds [ ] { } or a comma in quotes: ["rows[0].total == 1"]',
        opened=True,
    ),
    _Problem(
        "',' or '}'",
        "a mapping is opened here with { and lacks a comma or its }",
        'put text that holds { } or a comma in quotes: "${API}/orders"',
        opened=True,
    ),
    _Problem("expected ':'", "a key without a colon", "write key: value", opened=True),
    _Problem("mapping values", "a mapping where none can be", _INDENTATION),
    _Problem("comment or", "| and > at the start of a value begin a text on the next line"),
    _Problem("expected key", "this does not belong to the mapping around it", _INDENTATION),
    _Problem("'-' indicator", "this does not belong to the list around it", _INDENTATION),
    _Problem("block end", "this does not belong to the list or mapping around it", _INDENTATION),
    _Problem("document start", "text after the end of the document", _INDENTATION),
    _Problem("scanning an anchor", "& starts an anchor, and this is not the name of one"),
    _Problem("scanning an alias", "* starts an alias, and this is not the name of one"),
    _Problem("scanning a tag", "! starts a tag, and this is not one"),
    _Problem("parsing a flow node", "a value is missing, or a [ or { is not closed"),
)


def explain(source: Source, exc: MarkedYAMLError) -> FlowSyntaxError:
    """Turn a parser's error into ours; where quotes are what the line lacks, say so and show it in quotes."""
    mark = exc.problem_mark or exc.context_mark
    if mark is None:
        return FlowSyntaxError(f"not YAML: {exc.problem}", location=Location(source.path, 1))
    problem = _known_problem(source, f"{exc.context or ''}: {exc.problem or ''}", mark)
    if problem.opened and exc.context_mark is not None:
        mark = exc.context_mark
    message, hint = problem.message, problem.hint
    quotes = quote_from_indicator(source, mark) if problem.quotable and not problem.opened else None
    if problem.words == "mapping values":
        quotes = quote_second_colon(source, mark)
        message = '": " in a text without quotes' if quotes else message
    elif quotes and hint is _INDENTATION:
        message = "text after a value that ends with its closing quote or bracket"
    return FlowSyntaxError(
        f"not YAML: {message}",
        hint=quotes or hint,
        location=Location(source.path, mark.line + 1, mark.column + 1),
    )


def _known_problem(source: Source, text: str, mark: Mark) -> _Problem:
    char = source.line(mark.line)[mark.column : mark.column + 1]
    if char == "\t" or "tab character" in text:
        return _Problem("tab", "a tab where only spaces may indent", "replace the tab with spaces", quotable=False)
    if "cannot start any token" in text:
        return _Problem("token", f"a value cannot start with {char}")
    for problem in _PROBLEMS:
        if problem.words in text:
            return problem
    return _Problem("", text.strip(": "))
