"""Reads scripts into statements, and those that are DuckDB's alone without looking into them."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from vercel_sql.connection.attachment import Attachment
from vercel_sql.connection.batch import Batch
from vercel_sql.sql import Native, Parameters, Statement, Write, check, parse
from vercel_sql.sql.parser import Plain

_READS_WHOLE = duckdb.__version__.startswith("1.")
"""Whether DuckDB finds what is wrong with a later statement before the first one runs."""


class Scripts:
    """The scripts of one connection.

    Args:
        native: the user's DuckDB connection.
        catalogs: the accounts in it.
    """

    def __init__(self, native: duckdb.DuckDBPyConnection, catalogs: Sequence[Attachment]) -> None:
        self._native = native
        self._catalogs = catalogs
        resources = (r for c in catalogs for r in c.manifest.provider.services.values())
        self._plain = Plain({catalog.name for catalog in catalogs}.union(*resources))

    def read(
        self, text: str, parameters: Parameters, batch: Batch | None, timeout: float | None
    ) -> Sequence[Statement]:
        """The statements of a script; one that is DuckDB's alone may be a single one.

        Raises:
            Error: it is not well-formed, or its parameters do not fit.
            duckdb.Error: DuckDB can't read it.
        """
        statements: list[Statement] | None = batch.statements if batch is not None else None
        if not len(parameters) and batch is None:
            # With a timeout, each statement has its own; and one that fails since a table was not
            # made yet is run again.
            is_made = not any(catalog.missing for catalog in self._catalogs)
            plain = self._plain.read(text, whole=is_made and timeout is None)
            if plain is not None:
                return [plain]
        is_new = statements is None
        if statements is None:
            statements = parse(text)
        if batch is not None:
            batch.statements = statements
        check(statements, parameters)
        is_script = is_new and len(statements) > 1
        if _READS_WHOLE and is_script and all(map(_is_duckdb_s, statements)):
            self._native.extract_statements(text)
        return statements


def _is_duckdb_s(statement: Statement) -> bool:
    """Whether DuckDB can read a statement as it is written."""
    is_read = isinstance(statement, Native) or (
        isinstance(statement, Write) and statement.malformed is None
    )
    return is_read and not statement.fragment.placeholders
