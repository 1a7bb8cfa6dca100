"""The commands of ``vercel-sql`` and their options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import NoReturn

from vercel_sql._version import __version__
from vercel_sql.cli.exit_codes import WRONG_USE
from vercel_sql.cli.logged import logged
from vercel_sql.cli.options import add_connection, add_guards, add_logging, add_parameters
from vercel_sql.escapes import message

_COMMANDS = {
    "shell": "an interactive shell, as vercel-sql alone is in a terminal; --demo needs no account",
    "serve": "let DuckDB shells and other DuckDB clients of this machine attach the tables",
    "login": "log in by email (--email) or with a browser (--oauth), and save the login",
    "logout": "revoke the saved login and forget it",
    "whoami": "say who the token stands for, which teams, which token, and where it came from",
    "recover": "say what came of creates that a crash or a lost answer cut off, and revoke orphans",
    "run": "run reports, each an SQL file, and print them or write files that are whole",
    "snapshot": "append all tokens to a history, as one run; the report changes compares two",
    "demo": "walk through list, get, audit, create and revoke on a simulated API; no account",
    "simulate": "serve the simulated Vercel API on this machine until it is ended",
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

_EPILOG = (
    "commands, which come first:\n"
    + "\n".join(f"  {name:<10} {text}" for name, text in _COMMANDS.items())
    + """

examples:
  vercel-sql demo
  vercel-sql shell --demo
  vercel-sql -c "SELECT name, leaked_at FROM vercel.audit.user_tokens WHERE is_leaked"
  vercel-sql -c "SHOW METHODS IN vercel.authentication.user_tokens"
  vercel-sql -f review.sql -o json --param 'team=My Team' > review.json

exit codes: 0 fine, 1 a statement failed, 2 wrong use, 3 a report's rows
(with --fail-if-rows or --fail-if-empty) or recover's orphans, 130 interrupted
"""
)


def prepared(argv: Sequence[str]) -> Callable[[], int]:
    """Reads the arguments and imports what the command needs; gives the command, ready to run."""
    if argv and argv[0] in _COMMANDS:
        return _command(argv[0], argv[1:])
    return _query(argv)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where to read more, in place of the whole usage."""

    def error(self, text: str) -> NoReturn:
        shown = message(f"{self.prog}: {text}")
        self.exit(WRONG_USE, f"{shown}\n{self.prog} --help says what there is\n")


def _command(name: str, argv: Sequence[str]) -> Callable[[], int]:
    text = _COMMANDS[name]
    parser = _Parser(
        prog=f"vercel-sql {name}",
        description=f"{text[0].upper()}{text[1:]}.",
        allow_abbrev=False,
    )
    if name in ("login", "logout", "whoami", "recover"):
        return _account_command(name, parser, argv)
    if name in ("shell", "serve"):
        return _door(name, parser, argv)
    if name in ("run", "snapshot"):
        return _reports_command(name, parser, argv)
    if name == "simulate":
        from vercel_sql import simulator

        simulator.add_arguments(parser)
        return partial(simulator.run, parser.parse_args(argv))
    parser.parse_args(argv)
    from vercel_sql.cli.demo import run_demo

    return lambda: run_demo(sys.stdout)


def _door(name: str, parser: argparse.ArgumentParser, argv: Sequence[str]) -> Callable[[], int]:
    if name == "shell":
        from vercel_sql.cli import shell

        shell.add_arguments(parser)
        arguments = _parsed(parser, argv)
        return lambda: logged(arguments, lambda: shell.run(arguments, parser))
    from vercel_sql.cli import serve

    serve.add_arguments(parser)
    arguments = _parsed(parser, argv)
    return lambda: logged(arguments, lambda: serve.run(arguments, parser))


def _reports_command(
    name: str, parser: argparse.ArgumentParser, argv: Sequence[str]
) -> Callable[[], int]:
    if name == "run":
        from vercel_sql.cli.reports.run import run_reports

        return partial(run_reports, parser, argv)
    from vercel_sql.cli.history import snapshot

    snapshot.add_arguments(parser)
    arguments = _parsed(parser, argv)
    return lambda: logged(arguments, lambda: snapshot.run(arguments))


def _account_command(
    name: str, parser: argparse.ArgumentParser, argv: Sequence[str]
) -> Callable[[], int]:
    if name == "login":
        from vercel_sql.cli import login

        login.add_arguments(parser)
        arguments = _parsed(parser, argv)
        return lambda: logged(arguments, lambda: login.run(arguments, parser))
    if name == "logout":
        from vercel_sql.cli import logout

        logout.add_arguments(parser)
        arguments = _parsed(parser, argv)
        return lambda: logged(arguments, lambda: logout.run(arguments))
    if name == "recover":
        from vercel_sql.cli import recover

        recover.add_arguments(parser)
        arguments = _parsed(parser, argv)
        return lambda: logged(arguments, lambda: recover.run(arguments, parser))
    from vercel_sql.cli import whoami

    whoami.add_arguments(parser)
    arguments = _parsed(parser, argv)
    return lambda: logged(arguments, lambda: whoami.run(arguments))


def _parsed(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """The options; what is none of them is not repeated, since it may be a secret."""
    add_logging(parser)
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        option = unknown[0].partition("=")[0]
        is_option = option.startswith("-")
        parser.error(f"there is no option {option}" if is_option else "it takes options only")
    return arguments


def _query(argv: Sequence[str]) -> Callable[[], int]:
    parser = query_parser()
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        parser.error(_unknown(unknown[0]))
    if not arguments.scripts:
        if sys.stdin is None or (sys.stdin.isatty() and not _on_terminal()):
            parser.print_help(sys.stderr)
            parser.exit(WRONG_USE)
        if _on_terminal():
            return _command("shell", argv)
        arguments.scripts = [("file", "-")]
    from vercel_sql.cli.query import run_query

    return lambda: logged(arguments, lambda: run_query(arguments, parser))


def _on_terminal() -> bool:
    """Whether a person sits in front of both ends."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _unknown(word: str) -> str:
    """What is wrong with a word that is none of the options."""
    if word in _COMMANDS:
        return f"the command {word} comes first, and takes none of these options"
    if word.startswith("-"):
        return f"there is no option {word.partition('=')[0]}"  # what follows may be a secret
    near = get_close_matches(word, _COMMANDS, n=1)
    if near:
        return f"there is no command {word}; did you mean {near[0]}?"
    return f'statements come after -c, as in: vercel-sql -c "{word if " " in word else "SELECT 1"}"'


def query_parser() -> argparse.ArgumentParser:
    """The parser of ``vercel-sql`` without a command: run statements, print their results."""
    parser = _Parser(
        prog="vercel-sql",
        usage=_USAGE,
        allow_abbrev=False,
        description="Query and manage Vercel with SQL. Statements come from -c, -f or, when\n"
        "piped, standard input; results go to standard output, all else to standard error.\n"
        "Without any of these, in a terminal, it is a shell.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vercel-sql {__version__}")
    _add_scripts(parser)
    add_connection(parser)
    add_guards(parser)
    add_logging(parser)
    return parser


def _add_scripts(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
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
        help="how results are written (table)",
    )
    add_parameters(parser, "the value of a placeholder")
