"""`connect` opens DuckDB with an account of Vercel's in it; `attach` puts one into the caller's."""

from __future__ import annotations

import atexit
import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import duckdb

from vercel_sql.connection.connection import Connection
from vercel_sql.connection.live_catalog import (
    Attachment,
    joining,
    key_and_taken,
    make_attachment,
    shared_attachment,
)
from vercel_sql.connection.translate import translated
from vercel_sql.errors import InterfaceError, ParameterError
from vercel_sql.runtime.scope import checked_seconds
from vercel_sql.sql.queries import in_transaction
from vercel_sql.writes.policy import OnOrphan, WriteBudgets, WritePolicy, checked_on_orphan

if TYPE_CHECKING:
    from os import PathLike

    from vercel_sql.http.client import Client
    from vercel_sql.manifest import Manifest

_MOST_PARALLEL = 16
"""How many rows a DELETE may take away at a time: a client has so many connections."""


def make_client(
    token: str | None,
    urls: Mapping[str, str | None],
    *,
    token_file: str | PathLike[str] | None = None,
    audit_log: str | PathLike[str] | None,
    request_timeout: float,
    max_wait: float | None,
    strict: bool,
    read_only: bool,
    attempts: int = 5,
) -> Client:
    """A client of the account that these options of `connect` name; empty URLs don't count."""
    # Imported here: a statement that names no Vercel table needs none of it.
    from vercel_sql.auth import find_credential
    from vercel_sql.http.client import Client
    from vercel_sql.ledger.audit_log import chosen_log
    from vercel_sql.manifest import vercel

    checked_seconds("request_timeout", request_timeout)
    if max_wait is not None:
        checked_seconds("max_wait", max_wait, zero=True)
    provider = vercel().provider
    given = {name: url for name, url in urls.items() if url}
    log = chosen_log(audit_log)
    credential = find_credential(
        provider, token, token_file, urls=given, request_timeout=request_timeout, audit_log=log
    )
    client = Client(
        provider,
        credential,
        urls=given,
        read_only=read_only,
        request_timeout=request_timeout,
        attempts=attempts,
        max_wait=max_wait,
        audit_log=log,
    )
    client.doubts.strict = strict
    return client


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
    _client_later: bool = False,
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
    policy = _policy(secrets_file, on_orphan, mark_names)
    make = partial(
        make_client,
        token,
        {"api": api_url, "oauth": oauth_url, "marketplace": marketplace_url},
        token_file=token_file,
        audit_log=audit_log,
        request_timeout=request_timeout,
        max_wait=max_wait,
        strict=strict,
        read_only=read_only,
        attempts=attempts,
    )
    # What the command line runs may need no client, which takes time to load.
    client = make if _client_later else make()
    with translated([]):
        con = duckdb.connect(str(database), database_read_only, dict(config or {}))
        try:
            match_versions(con)
            is_new = str(database) == ":memory:"
            native, attachment = shared_attachment(con, name, client, is_new=is_new)
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
        policy=policy,
    )


def _policy(
    secrets_file: str | PathLike[str] | None, on_orphan: str, mark_names: bool
) -> WritePolicy:
    checked = checked_on_orphan(on_orphan)
    if secrets_file is None:
        return WritePolicy(None, checked, mark_names)
    from vercel_sql.ledger.secrets_file import SecretsFile

    return WritePolicy(SecretsFile(secrets_file), checked, mark_names)


