"""The commands of ``vercel-sql``, and the options of its statements."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import NamedTuple, NoReturn

from vercel_sql._version import __version__
from vercel_sql.cli import WRONG_USE
from vercel_sql.cli.options import (
    add_connection,
    add_guards,
    add_logging,
    add_parameters,
    logged,
)
from vercel_sql.escapes import message


class _Command(NamedTuple):
    """A command: what it does, and the module with its `add_arguments` and `run`.

    Unlogged commands have no options for the log, and report usage errors on their own.
    """

    help: str
    module: str
    is_logged: bool = True


_COMMANDS = {
    "shell": _Command(
        "an interactive shell, as vercel-sql alone is in a terminal; --demo needs no account",
        "vercel_sql.cli.shell",
    ),
    "serve": _Command(
        "let DuckDB shells and other DuckDB clients of this machine attach the tables",
        "vercel_sql.cli.serve",
    ),
    "login": _Command(
        "log in by email (--email) or with a browser (--oauth), and save the login",
        "vercel_sql.cli.login",
    ),
    "logout": _Command("revoke the saved login and forget it", "vercel_sql.cli.logout"),
    "whoami": _Command(
        "show whose token is used, its teams, and where it was loaded from",
        "vercel_sql.cli.whoami",
    ),
    "recover": _Command(
        "show the outcome of creates that a crash or a lost response cut off, and revoke orphans",
        "vercel_sql.cli.recover",
    ),
    "run": _Command(
        "run reports, each an SQL file, and print them or write complete files",
        "vercel_sql.cli.reports.run",
    ),
    "snapshot": _Command(
        "append all tokens to a history, as one run; the report changes compares two",
        "vercel_sql.cli.history.snapshot",
    ),
    "demo": _Command(
        "walk through list, get, audit, create and revoke on a simulated API; no account",
        "vercel_sql.cli.demo",
        is_logged=False,
    ),
    "simulate": _Command(
        "serve the simulated Vercel API on this machine until it is stopped",
        "vercel_sql.simulator",
        is_logged=False,
    ),
}

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
    + "\n".join(f"  {name:<10} {command.help}" for name, command in _COMMANDS.items())
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


def prepared(argv: Sequence[str]) -> Callable[[], int]:
    """Read the arguments and import what the command needs; return the command, ready to run."""
    if argv and argv[0] in _COMMANDS:
        return _command(argv[0], argv[1:])
    return _query(argv)


class _Parser(argparse.ArgumentParser):
    """Reports a usage error in one line, and where to read more, instead of the whole usage."""

    def error(self, text: str) -> NoReturn:
        shown = message(f"{self.prog}: {text}")
        self.exit(WRONG_USE, f"{shown}\n{self.prog} --help lists the options\n")


def _command(name: str, argv: Sequence[str]) -> Callable[[], int]:
    command = _COMMANDS[name]
    parser = _Parser(
        prog=f"vercel-sql {name}",
        description=f"{command.help[0].upper()}{command.help[1:]}.",
        allow_abbrev=False,
    )
    if name == "demo":  # which has no options: its help needs no imports
        parser.parse_args(argv)
    module = import_module(command.module)
    module.add_arguments(parser)
    if not command.is_logged:
        arguments = parser.parse_args(argv)
        return lambda: int(module.run(arguments))
    add_logging(parser)
    arguments, unknown = parser.parse_known_intermixed_args(argv)
    if unknown:
        option = _option(unknown[0])
        parser.error(f"unknown option {option}" if option else "it takes options only")
    return lambda: logged(arguments, lambda: int(module.run(arguments, parser)))


def _option(word: str) -> str | None:
    """An unknown option without its value, which may be a secret."""
    return word.partition("=")[0] if word.startswith("-") else None


def _query(argv: Sequence[str]) -> Callable[[], int]:
    parser = _query_parser()
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
    if word in _COMMANDS:
        return f"the command {word} comes first, and takes none of these options"
    if option := _option(word):
        return f"unknown option {option}"
    near = get_close_matches(word, _COMMANDS, n=1)
    if near:
        return f"unknown command {word}; did you mean {near[0]}?"
    return f'statements come after -c, as in: vercel-sql -c "{word if " " in word else "SELECT 1"}"'


def _query_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vercel-sql",
        usage=_USAGE,
        allow_abbrev=False,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    add(
        "-o",
        dest="format",
        choices=("table", "csv", "json", "ndjson", "markdown"),
        default="table",
        help="the output format (table)",
    )
    add_parameters(parser, "the value of a placeholder")
    add_connection(parser)
    add_guards(parser)
    add_logging(parser)
    return parser
