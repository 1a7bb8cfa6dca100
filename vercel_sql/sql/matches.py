"""DELETEs that name what they delete: a WHERE that is one column and constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vercel_sql.sql.brackets import top_level, unwrapped
from vercel_sql.sql.constants import Constants
from vercel_sql.sql.dialect import Kind, Lexeme
from vercel_sql.sql.fragments import Fragment, Name
from vercel_sql.sql.parameters import Parameters


@dataclass(frozen=True, slots=True)
class ConstantMatch:
    """A predicate that compares one column with constant strings.

    Attributes:
        column: the column, as it is written, without qualifier or quotes.
        values: the strings.
        equality: True for ``=``, False for ``IN``.
    """

    column: str
    values: tuple[str, ...]
    equality: bool

    def __repr__(self) -> str:
        return f"<ConstantMatch on {self.column}>"


def constant_match(
    where: Fragment, qualifiers: Sequence[str], parameters: Parameters
) -> ConstantMatch | None:
    """The column and constants of a WHERE that is ``column = 'a'`` or ``column IN ('a', 'b')``.

    Args:
        where: the predicate.
        qualifiers: the names that the column may be qualified with, unquoted.
        parameters: the values of placeholders.
    """
    reader = Constants(where, parameters)
    lexemes = unwrapped(where.lexemes)
    for index, lexeme in enumerate(lexemes):
        if lexeme.raw in ("=", "=="):
            left, right = lexemes[:index], lexemes[index + 1 :]
            for names, value in ((left, right), (right, left)):
                column, constant = _column(names, qualifiers), reader.value(value)
                if column is not None and isinstance(constant, str):
                    return ConstantMatch(column, (constant,), equality=True)
            return None
        if lexeme.upper == "IN":
            column = _column(lexemes[:index], qualifiers)
            values = reader.strings(lexemes[index + 1 :])
            return ConstantMatch(column, values, False) if column and values else None
    return None


def constant_equalities(
    where: Fragment, qualifiers: Sequence[str], parameters: Parameters
) -> dict[str, str] | None:
    """The strings by column of a WHERE that is equalities joined by AND, or None.

    Args:
        where: the predicate.
        qualifiers: the names that the columns may be qualified with, unquoted.
        parameters: the values of placeholders.
    """
    found: dict[str, str] = {}
    for part in _conjuncts(where):
        match = constant_match(part, qualifiers, parameters)
        if match is None or not match.equality or match.column in found:
            return None
        found[match.column] = match.values[0]
    return found


def _conjuncts(where: Fragment) -> list[Fragment]:
    """The parts between the ANDs that stand in no brackets but those around all of it."""
    around = (len(where.lexemes) - len(unwrapped(where.lexemes))) // 2
    where = where.slice(where.first + around, where.stop - around)
    parts, start = [], where.first
    for index, lexeme in top_level(where.lexemes):
        if lexeme.upper == "AND":
            parts.append(where.slice(start, where.first + index))
            start = where.first + index + 1
    return [*parts, where.slice(start, where.stop)]


def qualifiers(target: Name, alias: str | None) -> list[str]:
    """What a column of a statement's target may be qualified with."""
    return [alias] if alias else [".".join(target.parts[at:]) for at in range(len(target.parts))]


def _column(lexemes: Sequence[Lexeme], qualifiers: Sequence[str]) -> str | None:
    """The column that these tokens name, or None."""
    names, dots = lexemes[::2], lexemes[1::2]
    if len(lexemes) % 2 == 0 or any(dot.raw != "." for dot in dots):
        return None
    if any(name.kind not in (Kind.WORD, Kind.QUOTED) for name in names):
        return None
    qualifier = ".".join(name.value for name in names[:-1]).lower()
    if qualifier and qualifier not in {each.lower() for each in qualifiers}:
        return None
    return names[-1].value
