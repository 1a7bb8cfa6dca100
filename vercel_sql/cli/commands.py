"""The commands of ``vercel-sql``, and the options of its statements."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from pkgutil import resolve_name
from typing import NamedTuple, NoReturn

from vercel_sql.cli import WRONG_USE
from vercel_sql.cli.accounts import logged
from vercel_sql.cli.options import add_options
from vercel_sql.text import message

_Raw = argparse.RawDescriptionHelpFormatter


class _Command(NamedTuple):
    """A command: what it does, the function that runs it, and the end of its help."""

    help: str
    function: str
    epilog: str = ""


COMMANDS = {
    "shell": _Command(
        "an interactive shell, as vercel-sql alone is in a terminal; --demo needs no account",
        "vercel_sql.cli.shell.start:run",
    ),
    "serve": _Command(
        "let DuckDB shells and other DuckDB clients of this machine attach the tables",
        "vercel_sql.cli.serve:run",
    ),
    "login": _Command(
        "log in by email (--email) or with a browser (--oauth), and save the login",
        "vercel_sql.cli.login:run",
    ),
    "logout": _Command("revoke the saved login and forget it", "vercel_sql.cli.login:log_out"),
    "whoami": _Command(
        "show whose token is used, its teams, and where it was loaded from",
        "vercel_sql.cli.whoami:run",
    ),
    "recover": _Command(
        "show the outcome of creates that a crash or a lost response cut off, and revoke orphans",
        "vercel_sql.cli.recover:run",
        "Exit codes: 0 nothing left to do, 1 the account could not be read, 2 usage error, 3 "
        "something has to be done.",
    ),
    "run": _Command(
        "run reports, each an SQL file, and print them or write complete files",
        "vercel_sql.cli.reports.run:run",
        "exit codes: 0 success, 1 a report failed, 2 usage error (no request was sent),\n"
        "3 a report has rows (--fail-if-rows) or none (--fail-if-empty), 130 interrupted;\n"
        "1 takes precedence over 3. A report that fails leaves the file of the last run as it was.",
    ),
    "snapshot": _Command(
        "append all tokens to a history, as one run; the report changes compares two",
        "vercel_sql.cli.history.snapshot:run",
    ),
    "demo": _Command(
        "walk through list, get, audit, create and revoke on a simulated API; no account",
        "vercel_sql.cli.demo:run",
    ),
    "simulate": _Command(
        "serve the simulated Vercel API on this machine until it is stopped",
        "vercel_sql.simulator",
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


def prepared(argv: Sequence[str]) -> Callable[[], int]:
    """Read the arguments and import what the command needs; return the command, ready to run."""
    if argv and argv[0] in COMMANDS:
        return _command(argv[0], argv[1:])
    return _query(argv)


class _Parser(argparse.ArgumentParser):
    """Reports a usage error in one line, and where to read more, instead of the whole usage."""

    def error(self, text: str) -> NoReturn:
        shown = message(f"{self.prog}: {text}")
        self.exit(WRONG_USE, f"{shown}\n{self.prog} --help lists the options\n")


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
    add_options(parser, name)
    arguments, unknown = parser.parse_known_intermixed_args(argv)
    if unknown:
        option = _option(unknown[0])
        parser.error(f"unknown option {option}" if option else "it takes options only")
    function = resolve_name(command.function)
    run = partial(function, arguments, parser)
    return run if name == "demo" else lambda: logged(arguments, run)


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
    if word in COMMANDS:
        return f"the command {word} comes first, and takes none of these options"
    if option := _option(word):
        return f"unknown option {option}"
    near = get_close_matches(word, COMMANDS, n=1)
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
        formatter_class=_Raw,
    )
    add_options(parser)
    return parser
