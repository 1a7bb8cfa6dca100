"""The ``vercel-sql`` command: reads the arguments and hands over to what they ask for."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from vercel_sql._version import __version__
from vercel_sql.cli.exit_codes import FAILED, INTERRUPTED, WRONG_USE

_COMMANDS = {
    "demo": "walk through list, get, audit, create and revoke on a simulated API; no account",
    "simulate": "serve the simulated Vercel API on this machine until it is ended",
}

_EPILOG = "commands:\n" + "\n".join(f"  {name:<10} {text}" for name, text in _COMMANDS.items())


def entry_point() -> None:
    """What the installed command runs."""
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader is gone. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or FAILED
    sys.exit(code)


def main(argv: Sequence[str]) -> int:
    """Runs the command and gives its exit code: 0 fine, 1 a statement failed, 2 wrong use."""
    try:
        if argv and argv[0] in _COMMANDS:
            return _command(argv[0], argv[1:])
        return _query(argv)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except Exception as error:
        # Neither the error's text nor its traceback: both may hold anything, secrets included.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(frame.filename)}:{frame.lineno}"
        sys.stderr.write(
            f"vercel-sql: internal error: {type(error).__name__} at {where}. "
            "This is a defect of vercel-sql; please report it\n"
        )
        return FAILED


def _command(name: str, argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"vercel-sql {name}", description=_COMMANDS[name])
    if name == "simulate":
        from vercel_sql import simulator

        simulator.add_arguments(parser)
        return simulator.run(parser.parse_args(argv))
    from vercel_sql.cli.demo import run_demo

    parser.parse_args(argv)
    return run_demo(sys.stdout)


def _query(argv: Sequence[str]) -> int:
    parser = query_parser()
    arguments = parser.parse_args(argv)
    if not arguments.scripts:
        if sys.stdin is None or sys.stdin.isatty():
            parser.print_help(sys.stderr)
            return WRONG_USE
        arguments.scripts = [("file", "-")]
    from vercel_sql.cli.query import run_query

    return run_query(arguments, parser)


def query_parser() -> argparse.ArgumentParser:
    """The parser of ``vercel-sql`` without a command: run statements, print their results."""
    parser = argparse.ArgumentParser(
        prog="vercel-sql",
        description="Query and manage Vercel with SQL. Statements come from -c, -f or, when "
        "piped, standard input; results go to standard output, all else to standard error.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vercel-sql {__version__}")
    _add_scripts(parser)
    _add_connection(parser)
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
    add(
        "--param",
        dest="parameters",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="the value of a placeholder; NAME=@FILE reads it from a file, so that a secret need "
        "not stand in the process list; NAME=@@VALUE is a value that begins with @",
    )
    add(
        "--expect-rows",
        type=_count,
        metavar="N",
        help="fail where an INSERT, DELETE or writing EXEC changes another number of rows",
    )
    add(
        "--save-secrets",
        metavar="FILE",
        help="append every secret that is shown once to a file of mode 0600, before it is shown",
    )
    add("--read-only", action="store_true", help="refuse everything that changes something")
    add("-v", "--verbose", action="store_true", help="log each request to standard error")


def _add_connection(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--token-file",
        metavar="FILE",
        help="a file that holds the Vercel token; without it, VERCEL_TOKEN is used",
    )
    add(
        "--api-url",
        metavar="URL",
        help="the API's base URL; without it, VERCEL_API_URL, else Vercel's own",
    )
    add(
        "--database",
        metavar="FILE",
        default=":memory:",
        help="a DuckDB database to work in (in memory)",
    )
    add(
        "--timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for a connection, and for each piece of an answer (30)",
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return value
