"""The rule for a DELETE that names its rows: they are those that DuckDB would choose."""

from __future__ import annotations

from functools import cache

import duckdb

from vercel_sql.sql import Delete, Parameters

from .oracles import require

_TABLE = "vercel.authentication.user_tokens"
_NAMES = ("id", "tokenId", "name")


def require_same_rows(statement: Delete, parameters: Parameters) -> None:
    """Runs a predicate that was read as constants over a table that has these, and others."""
    match = statement.constant_match(parameters)
    equalities = statement.constant_equalities(parameters)
    if match is not None and match.column in _NAMES:
        _compare(statement, parameters, {match.column: match.values})
    if equalities and set(equalities) <= set(_NAMES):
        _compare(statement, parameters, {name: (v,) for name, v in equalities.items()})


def _compare(statement: Delete, parameters: Parameters, wanted: dict[str, tuple[str, ...]]) -> None:
    rows = _rows(wanted)
    expected = [row for row in rows if all(row[c] in wanted[c] for c in wanted)]
    con = _database()
    con.execute(f"CREATE OR REPLACE TABLE {_TABLE} (id TEXT, tokenId TEXT, name TEXT, n BIGINT)")
    columns = [[row[name] for row in rows] for name in (*_NAMES, "n")]
    con.execute(f"INSERT INTO {_TABLE} SELECT {', '.join(['unnest(?)'] * len(columns))}", columns)
    where, values = statement.where.bind(parameters)
    alias = f'AS "{statement.alias}"' if statement.alias else ""
    try:
        found = con.execute(f"SELECT n FROM {_TABLE} {alias} WHERE {where}", values).fetchall()
    except duckdb.Error:
        return
    require(
        sorted(n for (n,) in found) == [row["n"] for row in expected],
        f"{where!r} was read as {wanted} and chooses other rows",
    )


def _rows(wanted: dict[str, tuple[str, ...]]) -> list[dict[str, object]]:
    """Rows of each wanted value, alone and together, and of values that are nearly the same."""
    values = [v for each in wanted.values() for v in each]
    texts = {None, "", "x", *values, *(v.upper() for v in values), *(f"{v} " for v in values)}
    ordered = sorted(texts, key=str)
    others = values[:1] or ["x"]
    made = [{"id": t, "tokenId": o, "name": o} for t in ordered for o in [*others, "x"]]
    made += [{"id": o, "tokenId": t, "name": o} for t in ordered for o in others]
    made += [{"id": o, "tokenId": o, "name": t} for t in ordered for o in others]
    made += [{name: (wanted.get(name) or ["x"])[0] for name in _NAMES}]
    return [{**row, "n": n} for n, row in enumerate(made)]


@cache
def _database() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"enable_external_access": False, "threads": 1})
    con.execute("ATTACH ':memory:' AS vercel; CREATE SCHEMA vercel.authentication")
    return con
