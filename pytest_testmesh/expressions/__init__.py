"""The expression language of assertions, conditions and placeholders."""

from __future__ import annotations

from pytest_testmesh.expressions.expression import Comparison, Expression, Part, compile_expression
from pytest_testmesh.expressions.names import Names
from pytest_testmesh.expressions.parser import RESERVED

__all__ = ["RESERVED", "Comparison", "Expression", "Names", "Part", "compile_expression"]
