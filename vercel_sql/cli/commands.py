"""The commands of ``vercel-sql`` and their options. Reading them imports no library."""

from __future__ import annotations

import argparse
import math
import sys
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from vercel_sql._version import __version__
from vercel_sql.cli import WRONG_USE
from vercel_sql.cli.accounts import guarded, logged
from vercel_sql.cli.reports import BINARY, SUFFIXES
from vercel_sql.cli.terminal import wrapped
from vercel_sql.server.bounds import Bounds
from vercel_sql.text import message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_Keywords = dict[str, Any]  # of argparse's `add_argument`
# Registered with the app once. It is in no range that systems assign ports from.
_CALLBACK_PORT = 8743
_SERVE_PORT = 9494
BOUNDS = {
    "statement_seconds": ("--statement-timeout", "how long a client's statement may run"),
    "memory": ("--memory-limit", "MiB of memory that DuckDB's process may use"),
    "temp": ("--temp-limit", "MiB of temporary files"),
    "threads": ("--threads", "worker threads, besides one per statement"),
    "rows": ("--max-rows", "rows that a statement may return"),
    "statements": ("--max-statements", "concurrent statements"),
    "connections": ("--max-connections", "connections that have not sent a request yet"),
}
"""The fields of the server's `Bounds`, with their options and help."""


def _integer(text: str, least: int, most: float = math.inf) -> int:
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        allowed = f"≥ {least}" if most == math.inf else f"from {least} to {most}"
        raise argparse.ArgumentTypeError(f"must be an integer {allowed}, not {text}")
    return int(text)


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


def _value(metavar: str, text: str, **more: Any) -> _Keywords:
    return {"metavar": metavar, "help": text, **more}


def _flag(text: str, **more: Any) -> _Keywords:
    return {"action": "store_true", "help": text, **more}


def _whole(text: str, default: int | None, least: int, most: float = math.inf) -> _Keywords:
    reads = partial(_integer, least=least, most=most)
    return _value("N", text, type=reads, default=default)


def _format(choices: Sequence[str], text: str = "the output format (table)") -> _Keywords:
    return {"dest": "format", "choices": choices, "default": choices[0], "help": text}


def _parameters(what: str) -> _Keywords:
    text = (
        f"{what}; NAME=@FILE reads it from a file, so that a secret doesn't appear in the "
        "process list; NAME=@@VALUE is a value that begins with @"
    )
    return _value("NAME=VALUE", text, dest="parameters", action="append", default=[])


def _script(metavar: str, kind: str, text: str) -> _Keywords:
    return _value(metavar, text, dest="scripts", action="append", type=lambda given: (kind, given))


def _url(name: str, what: str) -> _Keywords:
    return _value("URL", f"{what}; by default VERCEL_{name}_URL, else Vercel's own")


def _scope() -> _Keywords:
    from vercel_sql.auth.login_store import DEFAULT_SCOPE

    return _value("SCOPES", f"what to ask for ({DEFAULT_SCOPE})", default=DEFAULT_SCOPE)


def _signing() -> _Keywords:
    from vercel_sql.auth.login_store import SIGNING

    text = f"sign assertions with that file, instead of sending the secret: {' or '.join(SIGNING)}"
    return _value("METHOD", text, choices=SIGNING)


def _bound(name: str, what: str) -> _Keywords:
    default = getattr(Bounds(), name)
    if isinstance(default, float):
        found = _value("SECONDS", f"{what} ({default:g})", type=_seconds, default=default)
    else:
        found = _whole(f"{what} ({default})", default, 1)
    return found | {"dest": name}


