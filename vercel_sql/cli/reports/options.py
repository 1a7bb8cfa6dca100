"""The options of ``vercel-sql run``."""

from __future__ import annotations

import argparse

from vercel_sql.cli.options import (
    add_connection,
    add_logging,
    add_parameters,
    add_timeout,
    guard_defaults,
)
from vercel_sql.cli.reports.outputs import BINARY, SUFFIXES

_EPILOG = """\
exit codes: 0 fine, 1 a report could not be made, 2 wrong use (nothing was requested),
3 a report has rows (--fail-if-rows) or none (--fail-if-empty), 130 interrupted;
1 comes before 3. A report that can't be made leaves the file of the last run as it was.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own options to a parser."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="a report: an SQL file of one SELECT")
    add_parameters(parser, "the value of a parameter, for each report that has it")
    add("-o", dest="format", choices=tuple(SUFFIXES), default="table", help="the format (table)")
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
        help="print nothing on success; reports that fail a rule are printed",
    )
    add(
        "--history",
        metavar="FILE",
        help="a database that vercel-sql snapshot wrote, for reports that read history",
    )
    add_timeout(parser)
    add_connection(parser)
    add_logging(parser)
    # A report only reads.
    parser.set_defaults(scripts=[], **{**guard_defaults(), "read_only": True, "max_writes": 0})
