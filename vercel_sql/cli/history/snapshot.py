"""``vercel-sql snapshot``: appends all tokens of the account to a history, as one run."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import pyarrow as pa

from vercel_sql import Connection
from vercel_sql._version import __version__
from vercel_sql.catalog.ddl import quoted
from vercel_sql.cli import FINE
from vercel_sql.cli.accounts import guarded, opened
from vercel_sql.cli.history.target import CATALOG, Target, in_turn
from vercel_sql.cli.terminal import counted, watched
from vercel_sql.errors import DataError, Error, OperationalError
from vercel_sql.manifest import vercel
from vercel_sql.progress import progress
from vercel_sql.runtime.signals import Interrupts
from vercel_sql.text import complain, say

VERSION = 1
"""`runs.schema_version`: unchanged by new columns, raised if the meaning of one changes."""
IS_CURRENT = "is_current"

# Only these, and no keys, constraints, sequences or indexes: not every database that DuckDB can
# attach has them. Nested values are JSON text, so that the API may add to them.
_PLAIN = ("VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN")
_RUNS = {
    "run_id": "BIGINT",
    "taken_at": "TIMESTAMP WITH TIME ZONE",
    "account_id": "VARCHAR",
    "account": "VARCHAR",
    "api_url": "VARCHAR",
    "column_names": "VARCHAR",  # that the run knew; the table may have newer ones
    "token_count": "BIGINT",
    "request_count": "BIGINT",
    "tool_version": "VARCHAR",
    "schema_version": "INTEGER",
}
# A table of that name without these columns is somebody else's.
_REQUIRED = {
    "runs": ("run_id", "taken_at", "account_id", "schema_version"),
    "tokens": ("run_id", "id"),
}
# How many seconds a remote database may take.
_CHECK_SECONDS, _WRITE_SECONDS = 60.0, 600.0


@dataclass(frozen=True)
class Listing:
    """All tokens of an account at one time.

    Attributes:
        taken_at: when reading began, in UTC, by the server's clock if this one is wrong.
        account_id: the id of the tokens' owner.
        account: the owner's name.
        api_url: the base URL of the API.
        request_count: the number of requests, repeated ones included.
        tokens: a row per token, with `stored_columns` and `IS_CURRENT`.
    """

    taken_at: datetime
    account_id: str
    account: str
    api_url: str
    request_count: int
    tokens: pa.Table


def stored_columns() -> dict[str, tuple[str, str]]:
    """The columns of the live table that the API returns: each one's type here, and its SQL."""
    return {
        column.name: (column.type, quoted(column.name))
        if column.type in _PLAIN
        else ("VARCHAR", f"to_json({quoted(column.name)})::VARCHAR")
        for column in vercel().tokens().columns
        if column.source in ("field", "rest")
    }


def check_target(target: Target) -> None:
    """Find out, before the first request, whether a run can be appended."""
    with target.waited_for(_CHECK_SECONDS, "no snapshot was added to"), target.read() as con:
        if con is None:
            return
        _check(con)
        for table in _REQUIRED if target.is_file else ():
            # Nothing is added to a damaged file, so all of it is read.
            if _names(con, table):
                whole = f"SELECT bit_xor(hash(whole)) FROM {CATALOG}.{table} AS whole"
                con.execute(whole).fetchall()


def append(target: Target, listing: Listing) -> int:
    """Append a run, and return its number; after an error the history is as it was."""
    unknown = "it is not known whether a snapshot was added to"
    with (
        target.waited_for(_WRITE_SECONDS, unknown),
        target.written() as con,
        _transaction(con),
    ):
        prepare(con)
        next_id = f"SELECT coalesce(max(run_id), 0) + 1 FROM {CATALOG}.runs"
        ((run_id,),) = con.execute(next_id).fetchall()
        _insert_run(con, run_id, listing)
        _insert_tokens(con, run_id, listing)
    return int(run_id)


def prepare(con: duckdb.DuckDBPyConnection) -> None:
    """Create the tables, or add the columns of a newer manifest."""
    stored = {name: kind for name, (kind, _) in stored_columns().items()}
    tables = {"runs": _RUNS, "tokens": {"run_id": "BIGINT", **stored, IS_CURRENT: "BOOLEAN"}}
    for table, columns in tables.items():
        declared = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
        con.execute(f"CREATE TABLE IF NOT EXISTS {CATALOG}.{table} ({declared})")
    _check(con)
    for table, columns in tables.items():
        present = _names(con, table)
        for name, kind in columns.items():
            if name.casefold() not in present:
                con.execute(f"ALTER TABLE {CATALOG}.{table} ADD COLUMN {quoted(name)} {kind}")


