"""The options that commands share, and what is made from them: connections, clients, the log."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from vercel_sql.cli import FAILED, WRONG_USE
from vercel_sql.errors import DataWarning, Error, OperationalError, ParameterError
from vercel_sql.messages import complain

if TYPE_CHECKING:
    from vercel_sql import Connection
    from vercel_sql.api import Client

_OPTIONS = {
    **{name: name for name in ("api_url", "oauth_url", "marketplace_url", "database")},
    **{name: name for name in ("token_file", "read_only", "on_orphan", "mark_names", "audit_log")},
    **{name: name for name in ("expect_rows", "max_writes", "parallel_deletes", "timeout")},
    **{name: name for name in ("max_wait", "request_timeout", "strict")},
    "secrets_file": "save_secrets",
}
"""The parameters of `connect`, and the options that give them."""

# Modules that help does not need are imported in the functions.


def opened(arguments: argparse.Namespace, token: str | None = None, **more: Any) -> Connection:
    """The connection that the options ask for; a token comes before them, and so does `more`."""
    from vercel_sql import connect

    given = vars(arguments)
    options = {name: given[option] for name, option in _OPTIONS.items() if option in given}
    return connect(token, **(options | more))


def make_client(
    arguments: argparse.Namespace, token: str | None = None, *, anonymous: bool = False, **more: Any
) -> Client:
    """The client that the options ask for; an anonymous one has no token."""
    from vercel_sql.api import Client, Credential, find_credential
    from vercel_sql.ledger.audit_log import chosen_log
    from vercel_sql.manifest import vercel

    provider = vercel().provider
    given = {name: getattr(arguments, f"{name}_url") for name in ("api", "oauth", "marketplace")}
    shared: dict[str, Any] = {
        "urls": {name: url for name, url in given.items() if url},
        "request_timeout": arguments.request_timeout,
        "audit_log": chosen_log(arguments.audit_log),
    }
    if anonymous:
        return Client(provider, Credential(None, "nowhere"), **shared, **more)
    credential = find_credential(provider, token, arguments.token_file, **shared)
    client = Client(provider, credential, **shared, **more)
    client.doubts.strict = arguments.strict
    return client


def simulated(arguments: argparse.Namespace, stack: ExitStack) -> str:
    """Simulate an account of 250 tokens until the stack is closed; returns its token."""
    from vercel_sql.simulator import Simulator

    simulator = stack.enter_context(Simulator(tokens=250, seed=7))
    arguments.api_url = arguments.oauth_url = simulator.url
    arguments.marketplace_url = simulator.marketplace_url
    return simulator.token


def guarded(run: Callable[[], int]) -> int:
    """Run a command; report its error on standard error, and return the exit code."""
    try:
        return run()
    except Error as error:
        complain(str(error))
        return WRONG_USE if isinstance(error, ParameterError) else FAILED


def logged(arguments: argparse.Namespace, run: Callable[[], int]) -> int:
    """Run a command with the log that its options ask for, and return the exit code.

    Warnings always go to standard error.
    """
    import logging
    import warnings

    from vercel_sql.logs import LogFile, heard_by, on_standard_error

    with ExitStack() as stack:
        if arguments.log_file is not None:
            try:
                file = LogFile(arguments.log_file)
            except OperationalError as error:
                complain(str(error))
                return WRONG_USE
            stack.callback(file.close)
            stack.enter_context(heard_by(file, logging.DEBUG))
        level = logging.DEBUG if arguments.verbose else None
        # What Python would show of them is in the log.
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", DataWarning)
        handler = on_standard_error(verbose=arguments.verbose)
        stack.enter_context(heard_by(handler, level))
        return run()


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the account and the database."""
    add_account(parser)
    parser.add_argument(
        "--database",
        metavar="FILE",
        default=":memory:",
        help="a DuckDB database to work in (in memory)",
    )


