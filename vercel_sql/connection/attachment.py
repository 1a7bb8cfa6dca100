"""Puts the live tables and functions into a DuckDB connection that the caller has."""

from __future__ import annotations

import atexit
import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from os import PathLike

import duckdb

from vercel_sql.connection.account import Account
from vercel_sql.connection.live_catalog import Attachment, joining, key_of, make_attachment
from vercel_sql.errors import InterfaceError, ParameterError
from vercel_sql.http.client import Client
from vercel_sql.ledger.audit_log import chosen_log
from vercel_sql.ledger.secrets_file import SecretsFile
from vercel_sql.manifest import Manifest, vercel
from vercel_sql.sql.queries import in_transaction
from vercel_sql.writes.policy import OnOrphan, WriteBudgets, WritePolicy, checked_on_orphan

_Terms = Mapping[str, object]
_attached: dict[str, tuple[Attachment, _Terms]] = {}
"""What `attach` has made, by the key that stands in each catalog, and on which terms."""


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
    account = Account(
        token,
        {"api": api_url, "oauth": oauth_url, "marketplace": marketplace_url},
        chosen_log(audit_log),
        not writes,
        max_wait,
        request_timeout,
        strict,
    )
    saved = SecretsFile(secrets_file) if writes and secrets_file is not None else None
    keeping = WritePolicy(saved, checked_on_orphan(on_orphan), mark_names)
    manifest = vercel()
    client = account.client()
    wanted = _known_services(manifest, services)
    terms = {
        "token": _identity(client),
        **{f"{name}_url": url for name, url in client.urls.items()},
        "writes": writes,
        "secrets_file": saved and saved.path,
        "on_orphan": on_orphan,
        "mark_names": mark_names,
        "audit_log": account.audit_log and account.audit_log.path,
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
        attachment = make_attachment(con, name, client, manifest, keeping, WriteBudgets(max_writes))
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
    """What was attached to the database under a name, on the same terms; None where nothing was."""
    attachment, before = _attached.get(key_of(con, name) or "", (None, terms))
    if attachment is None:
        return None
    others = [each for each, value in terms.items() if value != before[each]]
    if others:
        raise InterfaceError(
            f"{name} is attached to this database already, with another value of "
            f"{' and '.join(others)}: detach() it first, or attach() with another name="
        )
    attachment.live.come_to(con)
    return attachment


def _refuse_transaction(con: duckdb.DuckDBPyConnection, what: str) -> None:
    """Stops what DuckDB would end the user's transaction for."""
    if in_transaction(con):
        raise InterfaceError(f"{what} can't run inside BEGIN … COMMIT: COMMIT or ROLLBACK first")


def _identity(client: Client) -> str | None:
    """What tells a credential from others; None for the saved login of the same API."""
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
    """Takes the tables and functions of `attach` out of a connection again.

    Raises:
        InterfaceError: nothing of that name was attached to it, or it is in a transaction.
    """
    with joining:
        key = key_of(con, name) or ""
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
