"""``vercel-sql recover``: says what came of the creates that a crash or a lost answer cut off."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vercel_sql.cli.accounts import guarded, say
from vercel_sql.cli.exit_codes import FAILED, FINE, ORPHANS
from vercel_sql.cli.options import add_account
from vercel_sql.cli.streams import STANDARD_OUTPUT
from vercel_sql.errors import Error, OperationalError

if TYPE_CHECKING:
    import pyarrow as pa

    from vercel_sql.api import Client
    from vercel_sql.tables.recovery import Examination, Finding

_COLUMNS = ("began", "method", "named", "outcome", "id", "made", "secret", "next")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to a parser."""
    add = parser.add_argument
    add(
        "-o",
        dest="format",
        choices=("table", "csv", "json", "ndjson", "markdown"),
        default="table",
        help="how the creates are written (table)",
    )
    add(
        "--revoke",
        action="store_true",
        help="revoke what surely came of a create and whose secret is lost; asks first",
    )
    add("--yes", action="store_true", help="with --revoke: do not ask")
    add(
        "--any-token",
        action="store_true",
        help="look up creates with other tokens too: this one is of the same account",
    )
    add(
        "--forget",
        action="store_true",
        help="tell all that there is to tell this once, and strike it off; nothing is revoked",
    )
    add_account(parser)
    parser.epilog = (
        "Exit codes: 0 nothing is left to do, 1 the account could not be asked, 2 wrong use, 3 "
        "somebody has to do something."
    )


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Runs the command and gives its exit code: 3 where somebody has to do something."""
    if arguments.yes and not arguments.revoke:
        parser.error("--yes is for --revoke")
    if arguments.forget and arguments.revoke:
        parser.error("either --revoke or --forget")
    if arguments.revoke and not (arguments.yes or _on_terminal()):
        parser.error("--revoke asks first; without a terminal it takes --yes")
    return guarded(lambda: _recover(arguments))


def _on_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _recover(arguments: argparse.Namespace) -> int:
    from vercel_sql.api.journal_files import journal_folder
    from vercel_sql.manifest import vercel
    from vercel_sql.tables.recovery import examine

    client = _client(arguments)
    try:
        examined = examine(client, vercel(), any_token=arguments.any_token)
        findings = list(examined.findings)
        if arguments.revoke and examined.failure is None:
            findings = _revoked(client, findings, ask=not arguments.yes)
        return _told(client, arguments, replace(examined, findings=findings))
    except OSError as error:
        if error.filename == STANDARD_OUTPUT:
            raise
        raise OperationalError(
            f"the journal {error.filename or journal_folder()} can't be used: "
            f"{error.strerror or 'unknown error'}"
        ) from None
    finally:
        client.close()


def _client(arguments: argparse.Namespace) -> Client:
    from vercel_sql.api import Client, find_credential
    from vercel_sql.api.audit_log import chosen_log
    from vercel_sql.manifest import vercel

    provider = vercel().provider
    given = {"api": arguments.api_url, "oauth": arguments.oauth_url}
    urls = {name: url for name, url in given.items() if url}
    audit_log = chosen_log(arguments.audit_log)
    return Client(
        provider,
        find_credential(
            provider,
            None,
            arguments.token_file,
            urls=urls,
            audit_log=audit_log,
            request_timeout=arguments.request_timeout,
        ),
        urls=urls,
        read_only=not arguments.revoke,
        request_timeout=arguments.request_timeout,
        audit_log=audit_log,
    )


def _revoked(client: Client, findings: Sequence[Finding], *, ask: bool) -> list[Finding]:
    """The findings, with those that are orphans for certain revoked, where the person says so."""
    from vercel_sql.api.causes import caused_by
    from vercel_sql.cli.output import complain
    from vercel_sql.tables.orphans import revoke
    from vercel_sql.tables.recovery import Fate

    orphans = {f.rows[0].key: f for f in findings if f.fate is Fate.ORPHAN}
    shown = [f"{f.named or f.intent.method}: {f.rows[0]}" for f in orphans.values()]
    if not orphans or (ask and not _asked(shown)):
        return list(findings)
    gone = set()
    for key, finding in orphans.items():
        assert finding.resource is not None  # noqa: S101 - its rows are from there
        try:
            with caused_by("recover"):
                revoke(client, finding.resource, key)
        except Error as error:
            complain(f"{key} could not be revoked: {error}")
        else:
            gone.add(key)
    return [
        replace(f, fate=Fate.REVOKED) if f.fate is Fate.ORPHAN and f.rows[0].key in gone else f
        for f in findings
    ]


def _asked(rows: Sequence[str]) -> bool:
    from vercel_sql.cli.shell.asking import ask
    from vercel_sql.sql.running import Plan

    shown = tuple(f"revoke {row}" for row in rows)
    return ask(Plan("vercel-sql recover --revoke", len(shown), shown[: Plan.SHOWN]))


def _told(client: Client, arguments: argparse.Namespace, examined: Examination) -> int:
    """Writes what was found, strikes off what is over, and gives the exit code."""
    from vercel_sql.api.journal import journal, tidy
    from vercel_sql.cli.output import complain
    from vercel_sql.tables.recovery import Fate, settle

    findings = examined.findings
    _write(_table(client, findings), arguments.format)
    if examined.under_way:
        say(f"Under way at this API: {examined.under_way}. Run this again when they have ended.")
    elif not findings:
        say("Nothing was cut off: all creates at this API have an end.")
    if revoked := sum(finding.fate is Fate.REVOKED for finding in findings):
        say(f"Revoked: {revoked}.")
    if examined.urls:
        say(f"Others were cut off at {', '.join(examined.urls)}: --api-url URL looks into them.")
    if examined.failure is not None:
        settled = "" if arguments.forget else ", so nothing is settled"
        complain(f"the account could not be looked into{settled}: {examined.failure}")
        if not arguments.forget:
            return FAILED
    for finding in findings:
        if finding.is_final or arguments.forget:
            settle(finding)
    tidy(journal().folder)
    return FINE if arguments.forget or all(f.is_over for f in findings) else ORPHANS


def _write(table: pa.Table, form: str) -> None:
    """Writes what was found; for people, a line for each value, since all of it has to be read."""
    from vercel_sql.cli.output import Printer, terminal_width
    from vercel_sql.render import Options, render_mode

    if form != "table":
        Printer(form).write(table, frozenset())
    elif table.num_rows:
        width, options = terminal_width(), Options(null="-")
        render_mode(table, "line", sys.stdout, width=width, options=options)
        sys.stdout.flush()


def _table(client: Client, findings: Sequence[Finding]) -> pa.Table:
    import pyarrow as pa

    lines = [line for finding in findings for line in _lines(client, finding)]
    columns = {name: [line[name] for line in lines] for name in _COLUMNS}
    return pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})


def _lines(client: Client, finding: Finding) -> list[dict[str, str | None]]:
    """One line for each row that may have come of a create, and at least one."""
    from vercel_sql.tables.orphans import in_words

    intent = finding.intent
    line: dict[str, str | None] = {
        "began": in_words(intent.at),
        "method": f"{intent.resource}.{intent.method}",
        "named": finding.named or None,
        "outcome": finding.fate.value,
        "id": None,
        "made": None,
        "secret": finding.saved_in,
        "next": _next(client, finding, None),
    }
    if not finding.rows:
        return [line]
    return [
        {
            **line,
            "id": row.key,
            "made": in_words(row.made_at) if row.made_at else None,
            "next": _next(client, finding, row.key),
        }
        for row in finding.rows
    ]


def _next(client: Client, finding: Finding, key: str | None) -> str | None:
    """What to do about it; None where nothing is left to do."""
    from vercel_sql.tables.lost import deletion
    from vercel_sql.tables.recovery import Fate

    run = "" if key is None or finding.resource is None else deletion(client, finding.resource, key)
    return {
        Fate.ORPHAN: run,
        Fate.POSSIBLE: f"if nobody uses it: {run}",
        Fate.SHOWN: f"if you do not have its secret: {run}" if run else "see whether you have it",
        Fate.PENDING: "run vercel-sql recover again in some minutes",
        Fate.UNTRACEABLE: "see whether it has to be done again",
        Fate.ELSEWHERE: "run it with a token of that account, or --any-token if this is one",
        Fate.UNDECIDED: "run vercel-sql recover again",
    }.get(finding.fate)