def _check_counts(max_writes: int | None, parallel_deletes: int) -> None:
    if max_writes is not None and max_writes < 0:
        raise ParameterError("max_writes must be an integer ≥ 0, or None for no limit")
    if not 1 <= parallel_deletes <= _MOST_PARALLEL:
        raise ParameterError(f"parallel_deletes must be from 1 to {_MOST_PARALLEL}")


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
    """Uses UTC if ``TZ`` is empty or unknown to ICU.

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


_Terms = Mapping[str, object]
_attached: dict[str, tuple[Attachment, _Terms]] = {}
"""The attachments of `attach` and their options, by the key in each catalog."""


def attach(
    con: duckdb.DuckDBPyConnection,
    token: str | None = None,
    *,
    api_url: str | None = None,
    oauth_url: str | None = None,
    marketplace_url: str | None = None,
    name: str = "vercel",
    services: Iterable[str] | None = None,
    writes: bool = False,
    secrets_file: str | PathLike[str] | None = None,
    on_orphan: OnOrphan = "report",
    mark_names: bool = False,
    audit_log: str | PathLike[str] | None = None,
    max_writes: int | None = 100,
    max_wait: float | None = None,
    request_timeout: float = 30.0,
    strict: bool = False,
) -> Attachment:
    """Makes ``vercel.authentication.user_tokens`` and the rest known to a DuckDB connection.

    Plain ``con.sql("SELECT … FROM vercel.authentication.user_tokens")`` works from then on, in
    any tool that uses the connection, its cursors included, and on every other connection of the
    same database. Attaching again, there or here, gives what is attached already.

    A ``COPY … TO`` on it is DuckDB's alone: with 1.5, one whose listing fails leaves a short file.
    Make a table first (``CREATE TEMP TABLE … AS``), which is whole or not there, and copy that.

    Args:
        con: any DuckDB connection; its database may be read-only.
        token: a Vercel token; without it, ``VERCEL_TOKEN`` is looked up, else the login that
            ``vercel-sql login`` saved for this API is used, else that of Vercel's own command
            line.
        api_url: the base URL of the API; without it, ``VERCEL_API_URL``, else Vercel's.
        oauth_url: the base URL of the authorization server; without it, ``VERCEL_OAUTH_URL``,
            else Vercel's.
        marketplace_url: the base URL of the issuer of SSO ID tokens; without it,
            ``VERCEL_MARKETPLACE_URL``, else Vercel's.
        name: the name of the catalog, to have several accounts side by side.
        services: the services whose tables are made; all where it is None.
        writes: also make the functions that change something. Each takes a ``request_id``, since
            DuckDB may call a function more than once: the same id never acts twice.
        secrets_file: where every secret that such a function makes is saved first, as a line of
            JSON in a file of mode 0600. Required with ``writes``.
        on_orphan: what to do about a token that a create may have made whose answer was lost,
            as for `connect`.
        mark_names: whether the names of new tokens end with a random mark, as for `connect`.
        audit_log: where every write is noted, as a line of JSON without any secret; without it,
            in the file that ``VERCEL_SQL_AUDIT_LOG`` names, if it does.
        max_writes: how many writes these functions may send in one statement of DuckDB's, which
            comes to them call by call: it stops there. None does not limit it.
        max_wait: how many seconds each request may wait for a rate limit; what would wait longer is
            an error at once. None does not limit it.
        request_timeout: seconds for connecting, and for each wait for bytes.
        strict: whether a value of a row that can't be decoded exactly is an error, as for
            `connect`.

    Raises:
        ParameterError: an argument is not acceptable, or ``writes`` lacks a ``secrets_file``.
        InterfaceError: the database has another catalog or schema of that name, or was attached
            with another token or other options; or the connection is closed, or in a transaction.
        OperationalError: the secrets file or the audit log can't be used.
    """
    if writes and secrets_file is None:
        raise ParameterError(
            "attach(writes=True) needs secrets_file=…: DuckDB may drop a function's result, "
            "and a new token's secret is shown only once"
        )
    from vercel_sql.manifest import vercel

    policy = _policy(secrets_file if writes else None, on_orphan, mark_names)
    client = make_client(
        token,
        {"api": api_url, "oauth": oauth_url, "marketplace": marketplace_url},
        audit_log=audit_log,
        request_timeout=request_timeout,
        max_wait=max_wait,
        strict=strict,
        read_only=not writes,
    )
    wanted = _known_services(vercel(), services)
    terms = {
        "token": _identity(client),
        **{f"{name}_url": url for name, url in client.urls.items()},
        "writes": writes,
        "secrets_file": policy.secrets_file and policy.secrets_file.path,
        "on_orphan": on_orphan,
        "mark_names": mark_names,
        "audit_log": client.auditor and client.auditor.log.path,
        "max_writes": max_writes,
        "max_wait": max_wait,
        "request_timeout": request_timeout,
        "strict": strict,
    }
    with joining:
        attachment = _attached_before(con, name, terms)
        if attachment is not None:
            client.close()
            if {*wanted} & {*attachment.missing}:
                _refuse_transaction(attachment.con, "attach()")
            attachment.add(wanted)
            return attachment
        _refuse_transaction(con, "attach()")
        attachment = make_attachment(con, name, client, policy, WriteBudgets(max_writes))
        try:
            attachment.add(wanted)
        except BaseException:
            attachment.remove()
            raise
        key = attachment.live.key
        _attached[key] = attachment, terms
        attachment.live.sources.on_end = partial(_attached.pop, key, None)
        return attachment


def _attached_before(con: duckdb.DuckDBPyConnection, name: str, terms: _Terms) -> Attachment | None:
    """The attachment under that name with the same options, if the database has one."""
    attachment, before = _attached.get(key_and_taken(con, name)[0] or "", (None, terms))
    if attachment is None:
        return None
    others = [each for each, value in terms.items() if value != before[each]]
    if others:
        raise InterfaceError(
            f"{name} is already attached to this database with another value of "
            f"{' and '.join(others)}: detach() it first, or attach() with another name="
        )
    attachment.live.come_to(con)
    return attachment


def _refuse_transaction(con: duckdb.DuckDBPyConnection, what: str) -> None:
    """Refuses what would make DuckDB end the user's transaction."""
    if in_transaction(con):
        raise InterfaceError(f"{what} can't run inside BEGIN … COMMIT: COMMIT or ROLLBACK first")


def _identity(client: Client) -> str | None:
    """A digest that identifies a credential; None for the saved login of the same API."""
    credential = client.credential
    if credential.fixed_at is None:
        return None
    return hashlib.sha256(f"{credential.token} {credential.team_id}".encode()).hexdigest()


def _known_services(manifest: Manifest, services: Iterable[str] | None) -> list[str]:
    if services is None:
        return manifest.service_names
    wanted = list(services)
    known = {name.casefold() for name in manifest.service_names}
    for name in wanted:
        if name.casefold() not in known:
            there = ", ".join(manifest.service_names)
            raise ParameterError(f"there is no service {name!r}; there are {there}")
    return wanted


def detach(con: duckdb.DuckDBPyConnection, name: str = "vercel") -> None:
    """Removes the tables and functions of `attach` from a connection.

    Raises:
        InterfaceError: nothing of that name is attached to it, or it is in a transaction.
    """
    with joining:
        key = key_and_taken(con, name)[0] or ""
        if key not in _attached:
            raise InterfaceError(f"nothing called {name} was attached to this connection")
        _refuse_transaction(con, "detach()")
        _attached[key][0].remove(con)
        _attached.pop(key, None)


@atexit.register
def _close_all() -> None:
    """Closes what is still open: DuckDB 2.0 complains on stderr about objects that outlive it."""
    for attachment, _ in list(_attached.values()):
        attachment.client.close()
        with suppress(InterfaceError):  # it is gone
            attachment.con.close()
    _attached.clear()