def _check(con: duckdb.DuckDBPyConnection) -> None:
    """Refuse what is neither empty nor a history that this version can append to."""
    names = {table: _names(con, table) for table in _REQUIRED}
    if not any(names.values()):
        return
    for table, columns in _REQUIRED.items():
        missing = [column for column in columns if column not in names[table]]
        if missing:
            raise OperationalError(
                f"it is not a history: it has other tables called runs or tokens ({table} has no "
                f"{missing[0]}); choose another file"
            )
    ((newest,),) = con.execute(f"SELECT max(schema_version) FROM {CATALOG}.runs").fetchall()
    if newest is not None and newest > VERSION:
        raise OperationalError("a newer vercel-sql has written to it; update this one")


def _names(con: duckdb.DuckDBPyConnection, table: str) -> set[str]:
    """The columns of a table in lower case; empty if there is no such table."""
    found = con.execute(
        "SELECT lower(column_name) FROM duckdb_columns() "
        "WHERE database_name = $1 AND table_name = $2 "
        "AND schema_name IN ('main', 'public')",
        [CATALOG, table],
    )
    return {name for (name,) in found.fetchall()}


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
    con.register("__listing", listing.tokens)
    con.execute(
        f"INSERT INTO {CATALOG}.tokens BY NAME SELECT $run_id AS run_id, * FROM __listing",
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


def run(arguments: argparse.Namespace, _parser: argparse.ArgumentParser) -> int:
    """Run the command, and return its exit code."""
    return guarded(lambda: _snapshot(arguments))


def _snapshot(arguments: argparse.Namespace) -> int:
    target = Target(arguments.to)
    with Interrupts(lambda: None, [signal.SIGINT], leaves=1).listening():
        in_turn(lambda: check_target(target))
    with opened(arguments, read_only=True) as connection:
        interrupts = Interrupts(connection.interrupt, leaves=1)

        def write() -> None:
            if interrupts.came:
                raise KeyboardInterrupt
            # Whatever is written is also reported.
            with interrupts.held_back():
                run_id = append(target, listing)
                if not arguments.quiet:
                    say(_summary(run_id, listing))

        try:
            with interrupts.listening():
                with progress(connection, None if arguments.verbose else watched()):
                    listing = read_listing(connection)
                in_turn(write)
        except (KeyboardInterrupt, Error):
            # DuckDB has its own message for being stopped.
            if not interrupts.came:
                raise
            complain("interrupted")
            return interrupts.exit_code
    return FINE


def read_listing(connection: Connection) -> Listing:
    """Request the user and all tokens; part of a listing is never returned."""
    requests: list[str] = []
    provider, resource = vercel().provider, vercel().tokens()
    table, own = f"{provider.name}.{resource.full_name}", resource.self_reference
    assert own is not None  # noqa: S101 - tokens have one
    with connection.observed(lambda event: requests.append(event.path)):
        query = provider.roles["user"].query(provider.name)
        [user] = connection.execute(query).arrow().to_pylist()
        taken_at = datetime.fromtimestamp(connection.client.clock("api").now_ms() / 1000, UTC)
        if user["id"] is None:
            raise DataError("no snapshot was taken: the owner of the tokens can't be read")
        query = f"SELECT {resource.key} FROM {table} WHERE {own.condition}"
        current = connection.execute(query).arrow().column(0).to_pylist()
        columns = ", ".join(
            f"{sql} AS {quoted(name)}" for name, (_, sql) in stored_columns().items()
        )
        tokens = connection.execute(f"SELECT {columns} FROM {table}").arrow()
    ids = tokens.column(resource.key).to_pylist()
    is_current = pa.array([None if i is None else i in current for i in ids], pa.bool_())
    return Listing(
        taken_at,
        user["id"],
        user["username"] or user["email"] or user["name"] or user["id"],
        connection.client.urls["api"],
        len(requests),
        tokens.append_column(IS_CURRENT, is_current),
    )


def _summary(run_id: int, listing: Listing) -> str:
    tokens = counted(listing.tokens.num_rows, "token")
    return (
        f"run {run_id}: {tokens} of {listing.account}, {counted(listing.request_count, 'request')}"
    )
