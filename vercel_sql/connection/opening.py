"""`connect`: opens DuckDB and puts an account of Vercel's into it."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

import duckdb

from vercel_sql.connection.account import Account
from vercel_sql.connection.connection import Connection
from vercel_sql.connection.live_catalog import shared_attachment
from vercel_sql.connection.translate import translated
from vercel_sql.errors import ParameterError
from vercel_sql.http.connections import MOST_CONNECTIONS
from vercel_sql.ledger.audit_log import chosen_log
from vercel_sql.ledger.secrets_file import SecretsFile
from vercel_sql.manifest import vercel
from vercel_sql.runtime.scope import checked_seconds
from vercel_sql.writes.policy import OnOrphan, WritePolicy, checked_on_orphan


def connect(
    token: str | None = None,
    *,
    api_url: str | None = None,
    oauth_url: str | None = None,
    marketplace_url: str | None = None,
    database: str | PathLike[str] = ":memory:",
    database_read_only: bool = False,
    config: Mapping[str, str | int | float | list[str]] | None = None,
    name: str = "vercel",
    token_file: str | PathLike[str] | None = None,
    read_only: bool = False,
    secrets_file: str | PathLike[str] | None = None,
    on_orphan: OnOrphan = "report",
    mark_names: bool = False,
    audit_log: str | PathLike[str] | None = None,
    expect_rows: int | None = None,
    max_writes: int | None = 100,
    parallel_deletes: int = 8,
    timeout: float | None = None,
    max_wait: float | None = None,
    request_timeout: float = 30.0,
    attempts: int = 5,
    strict: bool = False,
) -> Connection:
    """Opens DuckDB with the tables and functions of a Vercel account in the catalog ``vercel``.

    Args:
        token: a Vercel token; without it ``token_file`` is read, else ``VERCEL_TOKEN`` looked
            up, else the login that ``vercel-sql login`` saved for this API is used, else that of
            Vercel's own command line. With none of them, what needs no token still works.
        api_url: the base URL of the API; without it, ``VERCEL_API_URL``, else Vercel's.
        oauth_url: the base URL of the authorization server; without it, ``VERCEL_OAUTH_URL``,
            else Vercel's.
        marketplace_url: the base URL of the issuer of SSO ID tokens; without it,
            ``VERCEL_MARKETPLACE_URL``, else Vercel's.
        database: the DuckDB database, a file or in memory.
        database_read_only: open that file to read it only, as other processes may do meanwhile.
        config: DuckDB's settings, as for ``duckdb.connect``.
        name: the name of the catalog, where the database has a schema ``vercel`` of its own.
        token_file: a file that holds a token and nothing else.
        read_only: refuse everything that changes something at Vercel.
        secrets_file: where every secret that is shown once is saved before its row is given, as
            a line of JSON in a file of mode 0600.
        on_orphan: what to do about a token that a create may have made whose answer was lost:
            ``report`` names it in the error, ``revoke`` also revokes it, but only where it is
            proven whose it is.
        mark_names: whether the names of new tokens end with a random mark: that proof.
        audit_log: where every write is noted, as a line of JSON without any secret; without it,
            in the file that ``VERCEL_SQL_AUDIT_LOG`` names, if it does.
        expect_rows: the number of rows that every write must change, else it is an error.
        max_writes: how many writes a statement may send at most; one that would send more is
            refused before the first. None does not limit it. ``executemany`` counts as one.
        parallel_deletes: how many rows a DELETE takes away at a time, 1 to 16.
        timeout: how many seconds a statement may take altogether, until its last row was read;
            None does not limit it.
        max_wait: how many seconds of that a statement may wait for rate limits. A write that would
            surely wait longer is refused before its first request, and any other stops where it
            would have to. None does not limit it.
        request_timeout: seconds for connecting, and for each wait for bytes.
        attempts: how often a request that may be sent again is sent at most.
        strict: whether a value of a row that can't be decoded exactly is a `DataError`. Else it is
            NULL, ``additional_fields`` has what was sent, and a `DataWarning` names row and column.

    Raises:
        ParameterError: the token, the URL or another value is not acceptable.
        OperationalError: the database, the secrets file or the audit log can't be opened.
    """
    _check_counts(max_writes, parallel_deletes)
    if timeout is not None:
        checked_seconds("timeout", timeout)
    on_orphan = checked_on_orphan(on_orphan)
    account = Account(
        token,
        {"api": api_url, "oauth": oauth_url, "marketplace": marketplace_url},
        chosen_log(audit_log),
        read_only,
        max_wait,
        request_timeout,
        strict,
        token_file,
        attempts,
    )
    saved = SecretsFile(secrets_file) if secrets_file is not None else None
    client = account.client()
    with translated([]):
        con = duckdb.connect(str(database), database_read_only, dict(config or {}))
        try:
            match_versions(con)
            native, attachment = shared_attachment(con, name, client, vercel())
            _turn_bar_off(native)
            _name_time_zone(native)
        except BaseException:
            con.close()
            raise
    return Connection(
        native,
        attachment,
        expect_rows=expect_rows,
        max_writes=max_writes,
        parallel_deletes=parallel_deletes,
        timeout=timeout,
        max_wait=max_wait,
        keeping=WritePolicy(saved, on_orphan, mark_names),
    )


def _check_counts(max_writes: int | None, parallel_deletes: int) -> None:
    if max_writes is not None and max_writes < 0:
        raise ParameterError("max_writes is a number from 0 on, or None for no limit")
    if not 1 <= parallel_deletes <= MOST_CONNECTIONS:
        raise ParameterError(f"parallel_deletes is a number from 1 to {MOST_CONNECTIONS}")


def _turn_bar_off(native: duckdb.DuckDBPyConnection) -> None:
    """DuckDB's own progress bar goes to standard output, among the data.

    In Jupyter without ipywidgets there is none, and DuckDB refuses even to turn it off.
    """
    try:
        native.execute("SET enable_progress_bar = false")
    except duckdb.InvalidInputException:
        if native.execute("SELECT current_setting('enable_progress_bar')").fetchall() != [(False,)]:
            raise


def _name_time_zone(native: duckdb.DuckDBPyConnection) -> None:
    """Has times be in UTC where ``TZ`` is empty or names nothing that ICU knows.

    ICU calls that zone Etc/Unknown, of which Python has none.
    """
    ((zone,),) = native.execute("SELECT current_setting('TimeZone')").fetchall()
    if zone == "Etc/Unknown":
        native.execute("SET TimeZone = 'UTC'")


def match_versions(native: duckdb.DuckDBPyConnection) -> None:
    """DuckDB 1.5 hands the result of a subquery to a scan as if it were a literal.

    That would let ``tokenId = (SELECT 'current')`` mean the calling token, which only a literal
    or parameter may; 2.0 does not do it.
    """
    if duckdb.__version__.startswith("1."):
        query = "SELECT current_setting('disabled_optimizers')"
        ((others,),) = native.execute(query).fetchall()
        names = {*filter(None, others.split(",")), "join_filter_pushdown"}
        native.execute(f"SET disabled_optimizers = '{','.join(sorted(names))}'")