_OPTIONS: Mapping[str, _Keywords | Callable[[], _Keywords]] = {
    # The account
    "--token-file": _value(
        "FILE", "a file with the Vercel token; by default VERCEL_TOKEN or a login is used"
    ),
    "--strict": _flag("fail if a value can't be read exactly, instead of NULL and a warning"),
    "--api-url": _url("API", "the API's base URL"),
    "--oauth-url": _url("OAUTH", "the authorization server's base URL"),
    "--marketplace-url": _url("MARKETPLACE", "the base URL of the issuer of SSO ID tokens"),
    "--request-timeout": _value(
        "SECONDS",
        "how long to wait for a connection, and for each part of a response (30)",
        type=_seconds,
        default=30.0,
    ),
    "--database": _value("FILE", "a DuckDB database to work in (in memory)", default=":memory:"),
    # What a statement may do
    "--expect-rows": _whole(
        "fail if an INSERT, DELETE or writing EXEC changes another number of rows", None, 0
    ),
    "--max-writes": _whole(
        "refuse a statement that would send more writes, before its first (100)", 100, 0
    ),
    "--parallel-deletes": _value(
        "N", "how many rows a DELETE removes at a time, 1 to 16 (8)", type=_parallel, default=8
    ),
    "--timeout": _value("SECONDS", "how long a statement may take in total", type=_seconds),
    "--max-wait": _value(
        "SECONDS",
        "how long a statement may wait for rate limits; a write that would wait longer is refused "
        "before its first request (no limit)",
        type=lambda text: 0.0 if text == "0" else _seconds(text),
    ),
    "--save-secrets": _value(
        "FILE",
        "append every secret that is shown once to a file of mode 0600, before it is shown",
        dest="secrets_file",
    ),
    "--on-orphan": {
        "choices": ("report", "revoke"),
        "default": "report",
        "help": "what to do about a token that a create may have made although its response was "
        "lost: name it in the error (report), or also revoke it if it is proven to be yours "
        "(revoke)",
    },
    "--mark-names": _flag(
        "end the name of each new token with a random mark: it proves that a token is yours, so "
        "that one whose secret was lost can be revoked"
    ),
    "--read-only": _flag("refuse everything that changes something"),
    # Statements
    "--version": {"action": "version", "version": f"vercel-sql {__version__}"},
    "-c": _script("SQL", "text", "statements to run; may be given more than once, also with -f"),
    "-f": _script("FILE", "file", "a file of statements; - is standard input"),
    "-o": _format(("table", "csv", "json", "ndjson", "markdown")),
    "--param": _parameters("the value of a placeholder"),
    "shell --demo": _flag("use a simulated API with 250 tokens; needs no account"),
    "shell --yes": _flag("don't ask before a write (as .confirm off)"),
    # Reports
    "files": _value("FILE", "a report: an SQL file with one SELECT", nargs="+"),
    "run --param": _parameters("the value of a parameter, for every report that has it"),
    "run -o": _format(tuple(SUFFIXES)),
    "--out": _value(
        "DIR",
        "write each report to a file of its name in this directory, readable by its owner only; "
        f"{' and '.join(BINARY)} need it",
    ),
    "--raw": _flag("in csv and xlsx, keep values that a spreadsheet would compute as they are"),
    "--fail-if-rows": _flag("exit code 3 if there are rows"),
    "--fail-if-empty": _flag("exit code 3 if there are none"),
    "run --quiet": _flag("print nothing on success; reports that break a rule are printed"),
    "--history": _value(
        "FILE", "a database written by vercel-sql snapshot, for reports that read history"
    ),
    "--to": _value(
        "FILE.duckdb",
        "the history: a file, created with mode 0600 if it is missing, or anything else DuckDB can "
        "attach, such as ducklake:FILE.ducklake",
        required=True,
    ),
    "--quiet": _flag("print nothing on success"),
    # The account's tokens
    "whoami -o": _format(("text", "json"), "text, or one object (text)"),
    "whoami --token-file": _value("FILE", "a file with the Vercel token to show instead"),
    "--revoke": _value(
        "ID",
        "revoke the tokens with these ids, which nobody uses; without an id, those that are proven "
        "to be yours and whose secret is lost; asks first",
        nargs="*",
    ),
    "--yes": _flag("with --revoke: don't ask"),
    "--any-token": _flag(
        "also look up creates made with other tokens: this one is for the same account"
    ),
    "--forget": _flag("report everything once more, then never again; nothing is revoked"),
    # Logins
    "--email": _value("ADDRESS", "log in by email; Vercel retired this in February 2026"),
    "--token-name": _value("NAME", "with --email: the name of the new token"),
    "--oauth": _flag("sign in with a browser, as an app (--client-id)"),
    "--device": _flag("sign in with a browser on another device"),
    "--client-id": _value("ID", "the id of the app that signs in"),
    "--client-secret-file": _value(
        "FILE",
        "a file with the app's secret, or its private key (PEM or JWK) for private_key_jwt, if it "
        "has one; keep it, since renewing reads it again",
    ),
    "--client-signing": _signing,
    "--scope": _scope,
    "login --port": _whole(
        "the port of http://127.0.0.1:N/callback, to which the browser returns; the callback must "
        f"be registered with the app ({_CALLBACK_PORT}; 0 is any free port)",
        *(_CALLBACK_PORT, 0, 65535),
    ),
    "--prompt": _value(
        "WHAT",
        "with --oauth: ask for consent, or for the login, again (consent or login)",
        choices=("consent", "login"),
    ),
    "--no-browser": _flag("show the address instead of opening a browser"),
    "login --timeout": _value(
        "SECONDS",
        "how long to wait for the sign-in to be completed (600)",
        type=partial(_seconds, most=86_400),
        default=600.0,
    ),
    # The server
    "serve --port": _whole(
        f"where to listen, on loopback only ({_SERVE_PORT})", _SERVE_PORT, 1, 65535
    ),
    "--server-token-file": _value(
        "FILE",
        "a file with the token that clients need; by default a random one is made and shown",
    ),
    "--allow-writes": _flag(
        "let clients create and revoke tokens, and call everything else that writes"
    ),
    "serve --save-secrets": _value(
        "FILE",
        "with --allow-writes: the file, of mode 0600, to which every secret that is shown once is "
        "appended before a client sees it",
        dest="secrets_file",
    ),
    "--extension": _value(
        "FILE",
        "load this extension file instead of running INSTALL quack; give it twice, httpfs before "
        "quack (for DuckDB 1.5.5 they are on PyPI)",
        dest="extensions",
        type=Path,
        action="append",
        default=[],
    ),
    "serve --demo": _flag("serve a simulated account of 250 tokens"),
    **{option: _bound(name, what) for name, (option, what) in BOUNDS.items()},
    # The log
    "--verbose": _flag("log each request to standard error"),
    "--log-file": _value(
        "FILE",
        "append the whole log to a file of mode 0600: requests, waits, warnings; no secrets",
    ),
    "--audit-log": _value(
        "FILE",
        "append a line of JSON for each write, without secrets, to a file of mode 0600; by default "
        "to the file that VERCEL_SQL_AUDIT_LOG names",
    ),
}
"""Every option; a command in front of its name has its own."""
_SERVERS = ("--api-url", "--oauth-url", "--marketplace-url", "--request-timeout")
_ACCOUNT = ("--token-file", "--strict", *_SERVERS)
_CONNECTION = (*_ACCOUNT, "--database")
_LIMITS = ("--timeout", "--max-wait")
_ORPHANS = ("--on-orphan", "--mark-names")
_WRITES = ("--expect-rows", "--max-writes", "--parallel-deletes")
_GUARDS = (*_WRITES, *_LIMITS, "--save-secrets", *_ORPHANS, "--read-only")
_LOG = ("--verbose", "--log-file", "--audit-log")


