"""The options of every command. Reading them imports no library: help is quick."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

from vercel_sql._version import __version__
from vercel_sql.cli.reports import BINARY, SUFFIXES
from vercel_sql.server.bounds import Bounds

_FORMATS = ("table", "csv", "json", "ndjson", "markdown")
# Registered with the app once. It is in no range that systems assign ports from.
_CALLBACK_PORT = 8743
_SERVE_PORT = 9494
BOUNDS = {
    "statement_seconds": ("--statement-timeout", "how long a client's statement may run"),
    "memory": ("--memory-limit", "MiB of memory that DuckDB's process may take"),
    "temp": ("--temp-limit", "MiB of temporary files"),
    "threads": ("--threads", "threads that compute, besides one per statement"),
    "rows": ("--max-rows", "rows that a statement may return"),
    "statements": ("--max-statements", "statements at the same time"),
    "connections": ("--max-connections", "connections that have not sent a request yet"),
}
"""The fields of the server's `Bounds`, with their options and help."""


def _add_connection(parser: argparse.ArgumentParser) -> None:
    _add_account(parser)
    parser.add_argument(
        "--database",
        metavar="FILE",
        default=":memory:",
        help="a DuckDB database to work in (in memory)",
    )


def _add_account(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="a file with the Vercel token; by default VERCEL_TOKEN or a login is used",
    )
    _add_strict(parser)
    _add_servers(parser)


def _add_strict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strict",
        action="store_true",
        help="fail if a value can't be read exactly, instead of NULL and a warning",
    )


def _add_servers(parser: argparse.ArgumentParser) -> None:
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
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for a connection, and for each part of a response (30)",
    )


def _add_parameters(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--param",
        dest="parameters",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help=f"{what}; NAME=@FILE reads it from a file, so that a secret need not stand in the "
        "process list; NAME=@@VALUE is a value that begins with @",
    )


def _add_guards(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--expect-rows",
        type=_integer_in(0),
        metavar="N",
        help="fail if an INSERT, DELETE or writing EXEC changes another number of rows",
    )
    _add_max_writes(parser)
    add(
        "--parallel-deletes",
        type=_parallel,
        default=8,
        metavar="N",
        help="how many rows a DELETE removes at a time, 1 to 16 (8)",
    )
    _add_timeout(parser)
    add(
        "--save-secrets",
        dest="secrets_file",
        metavar="FILE",
        help="append every secret that is shown once to a file of mode 0600, before it is shown",
    )
    _add_on_orphan(parser)
    add("--read-only", action="store_true", help="refuse everything that changes something")


def _add_on_orphan(parser: argparse.ArgumentParser) -> None:
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


def _add_max_writes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-writes",
        type=_integer_in(0),
        default=100,
        metavar="N",
        help="refuse a statement that would send more writes, before its first (100)",
    )


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="how long a statement may take in total"
    )
    _add_max_wait(parser)


def _add_max_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-wait",
        type=lambda text: 0.0 if text == "0" else _seconds(text),
        metavar="SECONDS",
        help="how long a statement may wait for rate limits; a write that would wait longer is "
        "refused before its first request (no limit)",
    )


def _add_format(parser: argparse.ArgumentParser, choices: Sequence[str] = _FORMATS) -> None:
    parser.add_argument(
        "-o", dest="format", choices=choices, default="table", help="the output format (table)"
    )


def _add_logging(parser: argparse.ArgumentParser) -> None:
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


def _integer_in(least: int, most: float = math.inf) -> Callable[[str], int]:
    return partial(_integer, least=least, most=most)


def _parallel(text: str) -> int:
    from vercel_sql.http.connections import MOST_CONNECTIONS

    return _integer(text, 1, MOST_CONNECTIONS)


def _seconds(text: str, most: float = math.inf) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= most or value == math.inf:
        allowed = "above 0" if most == math.inf else f"from 0 to {most:g}"
        raise argparse.ArgumentTypeError(f"must be a number of seconds {allowed}, not {text}")
    return value


def _login(parser: argparse.ArgumentParser) -> None:
    from vercel_sql.auth.login_store import DEFAULT_SCOPE, SIGNING

    add = parser.add_argument
    add(
        "--email",
        metavar="ADDRESS",
        help="log in by email to this address, which Vercel retired in February 2026",
    )
    add("--token-name", metavar="NAME", help="with --email: the name of the new token")
    add("--oauth", action="store_true", help="sign in with a browser, as an app (--client-id)")
    add("--device", action="store_true", help="sign in with a browser on another device")
    add("--client-id", metavar="ID", help="the id of the app that signs in")
    add(
        "--client-secret-file",
        metavar="FILE",
        help="a file with the app's secret, or its private key (PEM or JWK) for private_key_jwt, "
        "if it has one; keep it, since renewing reads it again",
    )
    add(
        "--client-signing",
        choices=SIGNING,
        metavar="METHOD",
        help="sign assertions with that file instead of sending the secret: "
        "client_secret_jwt or private_key_jwt",
    )
    add("--scope", metavar="SCOPES", default=DEFAULT_SCOPE, help=f"default: {DEFAULT_SCOPE}")
    add(
        "--port",
        type=_integer_in(0, 65535),
        default=_CALLBACK_PORT,
        metavar="N",
        help="the port of http://127.0.0.1:N/callback, to which the browser returns; the callback "
        f"must be registered with the app ({_CALLBACK_PORT}; 0 is any free port)",
    )
    add(
        "--prompt",
        choices=("consent", "login"),
        metavar="WHAT",
        help="with --oauth: ask for the consent or the login again (consent or login)",
    )
    add("--no-browser", action="store_true", help="show the address instead of opening a browser")
    add(
        "--timeout",
        type=partial(_seconds, most=86_400),
        default=600.0,
        metavar="SECONDS",
        help="how long to wait for you (600)",
    )
    _add_servers(parser)


