"""What the binary operators do, by the types of their operands; nothing is converted silently."""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Context, Decimal, DecimalException, DivisionByZero, InvalidOperation, Overflow
from functools import lru_cache
from typing import Any, NoReturn

from pytest_testmesh.errors import ExpressionError, ExpressionSyntaxError
from pytest_testmesh.expressions.nodes import Literal, Text
from pytest_testmesh.expressions.site import Site, kinds, with_article
from pytest_testmesh.values import describe, from_text, to_json, type_name

Operator = Callable[[Any, Any, Site], Any]
OnDecimals = Callable[[Decimal, Decimal], Decimal]

# as wide as any JSON number; a quotient is rounded at the 50th digit, long after a float would be
DECIMALS = Context(prec=50, Emax=999, Emin=-999, traps=[InvalidOperation, DivisionByZero, Overflow])
_MAX_BITS = 4096
_MAX_SECONDS = 1e13
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDERED = frozenset({"number", "string", "date"})


def equal(left: Any, right: Any, site: Site) -> bool:
    """Compare two values of one type; null and what is missing are equal, and differ from all else."""
    left_kind, right_kind = type_name(left), type_name(right)
    if "null" in (left_kind, right_kind) and "group" not in (left_kind, right_kind):
        return {left_kind, right_kind} <= {"null", "missing"}
    kinds(left, right)
    if left_kind != right_kind or left_kind == "group":
        _fail_comparison(left, right, site)
    return same(left, right)


