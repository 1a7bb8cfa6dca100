"""RETURNING: any expressions over the rows that a write gives, evaluated by DuckDB."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any

import duckdb
import pyarrow as pa

from vercel_sql.errors import ParameterError
from vercel_sql.sql.fragments import Fragment
from vercel_sql.sql.parameters import Parameters
from vercel_sql.sql.running.duck import lent, table_of

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
        self._text, self._values = clause.bind(parameters)
        self._alias = '"' + alias.replace('"', '""') + '"'

    def evaluate(self, rows: pa.Table) -> pa.Table:
        """The clause's result for some rows.

        Raises:
            duckdb.Error: the clause does not fit the columns, or fails on a value.
        """
        query = f"SELECT {self._text}\nFROM {_LENT} AS {self._alias}"
        with lent(self._con, _LENT, rows):
            return table_of(self._con, query, self._values)

    def check(self, schema: pa.Schema) -> None:
        """Finds out before the first request whether the clause fits the columns.

        Raises:
            duckdb.Error: it does not.
        """
        self.evaluate(schema.empty_table())

    def require_secrets(self, schema: pa.Schema, names: Collection[str], where: str) -> None:
        """Finds out before the first request whether the clause gives every secret as a column.

        A row with a made-up secret is sent through the clause: what comes out as it went in will
        not be lost.

        Raises:
            ParameterError: a secret would be lost.
            duckdb.Error: the clause does not fit the columns.
        """
        made_up = {name: secrets.token_hex(16) for name in names}
        columns = [_probe_column(field, made_up) for field in schema]
        result = self.evaluate(pa.Table.from_arrays(columns, schema=schema))
        shown = {value for column in result.columns for value in _texts(column)}
        lost = [name for name, value in made_up.items() if value not in shown]
        if lost or result.num_rows != 1:
            name = ", ".join(lost or names)
            raise ParameterError(
                f"{where}: RETURNING must have {name} itself as a column: it is shown this once "
                "and never again. Add it, or have the secrets saved to a file"
            )


def _probe_column(field: pa.Field, made_up: dict[str, str]) -> pa.Array:
    if field.name in made_up:
        return pa.array([made_up[field.name]], field.type)
    return pa.nulls(1, field.type)


def _texts(column: pa.ChunkedArray) -> list[Any]:
    return column.to_pylist() if pa.types.is_string(column.type) else []
