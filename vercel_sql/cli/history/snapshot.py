"""``vercel-sql snapshot``: appends all tokens of the account to a history, as one run."""

from __future__ import annotations

import argparse
import signal

from vercel_sql import connect
from vercel_sql.cli.accounts import guarded
from vercel_sql.cli.exit_codes import FINE
from vercel_sql.cli.history.listing import Listing, read_listing
from vercel_sql.cli.history.store import append, check_target
from vercel_sql.cli.history.target import Target
from vercel_sql.cli.history.turns import in_turn
from vercel_sql.cli.options import add_account, add_timeout
from vercel_sql.cli.output import watched
from vercel_sql.errors import Error
from vercel_sql.interrupts import Interrupts
from vercel_sql.messages import complain, say
from vercel_sql.progress import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own options to a parser."""
    parser.add_argument(
        "--to",
        required=True,
        metavar="FILE.duckdb",
        help="the history: a file, which is made with mode 0600 where it is missing, or what else "
        "DuckDB can attach, such as ducklake:FILE.ducklake",
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing where all went well")
    add_timeout(parser)
    add_account(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command and gives its exit code."""
    return guarded(lambda: _snapshot(arguments))


def _snapshot(arguments: argparse.Namespace) -> int:
    target = Target(arguments.to)
    with Interrupts(lambda: None, [signal.SIGINT], leaves=1).listening():
        in_turn(lambda: check_target(target))
    with connect(
        api_url=arguments.api_url,
        oauth_url=arguments.oauth_url,
        token_file=arguments.token_file,
        audit_log=arguments.audit_log,
        read_only=True,
        timeout=arguments.timeout,
        max_wait=arguments.max_wait,
        request_timeout=arguments.request_timeout,
        strict=arguments.strict,
    ) as connection:
        interrupts = Interrupts(connection.interrupt, leaves=1)

        def write() -> None:
            if interrupts.came:
                raise KeyboardInterrupt
            # A run that was written is also told of.
            with interrupts.held_back():
                run_id = append(target, listing)
                if not arguments.quiet:
                    say(_told(run_id, listing))

        try:
            with interrupts.listening():
                with progress(connection, None if arguments.verbose else watched()):
                    listing = read_listing(connection)
                in_turn(write)
        except (KeyboardInterrupt, Error):
            # DuckDB has words of its own for being stopped.
            if not interrupts.came:
                raise
            complain("interrupted")
            return interrupts.exit_code
    return FINE


def _told(run_id: int, listing: Listing) -> str:
    tokens = _counted(listing.tokens.num_rows, "token")
    requests = _counted(listing.request_count, "request")
    return f"run {run_id}: {tokens} of {listing.account}, {requests}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
