"""The rule for NULLs that are written as such: DuckDB must see NULL there, too."""

from __future__ import annotations

from functools import cache

import duckdb

from vercel_sql.sql import Insert, Parameters

from .oracles import require

_TYPES = ["VARCHAR", "TEXT", "BIGINT", "INT", "INTEGER", "DATE"]
_WORDS = {"VALUES", "SELECT", "ALL", "DISTINCT", "AS", "NULL", "CAST", "TRY_CAST", *_TYPES}
"""What a source may be made of to be run here: no function, no table, nothing that takes long."""


def require_nulls(statement: Insert, parameters: Parameters) -> None:
    """Runs a source that is plain enough, and looks where it is NULL."""
    source = statement.source
    nulls = statement.literal_nulls(parameters)
    if source is None or nulls is None or not any(nulls.rows):
        return
    if any(lexeme.upper and lexeme.upper not in _WORDS for lexeme in source.lexemes):
        return
    text, values = source.bind(parameters)
    try:
        rows = _database().execute(text, values).fetchall()
    except duckdb.Error:
        return
    for number, row in enumerate(rows):
        for position in nulls.at(number):
            require(position < len(row) and row[position] is None, "what is called NULL is not")


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"enable_external_access": False, "threads": 1})
