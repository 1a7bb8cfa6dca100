"""Where a module can be changed by one small step, and the module with that change.

The changes are the usual ones: a comparison, a Boolean operator, a condition or a number that is
another, and a statement that is not carried out. Texts are left alone: most of them are messages.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


@dataclass(frozen=True)
class Point:
    """One change of one node.

    Attributes:
        file: the module's file.
        node: the node's number, in the order in which `ast.walk` meets them.
        change: what is done to it.
        line: where the statement stands that it is in.
    """

    file: Path
    node: int
    change: str
    line: int


def points(file: Path) -> list[Point]:
    """All changes that can be made to a module."""
    tree = ast.parse(file.read_text("utf-8"))
    hidden = set(_not_running(tree))
    lines = dict(_statement_lines(tree, 0))
    return [
        Point(file, number, change, lines[node])
        for number, node in enumerate(ast.walk(tree))
        if node not in hidden
        for change in _changes(node)
    ]


def _statement_lines(node: ast.AST, line: int) -> Iterator[tuple[ast.AST, int]]:
    """The line of the statement that each node is in, or of the node where it is one."""
    for child in ast.iter_child_nodes(node):
        own = child.lineno if isinstance(child, ast.stmt) else line
        yield child, own
        yield from _statement_lines(child, own)


def _not_running(tree: ast.AST) -> Iterator[ast.AST]:
    """Annotations, and what is there for type checkers only."""
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.AnnAssign | ast.arg):
            parts = [node.annotation]
        elif isinstance(node, ast.FunctionDef):
            parts = [node.returns]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            parts = [node]
        for part in parts:
            if part is not None:
                yield from ast.walk(part)


def _changes(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in COMPARISONS:
            yield "another comparison"
        case ast.BoolOp():
            yield "and for or"
        case ast.UnaryOp(op=ast.Not()):
            yield "no not"
        case ast.Constant(value=bool() | int()):
            yield "another constant"
        case ast.BinOp(op=operator) if type(operator) in OPERATORS:
            yield "another operator"
        case ast.If() | ast.IfExp() | ast.While():
            yield "the other branch"
        case ast.comprehension(ifs=[_, *_]):
            yield "no filter"
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.AugAssign():
            yield "not carried out"
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield "returns None"


def marked(file: Path, name: str) -> str:
    """A module that tells `selecting.mark` of each statement that it comes to."""
    tree = ast.parse(file.read_text("utf-8"))
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            if isinstance(block := getattr(node, field, None), list):
                setattr(node, field, [each for old in block for each in _marks(old, name)])
    first = next(n for n, each in enumerate(tree.body) if not _is_first(each))
    tree.body[first:first] = ast.parse("from tests.mutation.selecting import mark as mark_").body
    return ast.unparse(ast.fix_missing_locations(tree))


def _marks(statement: ast.stmt, name: str) -> list[ast.stmt]:
    if _is_first(statement):
        return [statement]
    return [*ast.parse(f"mark_({name!r}, {statement.lineno})").body, statement]


def _is_first(statement: ast.stmt) -> bool:
    """Whether it is a docstring, or an import that has to come first."""
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "__future__"
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def changed(point: Point) -> tuple[str, str]:
    """The module with one change, and the line as it was and is."""
    tree = ast.parse(point.file.read_text("utf-8"))
    node = list(ast.walk(tree))[point.node]
    before = _first_line(node)
    new = _change(node, point.change)
    tree = _Replacing(node, new).visit(tree)
    return ast.unparse(ast.fix_missing_locations(tree)), f"{before}  →  {_first_line(new)}"


class _Replacing(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self._new if node is self._old else self.generic_visit(node)


def _change(node: ast.AST, change: str) -> ast.AST:  # noqa: C901 — one line a change
    match node:
        case ast.Compare(left=left, ops=[operator], comparators=comparators):
            return ast.Compare(left, [COMPARISONS[type(operator)]()], comparators)
        case ast.BoolOp(op=operator, values=values):
            return ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.UnaryOp(operand=operand):
            return operand
        case ast.Constant(value=bool() as value):
            return ast.Constant(not value)
        case ast.Constant(value=int() as value):
            return ast.Constant(value + 1)
        case ast.BinOp(left=left, op=operator, right=right):
            return ast.BinOp(left, OPERATORS[type(operator)](), right)
        case ast.If(test=test, body=body, orelse=orelse):
            return ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.While(test=test, body=body, orelse=orelse):
            return ast.While(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return ast.IfExp(test, orelse, body)
        case ast.comprehension(target=target, iter=iterated, is_async=is_async):
            return ast.comprehension(target, iterated, [], is_async)
        case ast.Return():
            return ast.Return(ast.Constant(None))
        case ast.stmt():
            return ast.Pass()
    raise ValueError(change)


def _first_line(node: ast.AST) -> str:
    if isinstance(node, ast.comprehension):
        return ast.unparse(ast.ListComp(ast.Name("_"), [node]))
    return ast.unparse(node).partition("\n")[0]