class _Command(NamedTuple):
    """A command: its options, what it does, the function that runs it, and the end of its help."""

    options: Sequence[str]
    help: str
    function: str
    epilog: str = ""


COMMANDS: Mapping[str, _Command] = MappingProxyType(
    {
        "shell": _Command(
            ("shell --demo", "shell --yes", *_CONNECTION, *_GUARDS, *_LOG),
            "an interactive shell, as vercel-sql alone is in a terminal; --demo needs no account",
            "vercel_sql.cli.shell.session:run",
        ),
        "serve": _Command(
            (
                *("serve --port", "--server-token-file", "--allow-writes", "serve --save-secrets"),
                *(*_ORPHANS, "--max-writes", "--max-wait", "--extension", "serve --demo"),
                *(*_ACCOUNT, *(option for option, _ in BOUNDS.values()), *_LOG),
            ),
            "let DuckDB shells and other DuckDB clients of this machine attach the tables",
            "vercel_sql.cli.serve:run",
        ),
        "login": _Command(
            (
                *("--email", "--token-name", "--oauth", "--device", "--client-id"),
                *("--client-secret-file", "--client-signing", "--scope", "login --port"),
                *("--prompt", "--no-browser", "login --timeout", *_SERVERS, *_LOG),
            ),
            "log in by email (--email) or with a browser (--oauth), and save the login",
            "vercel_sql.cli.login:run",
        ),
        "logout": _Command(
            (*_SERVERS, *_LOG),
            "revoke the saved login and forget it",
            "vercel_sql.cli.login:log_out",
        ),
        "whoami": _Command(
            ("whoami -o", "whoami --token-file", "--strict", *_SERVERS, *_LOG),
            "show whose token is used, its teams, and where it was loaded from",
            "vercel_sql.cli.whoami:run",
        ),
        "recover": _Command(
            ("-o", "--revoke", "--yes", "--any-token", "--forget", *_ACCOUNT, *_LOG),
            "show the outcome of creates that a crash or a lost response cut off, and revoke "
            "orphans",
            "vercel_sql.cli.recover:run",
            "Exit codes: 0 nothing left to do, 1 the account could not be read, 2 usage error, 3 "
            "something has to be done.",
        ),
        "run": _Command(
            (
                *("files", "run --param", "run -o", "--out", "--raw", "--fail-if-rows"),
                *("--fail-if-empty", "run --quiet", "--history", *_LIMITS, *_CONNECTION, *_LOG),
            ),
            "run reports, each an SQL file, and print them or write complete files",
            "vercel_sql.cli.reports.run:run",
            "exit codes: 0 success, 1 a report failed, 2 usage error (no request was sent),\n"
            "3 a report has rows (--fail-if-rows) or none (--fail-if-empty), 130 interrupted;\n"
            "1 takes precedence over 3. A report that fails leaves the file of the last run as it "
            "was.",
        ),
        "snapshot": _Command(
            ("--to", "--quiet", *_LIMITS, *_ACCOUNT, *_LOG),
            "append all tokens to a history, as one run; the report changes compares two",
            "vercel_sql.cli.history:run",
        ),
        "demo": _Command(
            (),
            "walk through list, get, audit, create and revoke on a simulated API; no account",
            "vercel_sql.cli.demo:run",
        ),
        "simulate": _Command(
            (),
            "serve the simulated Vercel API on this machine until it is stopped",
            "vercel_sql.simulator",
        ),
    }
)

