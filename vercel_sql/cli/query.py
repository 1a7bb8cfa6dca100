"""Runs statements from the command line: results to standard output, all else to standard error."""

from __future__ import annotations

import argparse
import sys

from vercel_sql.api.logger import also_masking
from vercel_sql.cli.exit_codes import WRONG_USE
from vercel_sql.cli.inputs import read_inputs
from vercel_sql.cli.options import opened
from vercel_sql.cli.output import Printer
from vercel_sql.cli.running import Manner, Runner
from vercel_sql.cli.streams import is_closed
from vercel_sql.errors import Error, MissingTokenError, TooManyWritesError, WaitTooLongError
from vercel_sql.messages import complain

_WITHOUT_LOGIN = (
    "The command line takes it from --token-file FILE, VERCEL_TOKEN or a login; "
    "to try things out without one, run vercel-sql demo."
)
_UNBOUND = "Values are given as --param NAME=VALUE."


def run_query(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Runs the scripts of the command line and gives the exit code."""
    if is_closed(sys.stdout):
        parser.error("standard output is closed, and results would be lost; nothing was run")
    inputs = read_inputs(arguments, parser)
    try:
        connection = opened(arguments)
    except Error as error:
        # No statement has run: what the options name can't be used.
        complain(str(error))
        return WRONG_USE
    with connection:
        manner = Manner(
            watched=not arguments.verbose,
            hints={
                MissingTokenError: _WITHOUT_LOGIN,
                TooManyWritesError: "(here: --max-writes N)",
                WaitTooLongError: "(here: --max-wait SECONDS)",
            },
            unbound=_UNBOUND,
            leaves=1,
        )
        runner = Runner(connection, Printer(arguments.format), manner, inputs.hidden)
        with also_masking(runner.mask):
            return runner.run(inputs.scripts, inputs.parameters)
