"""The interactive shell: entries, dot commands, the prompt, completion.

prompt_toolkit is imported when the shell starts, so that nothing else pays for it.
"""

from __future__ import annotations

import argparse
import sys

from vercel_sql.cli.options import add_connection, add_guards

_ACCOUNT = ("token_file", "api_url", "oauth_url", "marketplace_url")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    parser.add_argument(
        "--demo", action="store_true", help="use a simulated API with 250 tokens; needs no account"
    )
    parser.add_argument(
        "--yes", action="store_true", help="don't ask before a write (as .confirm off)"
    )
    add_connection(parser)
    add_guards(parser)


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run the shell until the person leaves it, and return the exit code."""
    if any(stream is None or not stream.isatty() for stream in (sys.stdin, sys.stdout)):
        parser.error("the shell needs a terminal; without one, use vercel-sql -c SQL")
    if arguments.demo and any(getattr(arguments, name) for name in _ACCOUNT):
        parser.error("--demo has its own account, and takes no token or URL")
    from vercel_sql.cli.shell.start import run_shell

    return run_shell(arguments)
