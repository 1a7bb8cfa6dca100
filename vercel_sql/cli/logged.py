"""Runs a command while its log goes where the options say."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack

from vercel_sql.cli.exit_codes import WRONG_USE
from vercel_sql.errors import OperationalError
from vercel_sql.messages import complain


def logged(arguments: argparse.Namespace, run: Callable[[], int]) -> int:
    """Runs a command and gives its exit code.

    Warnings go to standard error in any case.
    """
    # Imported here: the help of a command does not wait for what there is to log.
    import logging
    import warnings

    from vercel_sql.errors import DataWarning
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