def add_account(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the account and the API."""
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="a file with the Vercel token; by default VERCEL_TOKEN or a login is used",
    )
    add_strict(parser)
    add_servers(parser)


def add_strict(parser: argparse.ArgumentParser) -> None:
    """Add the option for values that can't be read."""
    parser.add_argument(
        "--strict",
        action="store_true",
        help="fail if a value can't be read exactly, instead of NULL and a warning",
    )


def add_servers(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the servers, and how long to wait for them."""
    add = parser.add_argument
    for name, what in (
        ("api", "the API's base URL"),
        ("oauth", "the authorization server's base URL"),
        ("marketplace", "the base URL of the issuer of SSO ID tokens"),
    ):
        default = f"by default VERCEL_{name.upper()}_URL, else Vercel's own"
        add(f"--{name}-url", metavar="URL", help=f"{what}; {default}")
    add(
        "--request-timeout",
        type=seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for a connection, and for each part of a response (30)",
    )


def add_parameters(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option that gives values to placeholders or parameters."""
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
    """Add the options that limit statements, and those for secrets."""
    add = parser.add_argument
    add(
        "--expect-rows",
        type=integer(0),
        metavar="N",
        help="fail if an INSERT, DELETE or writing EXEC changes another number of rows",
    )
    add_max_writes(parser)
    add(
        "--parallel-deletes",
        type=_parallel,
        default=8,
        metavar="N",
        help="how many rows a DELETE removes at a time, 1 to 16 (8)",
    )
    add_timeout(parser)
    add(
        "--save-secrets",
        metavar="FILE",
        help="append every secret that is shown once to a file of mode 0600, before it is shown",
    )
    add_on_orphan(parser)
    add("--read-only", action="store_true", help="refuse everything that changes something")


def guard_defaults() -> dict[str, Any]:
    """The defaults of the options of `add_guards`."""
    parser = argparse.ArgumentParser()
    add_guards(parser)
    return vars(parser.parse_args([]))


def add_on_orphan(parser: argparse.ArgumentParser) -> None:
    """Add the options for a token whose secret was lost on its way here."""
    parser.add_argument(
        "--on-orphan",
        choices=("report", "revoke"),
        default="report",
        help="what to do about a token that a create may have made although its response was "
        "lost: name it in the error (report), or also revoke it if it is proven to be yours "
        "(revoke)",
    )
    parser.add_argument(
        "--mark-names",
        action="store_true",
        help="end the name of each new token with a random mark: it proves that a token is yours, "
        "so that one whose secret was lost can be revoked",
    )


def add_max_writes(parser: argparse.ArgumentParser) -> None:
    """Add the option that limits the writes of a statement."""
    parser.add_argument(
        "--max-writes",
        type=integer(0),
        default=100,
        metavar="N",
        help="refuse a statement that would send more writes, before its first (100)",
    )


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """Add the options that limit the time of a statement."""
    parser.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="how long a statement may take in total"
    )
    add_max_wait(parser)


def add_max_wait(parser: argparse.ArgumentParser) -> None:
    """Add the option that limits waiting for rate limits."""
    parser.add_argument(
        "--max-wait",
        type=lambda text: 0.0 if text == "0" else seconds(text),
        metavar="SECONDS",
        help="how long a statement may wait for rate limits; a write that would wait longer is "
        "refused before its first request (no limit)",
    )


def add_logging(parser: argparse.ArgumentParser) -> None:
    """Add the options for the log and the audit log."""
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
        "by default to the file that VERCEL_SQL_AUDIT_LOG names",
    )


def _integer(text: str, least: int, most: float) -> int:
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        allowed = f"≥ {least}" if most == math.inf else f"from {least} to {most}"
        raise argparse.ArgumentTypeError(f"must be an integer {allowed}, not {text}")
    return int(text)


def integer(least: int, most: float = math.inf) -> Callable[[str], int]:
    """The type of an option that takes an integer."""
    return partial(_integer, least=least, most=most)


def _parallel(text: str) -> int:
    from vercel_sql.api import MOST_CONNECTIONS

    return _integer(text, 1, MOST_CONNECTIONS)


def seconds(text: str, most: float = math.inf) -> float:
    """The type of an option that takes a number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= most or value == math.inf:
        allowed = "above 0" if most == math.inf else f"from 0 to {most:g}"
        raise argparse.ArgumentTypeError(f"must be a number of seconds {allowed}, not {text}")
    return value
