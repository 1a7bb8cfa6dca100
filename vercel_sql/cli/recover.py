"""``vercel-sql recover``: tells how the creates ended that a crash or a lost answer cut off."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vercel_sql.cli.accounts import guarded
from vercel_sql.cli.exit_codes import FAILED, FINE, ORPHANS
from vercel_sql.cli.options import add_account
from vercel_sql.cli.streams import STANDARD_OUTPUT
from vercel_sql.errors import Error, OperationalError
from vercel_sql.escapes import visible
from vercel_sql.messages import complain, say

if TYPE_CHECKING:
    import pyarrow as pa

    from vercel_sql.api import Client
    from vercel_sql.manifest import Resource
    from vercel_sql.tables.recovery import Damage, Examination, Finding

_COLUMNS = ("began", "method", "named", "creates", "outcome", "id", "made", "secret", "next")
# So many rows that nothing accounts for are listed at most, where a file was damaged.
_MOST_UNACCOUNTED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options to a parser."""
    add = parser.add_argument
    add(
        "-o",
        dest="format",
        choices=("table", "csv", "json", "ndjson", "markdown"),
        default="table",
        help="output format (default: table)",
    )
    add(
        "--revoke",
        nargs="*",
        metavar="ID",
        help="revoke the tokens with these ids, which nobody uses; without an id, those that are "
        "proven to be yours and whose secret is lost; asks first",
    )
    add("--yes", action="store_true", help="with --revoke: don't ask")
    add(
        "--any-token",
        action="store_true",
        help="look up creates with other tokens too: this one is of the same account",
    )
    add(
        "--forget",
        action="store_true",
        help="report everything once more, then never again; nothing is revoked",
    )
    add_account(parser)
    parser.epilog = (
        "Exit codes: 0 nothing left to do, 1 the account could not be read, 2 usage error, 3 "
        "something has to be done."
    )


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Runs the command and gives its exit code: 3 where somebody has to do something."""
    wants_revoking = arguments.revoke is not None
    if arguments.yes and not wants_revoking:
        parser.error("--yes is for --revoke")
    if arguments.forget and wants_revoking:
        parser.error("either --revoke or --forget")
    if wants_revoking and not (arguments.yes or _on_terminal()):
        parser.error("--revoke asks first; without a terminal it takes --yes")
    return guarded(lambda: _recover(arguments))


def _on_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _recover(arguments: argparse.Namespace) -> int:
    from vercel_sql.cli.waiting import waiting
    from vercel_sql.ledger.journal_files import journal_folder
    from vercel_sql.manifest import vercel
    from vercel_sql.tables.recovery import examine

    client = _client(arguments)
    try:
        with waiting(client.urls["api"]):
            examined = examine(client, vercel(), any_token=arguments.any_token)
        findings = list(examined.findings)
        if arguments.revoke is not None and examined.failure is None:
            findings = _revoked(client, examined, arguments)
        return _report(client, arguments, replace(examined, findings=findings))
    except OSError as error:
        if error.filename == STANDARD_OUTPUT:
            raise
        raise OperationalError(
            f"the journal {journal_folder()} can't be used: {error.strerror or 'unknown error'}"
        ) from None
    finally:
        client.close()


def _client(arguments: argparse.Namespace) -> Client:
    from vercel_sql.api import Client, find_credential
    from vercel_sql.ledger.audit_log import chosen_log
    from vercel_sql.manifest import vercel

    provider = vercel().provider
    given = {"api": arguments.api_url, "oauth": arguments.oauth_url}
    urls = {name: url for name, url in given.items() if url}
    audit_log = chosen_log(arguments.audit_log)
    client = Client(
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
        read_only=arguments.revoke is None,
        request_timeout=arguments.request_timeout,
        audit_log=audit_log,
    )
    client.doubts.strict = arguments.strict
    return client


def _revoked(client: Client, examined: Examination, arguments: argparse.Namespace) -> list[Finding]:
    """The findings after what is proven, or what the person named, was revoked.

    Raises:
        ParameterError: an id was named that is not among what was found.
    """
    from vercel_sql.tables.recovery import Fate

    findings = list(examined.findings)
    chosen = {f.create.intent.id: f for f in findings if f.fate is Fate.ORPHAN}
    if arguments.revoke:
        chosen = _named_by_person(examined, arguments.revoke)
    orphans = {
        row.key: (f.create.resource, f"{row}: {f.create.named or f.create.intent.method}")
        for f in chosen.values()
        for row in f.rows
        if not arguments.revoke or row.key in arguments.revoke
    }
    if not arguments.yes and orphans and not _asked(client, orphans.values()):
        return findings
    gone = {key for key, (resource, _) in orphans.items() if _is_revoked(client, resource, key)}
    return [
        replace(f, fate=Fate.REVOKED, rows=own)
        if (own := [r for r in f.rows if r.key in gone]) and f.create.intent.id in chosen
        else replace(f, rows=[r for r in f.rows if r.key not in gone])
        for f in findings
    ]


def _named_by_person(examined: Examination, keys: Sequence[str]) -> dict[str, Finding]:
    """The creates that count as those of the named rows: for each the one that began first."""
    from vercel_sql.errors import ParameterError

    chosen: dict[str, Finding] = {}
    for key in keys:
        found = [f for f in examined.findings if any(row.key == key for row in f.rows)]
        if not found:
            raise ParameterError(
                f"{key} is not one of the ids listed by vercel-sql recover; nothing was revoked. "
                "Run it without --revoke to see them"
            )
        first = next((f for f in found if f.create.intent.id not in chosen), found[0])
        chosen[first.create.intent.id] = first
    return chosen


def _is_revoked(client: Client, resource: Resource | None, key: str) -> bool:
    from vercel_sql.api.causes import caused_by
    from vercel_sql.cli.waiting import waiting
    from vercel_sql.tables.orphans import revoke

    assert resource is not None  # noqa: S101 - its rows are from there
    try:
        with caused_by("recover"), waiting(client.urls["api"]):
            revoke(client, resource, key)
    except Error as error:
        complain(f"{key} could not be revoked: {error}")
        return False
    return True


def _asked(client: Client, orphans: Collection[tuple[Resource | None, str]]) -> bool:
    from vercel_sql.cli.shell.asking import ask
    from vercel_sql.sql.plan import Plan
    from vercel_sql.tables.allowance import Pace

    shown = tuple(f"revoke {row}" for _resource, row in orphans)
    pace = Pace.of(client, [r.remover for r, _row in orphans if r is not None and r.remover])
    return ask(Plan("vercel-sql recover --revoke", len(shown), shown[: Plan.SHOWN], pace=pace))


def _report(client: Client, arguments: argparse.Namespace, examined: Examination) -> int:
    """Writes what was found, strikes off what is over, and gives the exit code."""
    from vercel_sql.ledger.journal import journal, tidy
    from vercel_sql.tables.recovery import Fate, forget_damage, note_search, settle

    findings, folder = examined.findings, journal().folder
    _write(_table(client, examined), arguments.format)
    _report_damage(examined.damage)
    if examined.under_way:
        say(f"Under way at this API: {examined.under_way}. Run this again when they have ended.")
    elif not findings and not examined.damage:
        say("Nothing was cut off: all creates at this API have an end.")
    if revoked := {r.key for f in findings if f.fate is Fate.REVOKED for r in f.rows}:
        say(f"Revoked: {len(revoked)}.")
    if examined.urls:
        say(f"Others were cut off at {', '.join(examined.urls)}: --api-url URL looks into them.")
    if examined.failure is not None:
        settled = "" if arguments.forget else ", so nothing is settled"
        complain(f"the account could not be read{settled}: {examined.failure}")
        if not arguments.forget:
            return FAILED
    for finding in findings:
        if finding.is_final or arguments.forget:
            settle(finding)
        else:
            note_search(client, finding)
    if arguments.forget:
        forget_damage(folder, examined.damage)
    tidy(folder)
    is_over = not examined.damage and all(finding.is_over for finding in findings)
    return FINE if arguments.forget or is_over else ORPHANS


def _report_damage(damage: Damage) -> None:
    """Says which files can't be read whole, and what that means."""
    for path in damage.files:
        complain(
            f"{path} was part of the journal and can't be read whole: it is damaged, or another "
            "version wrote it. It was set aside, and its creates count as open"
        )
    for path, problem in damage.secrets:
        complain(f"the secrets file {path}: {problem}. Secrets may be lost; it stays as it is")
    if len(damage.rows) > _MOST_UNACCOUNTED:
        say(
            f"Of {len(damage.rows)} tokens that nothing accounts for, the newest "
            f"{_MOST_UNACCOUNTED} are listed."
        )
    if damage:
        say("When you have dealt with it, vercel-sql recover --forget ends these reports.")


