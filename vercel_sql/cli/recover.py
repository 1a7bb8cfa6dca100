"""``vercel-sql recover``: shows the outcome of creates that a crash or a lost response cut off."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vercel_sql.cli import FAILED, FINE, ORPHANS
from vercel_sql.cli.accounts import make_client
from vercel_sql.cli.output import Output
from vercel_sql.cli.terminal import STANDARD_OUTPUT, ask, complain, terminal_width, waiting
from vercel_sql.errors import Error, OperationalError, ParameterError
from vercel_sql.http.events import caused_by
from vercel_sql.ledger.journal import journal, tidy
from vercel_sql.ledger.journal_files import journal_folder
from vercel_sql.manifest import Resource, vercel
from vercel_sql.render import Options, render_mode
from vercel_sql.sql.plan import Plan
from vercel_sql.text import say, visible
from vercel_sql.writes.orphans import deletion, in_words, revoke
from vercel_sql.writes.policy import Pace
from vercel_sql.writes.recovery import (
    Damage,
    Examination,
    Fate,
    Finding,
    examine,
    forget_damage,
    note_search,
    settle,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Sequence

    from vercel_sql.http.client import Client

_COLUMNS = ("began", "method", "named", "creates", "outcome", "id", "made", "secret", "next")
_MAX_UNACCOUNTED = 20  # rows that are listed if a file is damaged


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run the command; the exit code is 3 if somebody has to do something."""
    revokes = arguments.revoke is not None
    on_terminal = all(s is not None and s.isatty() for s in (sys.stdin, sys.stdout))
    if arguments.yes and not revokes:
        parser.error("--yes is for --revoke")
    if arguments.forget and revokes:
        parser.error("either --revoke or --forget")
    if revokes and not (arguments.yes or on_terminal):
        parser.error("--revoke asks first; without a terminal it needs --yes")
    client = make_client(arguments, read_only=arguments.revoke is None)
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


def _revoked(client: Client, examined: Examination, arguments: argparse.Namespace) -> list[Finding]:
    """Revoke what is proven, or what the person named; the findings after that."""
    findings = list(examined.findings)
    chosen = {f.create.intent.id: f for f in findings if f.fate is Fate.ORPHAN}
    if arguments.revoke:
        chosen = _chosen(examined, arguments.revoke)
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


def _chosen(examined: Examination, keys: Sequence[str]) -> dict[str, Finding]:
    """The creates of the named rows: for each the first one that is not taken yet."""
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
    assert resource is not None  # noqa: S101 - its rows are from there
    try:
        with caused_by("recover"), waiting(client.urls["api"]):
            revoke(client, resource, key)
    except Error as error:
        complain(f"{key} could not be revoked: {error}")
        return False
    return True


def _asked(client: Client, orphans: Collection[tuple[Resource | None, str]]) -> bool:
    shown = tuple(f"revoke {row}" for _resource, row in orphans)
    pace = Pace.of(client, [r.remover for r, _row in orphans if r is not None and r.remover])
    return ask(Plan("vercel-sql recover --revoke", len(shown), shown[: Plan.SHOWN], pace=pace))


def _report(client: Client, arguments: argparse.Namespace, examined: Examination) -> int:
    """Write the findings, settle those that are final, and return the exit code."""
    findings, folder = examined.findings, journal().folder
    _write(_table(client, examined), arguments.format)
    _report_damage(examined.damage)
    if examined.under_way:
        say(f"In progress at this API: {examined.under_way}. Run this again when they have ended.")
    elif not findings and not examined.damage:
        say("Nothing was cut off: all creates at this API have ended.")
    if revoked := {r.key for f in findings if f.fate is Fate.REVOKED for r in f.rows}:
        say(f"Revoked: {len(revoked)}.")
    if examined.urls:
        say(
            f"More creates were cut off at {', '.join(examined.urls)}: see them with --api-url URL."
        )
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
    for path in damage.files:
        complain(
            f"{path} was part of the journal and can't be read completely: it is damaged, or "
            "another version wrote it. It was set aside, and its creates count as open"
        )
    for path, problem in damage.secrets:
        complain(f"the secrets file {path}: {problem}. Secrets may be lost; it stays as it is")
    if len(damage.rows) > _MAX_UNACCOUNTED:
        say(
            f"{len(damage.rows)} tokens are unaccounted for; the newest {_MAX_UNACCOUNTED} are "
            "listed."
        )
    if damage:
        say("Once you have dealt with this, end these reports with vercel-sql recover --forget.")


def _write(table: pa.Table, form: str) -> None:
    """Write the findings; as a table, one line per value, since all of it has to be read."""
    if form != "table":
        Output.in_format(form).write(table, frozenset())
    elif table.num_rows:
        # Line breaks in a value are made visible: each line is one value.
        shown = table.from_pylist(
            [
                {name: visible(value) if isinstance(value, str) else value for name, value in row}
                for row in map(dict.items, table.to_pylist())
            ],
            table.schema,
        )
        options = Options(null="-")
        render_mode(shown, "line", sys.stdout, width=terminal_width(), options=options)
        sys.stdout.flush()


def _table(client: Client, examined: Examination) -> pa.Table:
    lines = [line for group in _groups(examined.findings) for line in _lines(client, group)]
    lines += _unaccounted(client, examined.damage)
    types = {name: pa.int64() if name == "creates" else pa.string() for name in _COLUMNS}
    return pa.table({n: pa.array([line[n] for line in lines], types[n]) for n in _COLUMNS})


def _groups(findings: Sequence[Finding]) -> list[list[Finding]]:
    """The findings; those that may have made the same rows are grouped, and listed once."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        intent = finding.create.intent
        is_possible = finding.fate is Fate.POSSIBLE and intent.mark is None
        alike = f"{intent.url} {intent.resource} {finding.create.named}"
        groups.setdefault(alike if is_possible else intent.id, []).append(finding)
    return list(groups.values())


def _lines(client: Client, group: Sequence[Finding]) -> list[dict[str, Any]]:
    """A line for each row that a group may have made, and at least one."""
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
    return [
        {
            **dict.fromkeys(_COLUMNS),
            "named": ", ".join(f"{name} {value}" for name, value in row.values.items()),
            "outcome": "not accounted for: it may be from a damaged file",
            "id": row.key,
            "made": in_words(row.made_at) if row.made_at else None,
            "next": f"if nobody uses it: {deletion(client, resource, row.key)}",
        }
        for resource, row in damage.rows[:_MAX_UNACCOUNTED]
    ]


def _next(client: Client, finding: Finding, key: str | None) -> str | None:
    resource = finding.create.resource
    run = "" if key is None or resource is None else deletion(client, resource, key)
    return {
        Fate.ORPHAN: run,
        Fate.POSSIBLE: f"only if nobody uses it: vercel-sql recover --revoke {key}",
        Fate.SHOWN: f"if you don't have its secret: {run}" if run else "check whether you have it",
        Fate.PENDING: "run vercel-sql recover again: the request may still arrive",
        Fate.UNTRACEABLE: "check whether it has to be repeated",
        Fate.ELSEWHERE: "run it with a token of that account, or --any-token if this is one",
        Fate.UNDECIDED: "run vercel-sql recover again",
    }.get(finding.fate)