_USAGE = """vercel-sql [options] -c SQL | -f FILE
       vercel-sql [shell] [-h]
       vercel-sql serve [-h]
       vercel-sql login | logout | whoami [-h]
       vercel-sql recover [--revoke]
       vercel-sql run [options] FILE…
       vercel-sql snapshot --to FILE.duckdb
       vercel-sql demo
       vercel-sql simulate [-h]"""

_DESCRIPTION = """\
Query and manage Vercel with SQL. Statements come from -c, -f or, when
piped, standard input; results go to standard output, all else to standard error.
Without any of these, in a terminal, it is a shell."""

_EPILOG = (
    "commands, which come first:\n"
    + "\n".join(f"  {name:<10} {command.help}" for name, command in COMMANDS.items())
    + """

examples:
  vercel-sql demo
  vercel-sql shell --demo
  vercel-sql -c "SELECT name, leaked_at FROM vercel.audit.user_tokens WHERE is_leaked"
  vercel-sql -c "SHOW METHODS IN vercel.authentication.user_tokens"
  vercel-sql -f review.sql -o json --param 'team=My Team' > review.json

exit codes: 0 success, 1 a statement failed, 2 usage error, 3 a report's rows
(with --fail-if-rows or --fail-if-empty) or recover's orphans, 130 interrupted
"""
)
_STATEMENTS = ("--version", "-c", "-f", "-o", "--param", *_CONNECTION, *_GUARDS, *_LOG)
_Raw = argparse.RawDescriptionHelpFormatter