def _write(table: pa.Table, form: str) -> None:
    """Writes what was found; for people, a line for each value, since all of it has to be read."""
    from vercel_sql.cli.output import Printer, terminal_width
    from vercel_sql.render import Options, render_mode

    if form != "table":
        Printer(form).write(table, frozenset())
    elif table.num_rows:
        width, options = terminal_width(), Options(null="-")
        # Each value has a line of its own, and none begins another.
        shown = table.from_pylist(
            [
                {name: visible(value) if isinstance(value, str) else value for name, value in row}
                for row in map(dict.items, table.to_pylist())
            ],
            table.schema,
        )
        render_mode(shown, "line", sys.stdout, width=width, options=options)
        sys.stdout.flush()


def _table(client: Client, examined: Examination) -> pa.Table:
    import pyarrow as pa

    lines = [line for group in _groups(examined.findings) for line in _lines(client, group)]
    lines += _unaccounted(client, examined.damage)
    columns = {name: [line[name] for line in lines] for name in _COLUMNS}
    types = {name: pa.int64() if name == "creates" else pa.string() for name in _COLUMNS}
    return pa.table({name: pa.array(column, types[name]) for name, column in columns.items()})


def _groups(findings: Sequence[Finding]) -> list[list[Finding]]:
    """The findings, those together that may have made the same rows: each is listed once."""
    from vercel_sql.tables.recovery import Fate

    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        intent = finding.create.intent
        is_possible = finding.fate is Fate.POSSIBLE and intent.mark is None
        alike = f"{intent.url} {intent.resource} {finding.create.named}"
        groups.setdefault(alike if is_possible else intent.id, []).append(finding)
    return list(groups.values())


