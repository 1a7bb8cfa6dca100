"""``vercel-sql snapshot``: appends all tokens of the account to a history, as one run."""

from __future__ import annotations

import argparse
import signal
from datetime import UTC, datetime

import pyarrow as pa

from vercel_sql import Connection
from vercel_sql.cli import FINE
from vercel_sql.cli.accounts import guarded, opened
from vercel_sql.cli.history.store import IS_CURRENT, Listing, append, check_target, stored_columns
from vercel_sql.cli.history.target import Target, in_turn
from vercel_sql.cli.terminal import counted, watched
from vercel_sql.errors import DataError, Error
from vercel_sql.interrupts import Interrupts
from vercel_sql.messages import complain, say
from vercel_sql.progress import progress

_USER = "SELECT id, username, email, name FROM vercel.user.user"
_CURRENT = "SELECT id FROM vercel.authentication.user_tokens WHERE tokenId = 'current'"
_TOKENS = "SELECT {columns} FROM vercel.authentication.user_tokens"


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
    with connection.observed(lambda event: requests.append(event.path)):
        [user] = connection.execute(_USER).arrow().to_pylist()
        taken_at = datetime.fromtimestamp(connection.client.clock("api").now_ms() / 1000, UTC)
        if user["id"] is None:
            raise DataError("no snapshot was taken: the owner of the tokens can't be read")
        current = connection.execute(_CURRENT).arrow().column("id").to_pylist()
        columns = ", ".join(f"{each.expression} AS {each.quoted}" for each in stored_columns())
        tokens = connection.execute(_TOKENS.format(columns=columns)).arrow()
    ids = tokens.column("id").to_pylist()
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