def prepared(argv: Sequence[str]) -> Callable[[], int]:
    """Read the arguments and import what the command needs; return the command, ready to run."""
    if argv and argv[0] in COMMANDS:
        return _command(argv[0], argv[1:])
    return _query(argv)


class _Parser(argparse.ArgumentParser):
    """Reports a usage error in one line, and where to read more, instead of the whole usage."""

    def error(self, text: str) -> NoReturn:
        shown = wrapped(message(f"{self.prog}: {text}"))
        self.exit(WRONG_USE, f"{shown}\n{self.prog} --help lists the options\n")


def _add(parser: argparse.ArgumentParser, options: Sequence[str]) -> None:
    is_report = "--fail-if-rows" in options
    rules = parser.add_mutually_exclusive_group() if is_report else parser
    for option in options:
        found = _OPTIONS[option]
        keywords = found if isinstance(found, dict) else found()
        name = option.rpartition(" ")[2]
        names = ("-v", name) if name == "--verbose" else (name,)
        (rules if name.startswith("--fail-if") else parser).add_argument(*names, **keywords)


def _command(name: str, argv: Sequence[str]) -> Callable[[], int]:
    command = COMMANDS[name]
    parser = _Parser(
        prog=f"vercel-sql {name}",
        description=f"{command.help[0].upper()}{command.help[1:]}.",
        epilog=command.epilog,
        formatter_class=_Raw if "\n" in command.epilog else argparse.HelpFormatter,
        allow_abbrev=False,
    )
    if name == "simulate":  # it has its own options, and no log
        from vercel_sql import simulator

        simulator.add_arguments(parser)
        arguments = parser.parse_args(argv)
        return lambda: simulator.run(arguments)
    _add(parser, command.options)
    if name == "run":  # a report only reads
        parser.set_defaults(scripts=[], read_only=True, max_writes=0)
    arguments, unknown = parser.parse_known_intermixed_args(argv)
    if unknown:
        option, is_option = unknown[0].partition("=")[0], unknown[0].startswith("-")
        parser.error(f"unknown option {option}" if is_option else "this command takes options only")
    run = partial(guarded, partial(resolve_name(command.function), arguments, parser))
    return run if name == "demo" else lambda: logged(arguments, run)


def _query(argv: Sequence[str]) -> Callable[[], int]:
    parser = _Parser(
        prog="vercel-sql",
        usage=_USAGE,
        allow_abbrev=False,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=_Raw,
    )
    _add(parser, _STATEMENTS)
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.error(_unknown(unknown[0]))
    if not arguments.scripts:
        on_terminal = all(s is not None and s.isatty() for s in (sys.stdin, sys.stdout))
        if on_terminal:
            return _command("shell", argv)
        if sys.stdin is None or sys.stdin.isatty():
            parser.print_help(sys.stderr)
            parser.exit(WRONG_USE)
        arguments.scripts = [("file", "-")]
    from vercel_sql.cli.runner import run_query

    return lambda: logged(arguments, lambda: run_query(arguments, parser))


def _unknown(word: str) -> str:
    if word in COMMANDS:
        return f"the command {word} comes first, and takes none of these options"
    if word.startswith("-"):
        return f"unknown option {word.partition('=')[0]}"  # its value may be a secret
    near = get_close_matches(word, COMMANDS, n=1)
    if near:
        return f"unknown command {word}; did you mean {near[0]}?"
    return f'statements come after -c, as in: vercel-sql -c "{word if " " in word else "SELECT 1"}"'