def _lines(client: Client, group: Sequence[Finding]) -> list[dict[str, Any]]:
    """One line for each row that some creates made, or may have made, and at least one."""
    from vercel_sql.tables.orphans import in_words

    first = min(group, key=lambda finding: finding.create.intent.at)
    intent = first.create.intent
    rows = {row.key: row for finding in group for row in finding.rows}
    return [
        {
            "began": in_words(intent.at),
            "method": f"{intent.resource}.{intent.method}",
            "named": first.create.named or None,
            "creates": len(group),
            "outcome": first.fate.value,
            "id": row.key if row else None,
            "made": in_words(row.made_at) if row and row.made_at else None,
            "secret": first.saved_in,
            "next": _next(client, first, row.key if row else None),
        }
        for row in rows.values() or [None]
    ]


def _unaccounted(client: Client, damage: Damage) -> list[dict[str, Any]]:
    from vercel_sql.tables.orphans import deletion, in_words

    return [
        {
            **dict.fromkeys(_COLUMNS),
            "named": ", ".join(f"{name} {value}" for name, value in row.values.items()),
            "outcome": "not accounted for: a damaged file may have told of it",
            "id": row.key,
            "made": in_words(row.made_at) if row.made_at else None,
            "next": f"if nobody uses it: {deletion(client, resource, row.key)}",
        }
        for resource, row in damage.rows[:_MOST_UNACCOUNTED]
    ]


def _next(client: Client, finding: Finding, key: str | None) -> str | None:
    """What to do about it; None where nothing is left to do."""
    from vercel_sql.tables.orphans import deletion
    from vercel_sql.tables.recovery import Fate

    resource = finding.create.resource
    run = "" if key is None or resource is None else deletion(client, resource, key)
    return {
        Fate.ORPHAN: run,
        Fate.POSSIBLE: f"only if nobody uses it: vercel-sql recover --revoke {key}",
        Fate.SHOWN: f"if you do not have its secret: {run}" if run else "see whether you have it",
        Fate.PENDING: "run vercel-sql recover again: the request may still arrive",
        Fate.UNTRACEABLE: "see whether it has to be done again",
        Fate.ELSEWHERE: "run it with a token of that account, or --any-token if this is one",
        Fate.UNDECIDED: "run vercel-sql recover again",
    }.get(finding.fate)
