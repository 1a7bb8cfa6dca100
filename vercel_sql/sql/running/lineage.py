"""Which columns of a RETURNING are made from what is secret: told from its expressions.

Where that can't be told, a column counts as secret: it is then shown in full, and masked where
things are kept, such as in a notebook.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import sqlglot
from sqlglot import exp


def secret_columns(
    clause: str, qualifier: str, names: Sequence[str], secrets: Collection[str]
) -> frozenset[str]:
    """The columns of a result that are secret, or are made from what is.

    Args:
        clause: what stands after RETURNING.
        qualifier: what it may call the row.
        names: the columns of its result.
        secrets: the columns of the row that are secret.
    """
    try:
        items = sqlglot.parse_one(f"SELECT {clause}\nFROM t", dialect="duckdb").expressions
    except (sqlglot.errors.SqlglotError, RecursionError):
        return frozenset(names)
    stars = [at for at, item in enumerate(items) if _may_be_several(item)]
    if not stars and len(items) != len(names):
        return frozenset(names)
    # A row by its own name is all of its columns.
    known = {name.casefold() for name in (*secrets, qualifier)}
    made: list[bool] = []
    for item in items:
        unknown = _may_be_several(item) and not _is_as_they_are(item)
        is_made = unknown or _mentions(item, known)
        if is_made and isinstance(item, exp.Alias):
            # The items that follow may use it by that name.
            known.add(item.alias.casefold())
        made.append(is_made)
    return _placed(names, made, stars, {name.casefold() for name in secrets})


def _may_be_several(item: exp.Expression) -> bool:
    """Whether an item may stand for several columns."""
    return item.find(exp.Star, exp.Columns) is not None


def _is_as_they_are(item: exp.Expression) -> bool:
    """Whether an item is ``*``, ``t.*`` or COLUMNS(…): columns under their own names."""
    return isinstance(item, exp.Star | exp.Columns) or (
        isinstance(item, exp.Column) and isinstance(item.this, exp.Star)
    )


def _mentions(item: exp.Expression, known: Collection[str]) -> bool:
    """Whether an item is made from any of these names; to leave them out is no mention."""
    if item.find(exp.PositionalColumn):
        return True
    left_out = {
        id(name)
        for star in item.find_all(exp.Star)
        for each in star.args.get("except_") or star.args.get("except") or []
        for name in each.find_all(exp.Identifier)
    }
    return any(
        name.name.casefold() in known
        for name in item.find_all(exp.Identifier)
        if id(name) not in left_out and not _is_qualifier(name)
    )


def _is_qualifier(name: exp.Identifier) -> bool:
    """Whether a name only says whose column another one is, as in ``t.id``."""
    return isinstance(name.parent, exp.Column) and name.arg_key != "this"


def _placed(
    names: Sequence[str], made: Sequence[bool], stars: Sequence[int], secrets: Collection[str]
) -> frozenset[str]:
    """The names of the columns that items stand for; between two stars, nobody knows which."""
    if not stars:
        return frozenset(name for name, is_made in zip(names, made, strict=True) if is_made)
    first, last = stars[0], stars[-1]
    after = len(names) - (len(made) - 1 - last)
    plain = [*zip(names, made[:first], strict=False)]
    plain += zip(names[after:], made[last + 1 :], strict=True)
    found = [name for name, is_made in plain if is_made]
    between = names[first:after]
    found += between if any(made[first : last + 1]) else _named(between, secrets)
    return frozenset(found)


def _named(names: Iterable[str], secrets: Collection[str]) -> list[str]:
    return [name for name in names if name.casefold() in secrets]