def not_equal(left: Any, right: Any, site: Site) -> bool:
    """The opposite of `equal`, with the same errors."""
    return not equal(left, right, site)


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal at every depth; true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return len(left) == len(right) and all(key in right and same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(_comparable(left) == _comparable(right))


def _comparable(value: Any) -> Any:
    """A decimal is compared as the float it would become, so that 1 / 3 * 3 == 1 holds."""
    return to_json(value) if type(value) is Decimal else value


def _ordering(name: str) -> Operator:
    compare = _ORDER[name]

    def ordered(left: Any, right: Any, site: Site) -> bool:
        left_kind, right_kind = kinds(left, right)
        if left_kind != right_kind or left_kind not in _ORDERED:
            _fail_comparison(left, right, site)
        return compare(_comparable(left), _comparable(right))

    return ordered


def _fail_comparison(left: Any, right: Any, site: Site) -> NoReturn:
    left_kind, right_kind = type_name(left), type_name(right)
    facts = ", ".join(site.fact(index, value) for index, value in enumerate((left, right)))
    if left_kind == right_kind:
        site.fail(f"cannot compare {left_kind}s: {facts}", "compare a part of it")
    site.fail(
        f"cannot compare {with_article(left_kind)} with {with_article(right_kind)}: {facts}",
        _conversion_hint({left_kind: (0, left), right_kind: (1, right)}, site),
    )


def _conversion_hint(operands: dict[str, tuple[int, Any]], site: Site) -> str | None:
    """Say how to make the two operands, by their types, one type."""
    if "null" in operands:
        return "test for null first: x != null && x > 0"
    if "array" in operands:
        array = site.of(site.operand(operands["array"][0]))
        return f"write len({array}), or in to look for an element"
    if "object" in operands:
        return "name a key of the object"
    if "date" in operands:
        other = next(index for kind, (index, _) in operands.items() if kind != "date")
        return f"write date({site.of(site.operand(other))})"
    return _text_hint(operands, site) if "string" in operands else "write x != 0 to make a boolean of a number"


def _text_hint(operands: dict[str, tuple[int, Any]], site: Site) -> str:
    index, value = operands.pop("string")
    (kind, (other_index, _)) = next(iter(operands.items()))
    node = site.operand(index)
    text, other = site.of(node), site.of(site.operand(other_index))
    converted = type_name(from_text(value))
    if isinstance(node, Text):
        return "without the quotes a placeholder keeps its type"
    if converted != kind:
        return f"write string({other})"
    if isinstance(node, Literal):
        return f"without the quotes {value} is a {kind}"
    function = "bool" if kind == "boolean" else "float" if "." in value else "int"
    return f"write {function}({text}) or string({other})"


def is_in(needle: Any, container: Any, site: Site) -> bool:
    """Look for an element of an array, a key of an object or a part of a text."""
    return _found(needle, container, site, container_index=1)


def contains(container: Any, needle: Any, site: Site) -> bool:
    """The mirror of `is_in`."""
    return _found(needle, container, site, container_index=0)


def _found(needle: Any, container: Any, site: Site, container_index: int) -> bool:
    needle_kind, kind = kinds(needle, container)
    needle = to_json(needle)
    if kind == "array":
        return _in_array(needle, needle_kind, container, site, 1 - container_index)
    if kind not in {"object", "string"}:
        site.fail_need("an array, an object or a string to look into", container_index, container)
    if needle_kind != "string":
        what = "a key of an object is a string" if kind == "object" else "only a string is part of a string"
        site.fail(f"cannot hold: {what}, and {site.fact(1 - container_index, needle)}")
    return needle in container


def _in_array(needle: Any, kind: str, array: list[Any], site: Site, needle_index: int) -> bool:
    comparable = not array or kind == "null"
    for each in array:
        each_kind = type_name(each)
        if each_kind == kind and same(each, needle):
            return True
        comparable = comparable or each_kind in {kind, "null"}
    if not comparable:
        others = with_article(type_name(array[0]))
        site.fail(
            f"can never hold: {site.fact(needle_index, needle)}, and no element is {with_article(kind)};"
            f" the first is {others}",
            "convert one side: string(x), int(x)",
        )
    return False


def _text_operator(test: Callable[[str, str], bool]) -> Operator:
    def tested(left: Any, right: Any, site: Site) -> bool:
        for index, value in enumerate((left, right)):
            if not isinstance(value, str):
                hint = "write string(x)" if type_name(value) in {"number", "boolean"} else None
                site.fail_need("strings", index, value, hint)
        return test(left, right)

    return tested


@lru_cache(maxsize=256)
def compile_pattern(text: str, offset: int = 0) -> re.Pattern[str]:
    """Compile the pattern of ``matches``.

    Raises:
        ExpressionSyntaxError: Not a regular expression.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's doubts about a pattern are no matter of the flow
            return re.compile(text)
    except (re.error, OverflowError, RecursionError) as exc:
        message = f"{text!r} is not a regular expression: {exc}"
        raise ExpressionSyntaxError(message, offset=offset, hint="as in Python's re module") from None


def _matches(text: str, pattern: str) -> bool:
    try:
        return compile_pattern(pattern).search(text) is not None
    except ExpressionSyntaxError as exc:
        raise ExpressionError(exc.message, hint=exc.hint) from None


def to_decimal(value: Any, site: Site) -> Decimal:
    """Return a number as the decimal that is written the same way."""
    try:
        made = value if type(value) is Decimal else Decimal(repr(value) if isinstance(value, float) else value)
    except (DecimalException, ValueError):
        made = Decimal("NaN")
    if not made.is_finite():
        site.fail(f"cannot compute with {value}")
    return made


def normal(value: Decimal) -> int | Decimal:
    """Return a whole decimal as an integer."""
    return int(value) if value == value.to_integral_value() else value


def _arithmetic(name: str, on_ints: Callable[[int, int], Any], on_decimals: OnDecimals) -> Operator:
    def computed(left: Any, right: Any, site: Site) -> Any:
        if type(left) is int and type(right) is int:
            return on_ints(left, right)
        if kinds(left, right) != ["number", "number"]:
            return _on_others(name, left, right, site)
        return compute(on_decimals, left, right, site)

    return computed


def compute(function: OnDecimals, left: Any, right: Any, site: Site) -> int | Decimal:
    """Apply a function of decimals to two numbers."""
    try:
        result = function(to_decimal(left, site), to_decimal(right, site))
        if result.is_finite():
            return normal(result)
        raise InvalidOperation
    except (DivisionByZero, ZeroDivisionError):
        site.fail(f"divides by zero: {site.fact(0, left)}, {site.fact(1, right)}")
    except (DecimalException, ValueError):
        site.fail(f"has no result that can be computed: {site.fact(0, left)}, {site.fact(1, right)}")


def _on_others(name: str, left: Any, right: Any, site: Site) -> Any:
    left_kind, right_kind = kinds(left, right)
    if name == "+" and left_kind == right_kind == "string":
        return left + right
    if "date" in (left_kind, right_kind):
        return _on_dates(name, left, right, site)
    index, value = (0, left) if left_kind != "number" else (1, right)
    if name == "+" and "string" in (left_kind, right_kind):
        index, value = (1, right) if left_kind == "string" else (0, left)
        site.fail_need("two numbers or two strings", index, value, f"write string({site.of(site.operand(index))})")
    hint = f"write float({site.of(site.operand(index))})" if type_name(value) == "string" else None
    site.fail_need("numbers", index, value, hint)


def _on_dates(name: str, left: Any, right: Any, site: Site) -> Any:
    pair = (name, *kinds(left, right))
    if pair == ("-", "date", "date"):
        return normal(Decimal(repr((left - right).total_seconds())))
    moment, seconds = (right, left) if pair[1] == "number" else (left, right)
    if pair not in {("+", "date", "number"), ("-", "date", "number"), ("+", "number", "date")}:
        site.fail(
            f"cannot take {describe(left)} and {describe(right)}",
            'a date takes + and - seconds: now() - duration("1h")',
        )
    try:
        shift = timedelta(seconds=float(seconds))
        return moment + shift if name == "+" else moment - shift
    except (OverflowError, ValueError):
        site.fail(f"leads to a date outside the calendar: {describe(left)}, {describe(right)}")


def _multiply(left: int, right: int) -> int:
    if left.bit_length() + right.bit_length() > _MAX_BITS:
        raise ExpressionError("* gives a number of more than 1200 digits")
    return left * right


def _divide(left: Any, right: Any, site: Site) -> Any:
    if type(left) is int and type(right) is int and right and left % right == 0:
        return left // right
    if kinds(left, right) != ["number", "number"]:
        return _on_others("/", left, right, site)
    return compute(DECIMALS.divide, left, right, site)


def _remainder(left: Any, right: Any, site: Site) -> Any:
    """The remainder has the sign of the left operand, as in Go."""
    if type(left) is int and type(right) is int and right:
        return abs(left) % abs(right) * (-1 if left < 0 else 1)
    if kinds(left, right) != ["number", "number"]:
        return _on_others("%", left, right, site)
    return compute(_decimal_remainder, left, right, site)


def _decimal_remainder(left: Decimal, right: Decimal) -> Decimal:
    if not right:
        raise ZeroDivisionError
    return DECIMALS.remainder(left, right)


def _power(left: Any, right: Any, site: Site) -> Any:
    if kinds(left, right) != ["number", "number"]:
        return _on_others("**", left, right, site)
    left, right = normal(to_decimal(left, site)), normal(to_decimal(right, site))
    if type(left) is int and type(right) is int and right >= 0:
        if left.bit_length() * right > _MAX_BITS:
            site.fail(f"gives a number of more than 1200 digits: {site.fact(0, left)}, {site.fact(1, right)}")
        return left**right
    return compute(DECIMALS.power, left, right, site)


OPERATORS: dict[str, Operator] = {
    "==": equal,
    "!=": not_equal,
    **{name: _ordering(name) for name in _ORDER},
    "in": is_in,
    "contains": contains,
    "startsWith": _text_operator(str.startswith),
    "endsWith": _text_operator(str.endswith),
    "matches": _text_operator(_matches),
    "+": _arithmetic("+", operator.add, DECIMALS.add),
    "-": _arithmetic("-", operator.sub, DECIMALS.subtract),
    "*": _arithmetic("*", _multiply, DECIMALS.multiply),
    "/": _divide,
    "%": _remainder,
    "**": _power,
}
"""The binary operators whose operands are both computed first."""

ARITHMETIC = frozenset({"+", "-", "*", "/", "%", "**"})

COMPARISONS = frozenset({"==", "!=", *_ORDER, "in", "contains", "startsWith", "endsWith", "matches"})
"""The operators that give a boolean."""
