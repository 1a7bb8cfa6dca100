"""Appends a listing to a history as one run, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb

from vercel_sql._version import __version__
from vercel_sql.cli.history.listing import Listing
from vercel_sql.cli.history.schema import CATALOG, VERSION, check, prepare, read_whole
from vercel_sql.cli.history.target import Target

_NEXT = f"SELECT coalesce(max(run_id), 0) + 1 FROM {CATALOG}.runs"
_LISTING = "__listing"
# For how many seconds what is far away may be silent.
_LOOKED_AT, _WRITTEN = 60.0, 600.0
_NOTHING = "no snapshot was added to"
_UNKNOWN = "it is not known whether a snapshot was added to"


def check_target(target: Target) -> None:
    """Finds out, before the first request, whether a run can be appended."""
    with target.waited_for(_LOOKED_AT, _NOTHING), target.looked_at() as con:
        if con is not None:
            check(con)
            if target.is_file:
                read_whole(con)


def append(target: Target, listing: Listing) -> int:
    """Appends a run and gives its number; on any error the history is as it was."""
    with target.waited_for(_WRITTEN, _UNKNOWN), target.written() as con, _transaction(con):
        prepare(con)
        ((run_id,),) = con.execute(_NEXT).fetchall()
        _insert_run(con, run_id, listing)
        _insert_tokens(con, run_id, listing)
    return int(run_id)


def _insert_run(con: duckdb.DuckDBPyConnection, run_id: int, listing: Listing) -> None:
    values = {
        "run_id": run_id,
        "taken_at": listing.taken_at,
        "account_id": listing.account_id,
        "account": listing.account,
        "api_url": listing.api_url,
        "column_names": json.dumps(listing.tokens.column_names),
        "token_count": listing.tokens.num_rows,
        "request_count": listing.request_count,
        "tool_version": __version__,
        "schema_version": VERSION,
    }
    columns = ", ".join(f"${name} AS {name}" for name in values)
    con.execute(f"INSERT INTO {CATALOG}.runs BY NAME SELECT {columns}", values)


def _insert_tokens(con: duckdb.DuckDBPyConnection, run_id: int, listing: Listing) -> None:
    con.register(_LISTING, listing.tokens)
    con.execute(
        f"INSERT INTO {CATALOG}.tokens BY NAME SELECT $run_id AS run_id, * FROM {_LISTING}",
        {"run_id": run_id},
    )


@contextmanager
def _transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    con.execute("BEGIN")
    try:
        yield
    except BaseException:
        with suppress(duckdb.Error):  # closing the connection rolls back as well
            con.execute("ROLLBACK")
        raise
    _commit(con)


def _commit(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("COMMIT")
