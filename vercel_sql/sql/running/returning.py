"""RETURNING: any expressions over the rows that a write gives, evaluated by DuckDB."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from vercel_sql.catalog.ddl import quoted
from vercel_sql.errors import ParameterError
from vercel_sql.sql.brackets import matching, split
from vercel_sql.sql.dialect import Kind, Lexeme
from vercel_sql.sql.fragments import Fragment
from vercel_sql.sql.parameters import Parameters
from vercel_sql.sql.running.duck import lent, table_of
from vercel_sql.sql.running.lineage import secret_columns

_LENT = "__vercel_sql_written"


class Returning:
    """A RETURNING clause over rows of a known schema.

    Args:
        con: the user's connection.
        clause: what stands after RETURNING.
        parameters: the script's parameters.
        alias: what the clause may qualify columns with.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        clause: Fragment,
        parameters: Parameters,
        alias: str,
    ) -> None:
        self._con = con
        self._clause = clause
        self._text, self._values = clause.bind(parameters)
        self._qualifier = alias
        self._alias = quoted(alias)

    def columns_needed(self, schema: pa.Schema) -> list[str]:
        """The columns of the rows that the clause is evaluated for: those that it names, or all."""
        names: list[str] = schema.names
        if any(map(self._means_all, range(len(self._clause.lexemes)))):
            return names
        words = {lexeme.value.casefold() for lexeme in self._clause.lexemes}
        needed = [name for name in names if name.casefold() in words]
        try:
            self.check(pa.schema([schema.field(name) for name in needed]))
        except duckdb.Error:  # it has columns in a way that is not known here
            return names
        return needed

    def _means_all(self, at: int) -> bool:
        """Whether a token stands for columns without naming them: a star, a place, or the row."""
        lexeme, follower = self._clause.lexemes[at], self._clause.lexemes[at + 1 : at + 2]
        is_row = lexeme.value.casefold() == self._qualifier.casefold()
        is_qualifier = bool(follower) and follower[0].raw == "."
        return (
            lexeme.raw in ("*", "#") or lexeme.upper == "COLUMNS" or (is_row and not is_qualifier)
        )

    def evaluate(self, rows: pa.Table) -> pa.Table:
        """The clause's result for some rows.

        Raises:
            duckdb.Error: the clause does not fit the columns, or fails on a value.
        """
        return self._select(self._text, rows, self._values)

    def kept(self, rows: pa.Table) -> pa.Table:
        """The clause's result for the rows of a write that failed midway.

        They can't be had again, so they are given as they are where there is no such result.
        """
        try:
            result = self.evaluate(rows)
        except (Exception, KeyboardInterrupt):
            return rows
        return result if result.num_rows == rows.num_rows else rows

    def _select(self, text: str, rows: pa.Table, values: dict[str, object]) -> pa.Table:
        query = f"SELECT {text}\nFROM {_LENT} AS {self._alias}"
        with lent(self._con, _LENT, rows):
            return table_of(self._con, query, values)

    def check(self, schema: pa.Schema) -> None:
        """Finds out before the first request whether the clause fits the columns.

        Raises:
            duckdb.Error: it does not.
        """
        self.evaluate(schema.empty_table())

    def require_rows(self, schema: pa.Schema, where: str) -> None:
        """Finds out before the first request whether the clause gives one row for each.

        Raises:
            ParameterError: it does not, as an aggregate.
            duckdb.Error: the clause does not fit the columns.
        """
        rows = pa.Table.from_arrays([pa.nulls(2, field.type) for field in schema], schema=schema)
        if self.evaluate(rows).num_rows != 2:
            raise ParameterError(
                f"{where}: RETURNING gives one row for each row that is made, so it takes no "
                "aggregates, no DISTINCT and no unnest"
            )

    def secret_columns(self, result: pa.Table, names: Collection[str]) -> frozenset[str]:
        """The columns of a result that are secret, or are made from what is.

        Args:
            result: what `evaluate` gave.
            names: the columns of the rows that are secret.
        """
        return secret_columns(self._text, self._qualifier, result.column_names, names)

    def require_secrets(self, schema: pa.Schema, names: Collection[str], where: str) -> None:
        """Finds out before the first request whether the clause gives every secret as a column.

        An expression may lose it for some rows and keep it for others, so only columns count. A
        row with a made-up secret is sent through them, since ``*`` and COLUMNS take some or all.

        Raises:
            ParameterError: a secret would be lost.
            duckdb.Error: the clause does not fit the columns.
        """
        made_up = {name: secrets.token_hex(16) for name in names}
        row = pa.Table.from_arrays([_probe_column(f, made_up) for f in schema], schema=schema)
        shown: set[Any] = set()
        for text in self._columns(names):
            for column in self._select(text, row, {}).columns:
                shown.update(_texts(column))
        lost = [name for name, value in made_up.items() if value not in shown]
        if lost:
            raise ParameterError(
                f"{where}: RETURNING must have {', '.join(lost)} itself as a column: it is shown "
                "this once and never again. Add it, or have the secrets saved to a file "
                "(--save-secrets, secrets_file=)"
            )

    def _columns(self, names: Collection[str]) -> Iterator[str]:
        """The parts of the clause that are columns as they are, without their aliases."""
        folded = {name.casefold() for name in names}
        source = self._clause.script.source
        for item in split(self._clause.lexemes):
            kept = _column(item, self._qualifier.casefold(), folded)
            if kept:
                yield source[kept[0].start : kept[-1].end]


def _column(item: Sequence[Lexeme], qualifier: str, secret: set[str]) -> Sequence[Lexeme]:
    """An item without its alias if it is a column, ``*`` or COLUMNS(…); else nothing."""
    if len(item) > 2 and item[1].raw == ":":
        item = item[2:]
    words = {lexeme.upper for lexeme in item}
    if "REPLACE" in words and any(lexeme.value.casefold() in secret for lexeme in item):
        return ()
    star = 2 if len(item) > 2 and item[0].value.casefold() == qualifier else 0
    if item[star].raw == "*" and (not star or item[1].raw == "."):
        return item
    if len(item) > 1 and item[0].upper == "COLUMNS" and item[1].raw == "(":
        return item if matching(item, 1) == len(item) - 1 else ()
    return _named(item, qualifier, secret)


def _named(item: Sequence[Lexeme], qualifier: str, secret: set[str]) -> Sequence[Lexeme]:
    """``name``, ``(name)`` or ``alias.name``, with AS or without, if it names a secret."""
    depth = 0
    while depth < len(item) and item[depth].raw == "(":
        depth += 1
    start = depth
    if len(item) > start + 2 and item[start + 1].raw == ".":
        if item[start].value.casefold() != qualifier:
            return ()
        start += 2
    stop = start + 1 + depth
    if stop > len(item) or item[start].kind not in (Kind.WORD, Kind.QUOTED):
        return ()
    if any(lexeme.raw != ")" for lexeme in item[start + 1 : stop]):
        return ()
    alias = item[stop:]
    named = alias[1:] if alias and alias[0].upper == "AS" else alias
    if len(named) > 1 or any(each.kind is Kind.SYMBOL for each in named):
        return ()
    return item[:stop] if item[start].value.casefold() in secret else ()


def _probe_column(field: pa.Field, made_up: dict[str, str]) -> pa.Array:
    if field.name in made_up:
        return pa.array([made_up[field.name]], field.type)
    return pa.nulls(1, field.type)


def _texts(column: pa.ChunkedArray) -> list[Any]:
    return column.to_pylist() if pa.types.is_string(column.type) else []
