"""Filters of rows as expressions: a small part of Python, interpreted here; nothing is executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

from interpreto_mllm.core.shown import shown
from interpreto_mllm.studies.names import unknown

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len,
    "abs": abs,
    "int": int,
    "float": float,
    "str": str,
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "words": lambda text: text.split(),
    "startswith": lambda text, start: text.startswith(start),
    "endswith": lambda text, end: text.endswith(end),
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, whole: one in whole,
    ast.NotIn: lambda one, whole: one not in whole,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: lambda one, other: _number(one) % _number(other),
    ast.Mult: lambda one, other: _number(one) * _number(other),
}
ACCEPTED = (
    "column names, texts, numbers, lists, None, True and False, comparisons, in, and, or, not, + - * / // %, an index in [ ], "
    f"and the functions {', '.join(FUNCTIONS)}"
)


class FilterExpression:
    """A condition on the columns of a row, such as `label == 1 and len(text) < 200 and "?" in text`.

    Args:
        text: the expression.
        columns: the names that it may use.

    Raises:
        ValueError: for anything that is not accepted; the message says what is.

    Example:
        >>> keep = FilterExpression("label in [1, 2] and len(words(text)) > 1", ["label", "text"])
        >>> keep({"label": 2, "text": "two words"}), keep({"label": 2, "text": "one"}), sorted(keep.columns)
        (True, False, ['label', 'text'])
    """

    def __init__(self, text: str, columns: Collection[str]):
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError) as error:
            raise ValueError(f"where: {shown(text)} is no expression: {error}. Accepted: {ACCEPTED}.") from error
        called = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call)}
        nodes = [node for node in ast.walk(self._tree) if id(node) not in called]
        self.columns = {name for node in nodes if (name := _checked(node, text, columns))}

    def __call__(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is kept.

        Raises:
            ValueError: where the values of the row do not go with the expression, as None < 3.
        """
        try:
            return bool(_value(self._tree, row))
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
            values = {name: row[name] for name in sorted(self.columns)}
            raise ValueError(f"where: {self.text} fails for the row {shown(values)}: {error}.") from error


def _checked(node: ast.AST, text: str, columns: Collection[str]) -> str | None:
    """The name that a node uses; an error for a node that is not accepted."""
    if isinstance(node, ast.Name):
        if node.id not in columns:
            raise unknown("where", node.id, columns, f"the functions {', '.join(FUNCTIONS)}")
        return node.id
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS or node.keywords:
            raise ValueError(f"where: {ast.unparse(node)} cannot be called. Accepted: {ACCEPTED}.")
        return None
    fine = (ast.Constant, ast.List, ast.Tuple, ast.Subscript, ast.Compare, ast.BoolOp, ast.And, ast.Or, ast.expr_context)
    unary = (ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.BinOp, ast.cmpop)
    if not isinstance(node, (*fine, *unary, *ARITHMETIC)):
        part = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
        raise ValueError(f"where: {part!r} is not accepted in {shown(text)}. Accepted: {ACCEPTED}.")
    return None


def _value(node: ast.expr, row: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return row[node.id]
        case ast.List() | ast.Tuple():
            return [_value(one, row) for one in node.elts]
        case ast.Subscript():
            return _value(node.value, row)[_value(node.slice, row)]
        case ast.Call(func=ast.Name(id=name)):
            return FUNCTIONS[name](*(_value(one, row) for one in node.args))
        case ast.BoolOp(op=ast.And()):
            return all(_value(one, row) for one in node.values)
        case ast.BoolOp():
            return any(_value(one, row) for one in node.values)
        case ast.UnaryOp(op=ast.Not()):
            return not _value(node.operand, row)
        case ast.UnaryOp():
            value = _number(_value(node.operand, row))
            return -value if isinstance(node.op, ast.USub) else value
        case ast.BinOp():
            return ARITHMETIC[type(node.op)](_value(node.left, row), _value(node.right, row))
        case ast.Compare():
            values = [_value(one, row) for one in (node.left, *node.comparators)]
            pairs = zip(node.ops, values, values[1:], strict=False)
            return all(COMPARISONS[type(compare)](one, other) for compare, one, other in pairs)
    raise ValueError(f"{ast.unparse(node)} is not accepted")


def _number(value: Any) -> Any:
    """A number; texts and lists are not multiplied."""
    if not isinstance(value, (int, float)):
        raise TypeError(f"{shown(value)} is no number")
    return value
