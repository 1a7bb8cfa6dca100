"""The options of everything that runs statements, and the connection that they ask for."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vercel_sql import Connection


def opened(arguments: argparse.Namespace, token: str | None = None) -> Connection:
    """The connection that the options ask for."""
    # Imported here: the help of the command does not wait for DuckDB.
    from vercel_sql import connect

    return connect(
        token,
        api_url=arguments.api_url,
        oauth_url=arguments.oauth_url,
        marketplace_url=arguments.marketplace_url,
        database=arguments.database,
        token_file=arguments.token_file,
        read_only=arguments.read_only,
        secrets_file=arguments.save_secrets,
        on_orphan=arguments.on_orphan,
        mark_names=arguments.mark_names,
        audit_log=arguments.audit_log,
        expect_rows=arguments.expect_rows,
        max_writes=arguments.max_writes,
        parallel_deletes=arguments.parallel_deletes,
        timeout=arguments.timeout,
        max_wait=arguments.max_wait,
        request_timeout=arguments.request_timeout,
        strict=arguments.strict,
    )


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which account and which database are meant."""
    add_account(parser)
    parser.add_argument(
        "--database",
        metavar="FILE",
        default=":memory:",
        help="a DuckDB database to work in (in memory)",
    )


def add_account(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which account of which API is meant."""
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="a file that holds the Vercel token; without it, VERCEL_TOKEN or a login is used",
    )
    add_strict(parser)
    add_servers(parser)


def add_strict(parser: argparse.ArgumentParser) -> None:
    """Adds the option that says what becomes of values that can't be read."""
    parser.add_argument(
        "--strict",
        action="store_true",
        help="fail where a value of a row can't be read exactly, in place of NULL and a warning",
    )


def add_servers(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which servers are meant, and how long to wait for them."""
    add = parser.add_argument
    add(
        "--api-url",
        metavar="URL",
        help="the API's base URL; without it, VERCEL_API_URL, else Vercel's own",
    )
    add(
        "--oauth-url",
        metavar="URL",
        help="the authorization server's base URL; without it, VERCEL_OAUTH_URL, else Vercel's own",
    )
    add(
        "--marketplace-url",
        metavar="URL",
        help="the base URL of the issuer of SSO ID tokens; without it, VERCEL_MARKETPLACE_URL, "
        "else Vercel's own",
    )
    add(
        "--request-timeout",
        type=seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for a connection, and for each piece of an answer (30)",
    )


def add_parameters(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds the option that gives values to placeholders or parameters."""
    parser.add_argument(
        "--param",
        dest="parameters",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help=f"{what}; NAME=@FILE reads it from a file, so that a secret need not stand in the "
        "process list; NAME=@@VALUE is a value that begins with @",
    )


def add_guards(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say what statements may do, and what becomes of secrets."""
    add = parser.add_argument
    add(
        "--expect-rows",
        type=_count,
        metavar="N",
        help="fail where an INSERT, DELETE or writing EXEC changes another number of rows",
    )
    add_max_writes(parser)
    add(
        "--parallel-deletes",
        type=_parallel,
        default=8,
        metavar="N",
        help="how many rows a DELETE takes away at a time, 1 to 16 (8)",
    )
    add_timeout(parser)
    add(
        "--save-secrets",
        metavar="FILE",
        help="append every secret that is shown once to a file of mode 0600, before it is shown",
    )
    add_on_orphan(parser)
    add("--read-only", action="store_true", help="refuse everything that changes something")


def add_on_orphan(parser: argparse.ArgumentParser) -> None:
    """Adds the options about a token whose secret was lost on its way here."""
    parser.add_argument(
        "--on-orphan",
        choices=("report", "revoke"),
        default="report",
        help="what to do about a token that a create may have made whose answer was lost: name it "
        "in the error (report), or also revoke it where it is proven to be yours (revoke)",
    )
    parser.add_argument(
        "--mark-names",
        action="store_true",
        help="end the name of each new token with a random mark: it proves that a token is yours, "
        "so that one whose secret was lost can be revoked",
    )


def add_logging(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say where the log goes, and the audit log."""
    add = parser.add_argument
    add("-v", "--verbose", action="store_true", help="log each request to standard error")
    add(
        "--log-file",
        metavar="FILE",
        help="append the whole log to a file of mode 0600: requests, waits, warnings; no secrets",
    )
    add(
        "--audit-log",
        metavar="FILE",
        help="append a line of JSON for each write, without secrets, to a file of mode 0600; "
        "without it, to the one that VERCEL_SQL_AUDIT_LOG names",
    )


def guard_defaults() -> dict[str, Any]:
    """What the options of `add_guards` are where nobody gives them."""
    parser = argparse.ArgumentParser()
    add_guards(parser)
    return vars(parser.parse_args([]))


def add_max_writes(parser: argparse.ArgumentParser) -> None:
    """Adds the option that says how many writes a statement may send."""
    parser.add_argument(
        "--max-writes",
        type=_count,
        default=100,
        metavar="N",
        help="refuse a statement that would send more writes, before its first (100)",
    )


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """Adds the option that says how long a statement may take."""
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="how long a statement may take altogether",
    )
    add_max_wait(parser)


def add_max_wait(parser: argparse.ArgumentParser) -> None:
    """Adds the option that says how long a statement may wait for rate limits."""
    parser.add_argument(
        "--max-wait",
        type=lambda text: 0.0 if text == "0" else seconds(text),
        metavar="SECONDS",
        help="how long a statement may wait for rate limits; a write that would wait longer is "
        "refused before its first request (as long as it takes)",
    )


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text} is no whole number, 0 or more")
    return int(text)


def _parallel(text: str) -> int:
    from vercel_sql.api import MOST_CONNECTIONS

    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_CONNECTIONS):
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 to {MOST_CONNECTIONS}")
    return int(text)


def seconds(text: str, most: float = math.inf) -> float:
    """A number of seconds above 0, for an option."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= most or value == math.inf:
        allowed = "above 0" if most == math.inf else f"from 0 to {most:g}"
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds {allowed}")
    return value
