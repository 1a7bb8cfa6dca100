"""The interactive shell: what is entered, the dot commands, the prompt.

What needs prompt_toolkit is imported when the shell starts, so that nothing else pays for it.
"""

from __future__ import annotations

import argparse
import sys

from vercel_sql.cli.options import add_connection, add_guards

_ACCOUNT = ("token_file", "api_url", "oauth_url", "marketplace_url")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to a parser."""
    parser.add_argument(
        "--demo", action="store_true", help="open it on a simulated API with 250 tokens; no account"
    )
    parser.add_argument(
        "--yes", action="store_true", help="don't ask before a write (as .confirm off)"
    )
    add_connection(parser)
    add_guards(parser)


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Runs the shell until it is left, and gives the exit code."""
    if any(stream is None or not stream.isatty() for stream in (sys.stdin, sys.stdout)):
        parser.error("the shell needs a terminal; else statements come as in vercel-sql -c SQL")
    if arguments.demo and any(getattr(arguments, name) for name in _ACCOUNT):
        parser.error("--demo brings its own account, and takes no token and no URL")
    from vercel_sql.cli.shell.start import run_shell

    return run_shell(arguments)