def _whoami(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        dest="format",
        choices=("text", "json"),
        default="text",
        help="text, or one object (text)",
    )
    parser.add_argument(
        "--token-file", metavar="FILE", help="a file with the Vercel token to show instead"
    )
    _add_strict(parser)
    _add_servers(parser)


def _snapshot(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        required=True,
        metavar="FILE.duckdb",
        help="the history: a file, created with mode 0600 if it is missing, or anything else "
        "DuckDB can attach, such as ducklake:FILE.ducklake",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing on success")
    _add_timeout(parser)
    _add_account(parser)


def _recover(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_format(parser)
    add(
        "--revoke",
        nargs="*",
        metavar="ID",
        help="revoke the tokens with these ids, which nobody uses; without an id, those that are "
        "proven to be yours and whose secret is lost; asks first",
    )
    add("--yes", action="store_true", help="with --revoke: don't ask")
    add(
        "--any-token",
        action="store_true",
        help="look up creates with other tokens too: this one is of the same account",
    )
    add(
        "--forget",
        action="store_true",
        help="report everything once more, then never again; nothing is revoked",
    )
    _add_account(parser)


def _shell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--demo", action="store_true", help="use a simulated API with 250 tokens; needs no account"
    )
    parser.add_argument(
        "--yes", action="store_true", help="don't ask before a write (as .confirm off)"
    )
    _add_connection(parser)
    _add_guards(parser)


def _serve(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--port",
        type=_integer_in(1, 65535),
        default=_SERVE_PORT,
        metavar="N",
        help=f"where to listen, on loopback only ({_SERVE_PORT})",
    )
    add(
        "--server-token-file",
        metavar="FILE",
        help="a file with the token that clients need; by default a random one is made and shown",
    )
    add(
        "--allow-writes",
        action="store_true",
        help="let clients create and revoke tokens, and call everything else that writes",
    )
    add(
        "--save-secrets",
        dest="secrets_file",
        metavar="FILE",
        help="with --allow-writes: the file, of mode 0600, to which every secret that is shown "
        "once is appended before a client sees it",
    )
    _add_on_orphan(parser)
    _add_max_writes(parser)
    _add_max_wait(parser)
    add(
        "--extension",
        dest="extensions",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="load this extension file instead of running INSTALL quack; give it twice, httpfs "
        "before quack (for DuckDB 1.5.5 they are on PyPI)",
    )
    add("--demo", action="store_true", help="serve a simulated account of 250 tokens")
    _add_account(parser)
    _add_bounds(parser)


def _add_bounds(parser: argparse.ArgumentParser) -> None:
    for name, (option, what) in BOUNDS.items():
        default = getattr(Bounds(), name)
        is_time = isinstance(default, float)
        parser.add_argument(
            option,
            dest=name,
            type=_seconds if is_time else _integer_in(1),
            default=default,
            metavar="SECONDS" if is_time else "N",
            help=f"{what} ({default:g})" if is_time else f"{what} ({default})",
        )


def _run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="a report: an SQL file with one SELECT")
    _add_parameters(parser, "the value of a parameter, for each report that has it")
    _add_format(parser, tuple(SUFFIXES))
    add(
        "--out",
        metavar="DIR",
        help="write each report to a file of its name in this directory, readable by its owner "
        f"only; {' and '.join(BINARY)} need it",
    )
    add(
        "--raw",
        action="store_true",
        help="in csv and xlsx, keep values that a spreadsheet would compute exactly as they are",
    )
    rule = parser.add_mutually_exclusive_group()
    rule.add_argument("--fail-if-rows", action="store_true", help="exit code 3 if there are rows")
    rule.add_argument("--fail-if-empty", action="store_true", help="exit code 3 if there are none")
    add(
        "--quiet",
        action="store_true",
        help="print nothing on success; reports that break a rule are printed",
    )
    add(
        "--history",
        metavar="FILE",
        help="a database written by vercel-sql snapshot, for reports that read history",
    )
    _add_timeout(parser)
    _add_connection(parser)
    # A report only reads.
    parser.set_defaults(scripts=[], read_only=True, max_writes=0)


def _query(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--version", action="version", version=f"vercel-sql {__version__}")
    add(
        "-c",
        dest="scripts",
        metavar="SQL",
        action="append",
        type=lambda text: ("text", text),
        help="statements to run; may be given more than once, and mixed with -f",
    )
    add(
        "-f",
        dest="scripts",
        metavar="FILE",
        action="append",
        type=lambda name: ("file", name),
        help="a file of statements; - is standard input",
    )
    _add_format(parser)
    _add_parameters(parser, "the value of a placeholder")
    _add_connection(parser)
    _add_guards(parser)


_COMMANDS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = MappingProxyType(
    {
        "": _query,
        "shell": _shell,
        "serve": _serve,
        "login": _login,
        "logout": _add_servers,
        "whoami": _whoami,
        "recover": _recover,
        "run": _run,
        "snapshot": _snapshot,
        "demo": lambda _: None,
    }
)


def add_options(parser: argparse.ArgumentParser, command: str = "") -> None:
    """Add the options of a command to its parser; without one, those of statements."""
    _COMMANDS[command](parser)
    if command != "demo":
        _add_logging(parser)
