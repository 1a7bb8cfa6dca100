"""RETURNING: any expressions over the rows that a write gives, evaluated by DuckDB."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from vercel_sql.catalog.ddl import quoted
from vercel_sql.errors import ParameterError
from vercel_sql.sql.queries import registered, table_of
from vercel_sql.sql.syntax_tree import Node, select_list, selected, walk

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from vercel_sql.sql.fragments import Fragment
    from vercel_sql.sql.plan import Context
    from vercel_sql.sql.statements import Write

_REGISTERED = "__vercel_sql_written"
_ALL = frozenset(["POSITIONAL_REFERENCE", "STAR"])


class Returning:
    """A RETURNING clause over rows of a known schema."""

    def __init__(self, context: Context, statement: Write, clause: Fragment) -> None:
        self._con = context.con
        self._text, self._values = clause.bind(context.parameters)
        self._items = selected(self._text)
        self._alias = statement.alias or statement.target.parts[-1]
        self._qualifier = self._alias.casefold()

    def columns_needed(self, schema: pa.Schema) -> list[str]:
        """The columns of the rows that the clause is evaluated for: those that it names, or all."""
        names: list[str] = schema.names
        mentioned = set[str]()
        for node in walk(self._items):
            columns = [each.casefold() for each in node.get("column_names", ())]
            mentioned.update(columns)
            # A row's own name is the whole row.
            if node.get("class") in _ALL or columns == [self._qualifier]:
                return names
        needed = [name for name in names if name.casefold() in mentioned]
        try:
            self.check(pa.schema([schema.field(name) for name in needed]))
        except duckdb.Error:  # it has columns in a way that is not known here
            return names
        return needed

    def evaluate(self, rows: pa.Table) -> pa.Table:
        return self._select(self._text, rows, self._values)

    def kept(self, rows: pa.Table) -> pa.Table:
        """The clause's result for the rows of a write that failed midway.

        They aren't available again, so they are given as they are if the clause fails.
        """
        try:
            result = self.evaluate(rows)
        except (Exception, KeyboardInterrupt):
            return rows
        return result if result.num_rows == rows.num_rows else rows

    def _select(self, text: str, rows: pa.Table, values: dict[str, object]) -> pa.Table:
        query = f"SELECT {text}\nFROM {_REGISTERED} AS {quoted(self._alias)}"
        with registered(self._con, _REGISTERED, rows):
            return table_of(self._con, query, values)

    def check(self, schema: pa.Schema) -> None:
        """Finds out before the first request whether the clause fits the columns."""
        self.evaluate(schema.empty_table())

    def require_rows(self, schema: pa.Schema, where: str) -> None:
        """Finds out before the first request whether the clause gives one row for each."""
        rows = pa.Table.from_arrays([pa.nulls(2, field.type) for field in schema], schema=schema)
        if self.evaluate(rows).num_rows != 2:
            raise ParameterError(
                f"{where}: RETURNING gives one row for each row that is made, so it takes no "
                "aggregates, no DISTINCT and no unnest"
            )

    def require_secrets(self, schema: pa.Schema, names: Collection[str], where: str) -> None:
        """Finds out before the first request whether the clause gives every secret as a column.

        An expression may lose it for some rows and keep it for others, so only columns count. A
        row with a made-up secret is sent through them, since ``*`` and COLUMNS take some or all.
        """
        made_up = {name: secrets.token_hex(16) for name in names}
        probe = [
            pa.array([made_up[f.name]], f.type) if f.name in made_up else pa.nulls(1, f.type)
            for f in schema
        ]
        row = pa.Table.from_arrays(probe, schema=schema)
        folded = {name.casefold() for name in names}
        columns = [item for item in self._items or () if self._is_column(item, folded)]
        shown: list[object] = []
        if columns:
            found = self._select(select_list(columns), row, {}).columns
            texts = [each.to_pylist() for each in found if pa.types.is_string(each.type)]
            shown = [text for column in texts for text in column]
        lost = sorted(name for name, value in made_up.items() if value not in shown)
        if lost:
            raise ParameterError(
                f"{where}: RETURNING must have {', '.join(lost)} itself as a column: it is shown "
                "this once and never again. Add it, or have the secrets saved to a file "
                "(--save-secrets, secrets_file=)"
            )

    def _is_column(self, item: Node, secret: Collection[str]) -> bool:
        """Whether an item is a secret column, ``*`` or COLUMNS(…), with an alias or without."""
        if item["class"] == "STAR":
            return not any(_mentions(each, secret, "") for each in item["replace_list"])
        if item["class"] != "COLUMN_REF":
            return False
        *before, name = (each.casefold() for each in item["column_names"])
        return name in secret and before in ([], [self._qualifier])

    def secret_columns(self, result: pa.Table, names: Collection[str]) -> frozenset[str]:
        return secret_columns(self._items, self._qualifier, result.column_names, names)


def secret_columns(
    items: Sequence[Node] | None, qualifier: str, names: Sequence[str], secrets: Collection[str]
) -> frozenset[str]:
    """The columns of a result that are secret, or are made from what is.

    Where that can't be told, a column counts as secret: it is then shown in full, and masked where
    things are kept, such as in a notebook.

    Args:
        items: what stands after RETURNING; None where it can't be read.
        qualifier: what it may call the row, in lower case.
        names: the columns of its result.
        secrets: the columns of the row that are secret.
    """
    stars = [at for at, item in enumerate(items or ()) if _may_be_several(item)]
    if not items or (not stars and len(items) != len(names)):
        return frozenset(names)
    # A row by its own name is all of its columns.
    secret = {name.casefold() for name in secrets}
    known = {*secret, qualifier}
    made: list[bool] = []
    for item in items:
        # COLUMNS(…) under an alias has new names.
        unknown = _may_be_several(item) and (item["class"] != "STAR" or bool(item["alias"]))
        made.append(unknown or _mentions(item, known, qualifier))
        if made[-1] and item["alias"]:
            # The items that follow may use it by that name.
            known.add(item["alias"].casefold())
    return _placed(names, made, stars, secret)


def _may_be_several(item: Node) -> bool:
    """Whether an item may stand for several columns."""
    return any(node.get("class") == "STAR" for node in walk(item))


def _mentions(item: Node, known: Collection[str], qualifier: str) -> bool:
    """Whether an item is made from any of these names; to leave them out is not a mention."""
    for node in walk(item):
        if node.get("class") == "POSITIONAL_REFERENCE":
            return True
        renamed = [each["key"].get("column", "") for each in node.get("rename_list") or ()]
        columns = node.get("column_names", ())
        # DuckDB 1.5 reads `name.upper()` as a function in a schema, until it binds it.
        chained = [node.get(place) or "" for place in ("catalog", "schema")]
        if len(columns) > 1 and columns[0].casefold() == qualifier:
            columns = columns[1:]
        if any(name.casefold() in known for name in (*columns, *renamed, *chained)):
            return True
    return False


def _placed(
    names: Sequence[str], made: Sequence[bool], stars: Sequence[int], secrets: Collection[str]
) -> frozenset[str]:
    """The names of the columns that items stand for; between two stars, nobody knows which."""
    first, last = (stars[0], stars[-1]) if stars else (len(made), len(made) - 1)
    after = len(names) - (len(made) - 1 - last)
    plain = [*zip(names, made[:first], strict=False)]
    plain += zip(names[after:], made[last + 1 :], strict=True)
    found = [name for name, is_made in plain if is_made]
    all_made = any(made[first : last + 1])
    between = names[first:after]
    return frozenset([*found, *(n for n in between if all_made or n.casefold() in secrets)])
