"""The columns of an INSERT's source that are written as NULL.

A value that turned into NULL on its way is an error where one that was written so is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vercel_sql.sql.brackets import matching, split, top_level, unwrapped
from vercel_sql.sql.constants import Constants
from vercel_sql.sql.dialect import Kind, Lexeme
from vercel_sql.sql.fragments import Fragment
from vercel_sql.sql.parameters import Parameters

_SET_OPERATIONS = frozenset({"UNION", "INTERSECT", "EXCEPT"})
_AFTER_PROJECTION = frozenset(
    [
        "FROM",
        "WHERE",
        "HAVING",
        "WINDOW",
        "QUALIFY",
        "LIMIT",
        "OFFSET",
        "USING",
        "TABLESAMPLE",
        "INTO",
        "FETCH",
    ]
) | {"GROUP BY", "ORDER BY"}


@dataclass(frozen=True, slots=True)
class LiteralNulls:
    """Which columns of a source are written as NULL.

    Attributes:
        rows: for each row the positions of its literal NULLs; a single one if it is for all rows.
        every_row: whether there is one that holds for all rows.
    """

    rows: tuple[frozenset[int], ...]
    every_row: bool

    def at(self, row: int) -> frozenset[int]:
        """The positions of the literal NULLs in a row, both counted from 0."""
        return self.rows[0] if self.every_row else self.rows[row]


def literal_nulls(source: Fragment, parameters: Parameters) -> LiteralNulls | None:
    """The literal NULLs of a query, or None where its columns can't be told from its text."""
    query = _without_with(unwrapped(source.lexemes))
    words = {lexeme.upper for _, lexeme in top_level(query)}
    if not query or words & _SET_OPERATIONS:
        return None
    if query[0].upper == "VALUES":
        return _values_nulls(query[1:], source, parameters)
    if query[0].upper in ("SELECT", "FROM"):
        return _select_nulls(query, source, parameters)
    return None


def _values_nulls(
    lexemes: Sequence[Lexeme], source: Fragment, parameters: Parameters
) -> LiteralNulls | None:
    reader = Constants(source, parameters)
    rows: list[frozenset[int]] = []
    for row in split(lexemes):
        if len(row) < 3 or row[0].raw != "(" or matching(row, 0) != len(row) - 1:
            return None
        items = split(row[1:-1])
        rows.append(frozenset(at for at, item in enumerate(items) if reader.is_null(item)))
    return LiteralNulls(tuple(rows), every_row=False)


def _select_nulls(
    lexemes: Sequence[Lexeme], source: Fragment, parameters: Parameters
) -> LiteralNulls | None:
    selects = [index for index, lexeme in top_level(lexemes) if lexeme.upper == "SELECT"]
    if len(selects) != 1:
        return None
    items = split(_projection(lexemes[selects[0] + 1 :]))
    if any(_expands(item) for item in items):
        return None
    reader = Constants(source, parameters)
    nulls = frozenset(at for at, item in enumerate(items) if reader.is_null(_unaliased(item)))
    return LiteralNulls((nulls,), every_row=True)


def _projection(lexemes: Sequence[Lexeme]) -> Sequence[Lexeme]:
    """The list of expressions between SELECT and what follows it."""
    first = 1 if lexemes and lexemes[0].upper in ("ALL", "DISTINCT") else 0
    if first and len(lexemes) > 2 and lexemes[1].upper == "ON" and lexemes[2].raw == "(":
        first = matching(lexemes, 2) + 1
    for index, lexeme in top_level(lexemes):
        after_as = index > 0 and lexemes[index - 1].upper == "AS"
        if lexeme.upper in _AFTER_PROJECTION and not after_as:
            return lexemes[first:index]
    return lexemes[first:]


def _expands(item: Sequence[Lexeme]) -> bool:
    """Whether this may give another number of columns than one."""
    if any(lexeme.upper in ("COLUMNS", "UNNEST", "UNPACK") for lexeme in item):
        return True
    return any(
        lexeme.raw == "*" and (index == 0 or item[index - 1].raw == ".")
        for index, lexeme in top_level(item)
    )


def _unaliased(item: Sequence[Lexeme]) -> Sequence[Lexeme]:
    """An expression without its alias: ``x AS a``, ``x a`` or ``a: x``."""
    names = (Kind.WORD, Kind.QUOTED)
    if len(item) > 2 and item[0].kind in names and item[1].raw == ":":
        return item[2:]
    if len(item) > 2 and item[-2].upper == "AS":
        return item[:-2]
    if len(item) < 2 or item[-1].kind not in names or item[-1].upper in ("ISNULL", "NOTNULL"):
        return item
    after_value = item[-2].kind is not Kind.SYMBOL or item[-2].raw in (")", "}")
    return item[:-1] if after_value else item


def _without_with(lexemes: Sequence[Lexeme]) -> Sequence[Lexeme]:
    """A query without its WITH clause."""
    if not lexemes or lexemes[0].upper != "WITH":
        return lexemes
    for index, lexeme in top_level(lexemes):
        if lexeme.upper in ("SELECT", "FROM", "VALUES") and lexemes[index - 1].raw == ")":
            return lexemes[index:]
    return ()
