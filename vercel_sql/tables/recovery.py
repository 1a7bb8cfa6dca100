"""What became of the creates that a crash or a lost answer left without an end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from vercel_sql.api import Client
from vercel_sql.api.journal import STILL_COMING_MS, Snapshot, journal, now_ms, unfinished
from vercel_sql.api.journal_files import add_to
from vercel_sql.api.journal_records import Answered, Intent, Settled, Story, Unknown
from vercel_sql.api.noting import fingerprint
from vercel_sql.api.server_clock import ServerClock
from vercel_sql.errors import Error
from vercel_sql.manifest import Manifest, Method, Resource, Trace
from vercel_sql.tables.orphans import Row, candidates, listed, saved_keys

# How wrong, in milliseconds, the clock of a machine may have been that had not heard the server's.
_WRONG_CLOCK_MS = 86_400_000


class Fate(Enum):
    """What became of a create, and so whether anybody has to do something about it."""

    SAVED = "made, and its secret is saved"
    NOTHING = "nothing came of it"
    GONE = "made, and gone by now"
    PENDING = "nothing came of it yet"
    ORPHAN = "made, and its secret is lost"
    POSSIBLE = "may have been made"
    SHOWN = "made; its secret was not saved, and may not have been shown"
    UNTRACEABLE = "can't be looked up"
    ELSEWHERE = "made with another token"
    UNDECIDED = "could not be looked up"
    REVOKED = "made, and revoked now"


@dataclass(frozen=True)
class Finding:
    """One create without an end.

    Attributes:
        file: where the journal tells of it.
        intent: what was about to be sent.
        resource: what it was about; None where the manifest does not know it.
        fate: what became of it.
        rows: those that came of it, or may have.
        saved_in: where the secret is.
    """

    file: Path
    intent: Intent
    resource: Resource | None
    fate: Fate
    rows: Sequence[Row] = field(default=())
    saved_in: str | None = None

    @property
    def named(self) -> str:
        """What was asked for, in words."""
        told = self.intent.values or self.intent.about
        return ", ".join(f"{name} {value}" for name, value in told.items())

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be done about it."""
        return self.fate in (Fate.SAVED, Fate.NOTHING, Fate.GONE, Fate.REVOKED)

    @property
    def is_final(self) -> bool:
        """Whether nothing more can be found out about it, so that it is told this once."""
        beyond = self.fate is Fate.UNTRACEABLE or (self.fate is Fate.SHOWN and not self.rows)
        return self.is_over or beyond


@dataclass(frozen=True)
class Examination:
    """What became of all of them.

    Attributes:
        findings: one for each create.
        urls: other APIs that have some, which are not looked into.
        failure: why the account could not be listed; then nothing is certain.
        under_way: how many other creates a process still goes on with.
    """

    findings: Sequence[Finding]
    urls: Sequence[str] = ()
    failure: Error | None = None
    under_way: int = 0


def examine(client: Client, manifest: Manifest, *, any_token: bool) -> Examination:
    """What became of each create at this API that has no end; the account is listed for it.

    What the journal itself says needs no token and no request.

    Args:
        client: knows the API and the token.
        manifest: knows what the creates were about.
        any_token: whether creates with other tokens are looked up with this one.

    Raises:
        OSError: the journal can't be read.
    """
    here = set(client.urls.values())
    told = _cases(manifest)
    cases = [case for case in told if case.intent.url in here]
    others = sorted({case.intent.url for case in told} - here)
    account = _Account(client, any_token)
    try:
        for case in cases:
            account.look_for(case)
        account.list()
    except Error as error:
        findings = [_finding(case, account) for case in cases if not case.needs_listing]
        findings += [
            Finding(case.file, case.intent, case.resource, Fate.UNDECIDED)
            for case in cases
            if case.needs_listing
        ]
        return Examination(findings, others, error)
    # What a process was still answered, or gave to somebody, while the account was listed.
    asked = {case.intent.id for case in cases}
    cases = [case for case in _cases(manifest) if case.intent.id in asked]
    findings = [_finding(case, account) for case in cases]
    under_way = [i for i in account.noted.under_way if i.url in here]
    return Examination(findings, others, under_way=len(under_way))


def _cases(manifest: Manifest) -> list[_Case]:
    return [_Case(*each, manifest) for each in unfinished(journal().folder)]


def settle(finding: Finding) -> None:
    """Notes in the journal that nothing is left to be done about a create.

    Raises:
        OSError: it can't be written.
    """
    record = Settled(id=finding.intent.id, at=now_ms(), how=finding.fate.value)
    add_to(finding.file, record)


class _Case:
    """One create without an end, and what the manifest says about it."""

    def __init__(self, file: Path, story: Story, manifest: Manifest) -> None:
        self.file = file
        self.story = story
        self.intent = story.intent
        self.answer = story.answer
        service, _, name = self.intent.resource.partition(".")
        # Another version of this package may have noted it.
        is_known = service in manifest.service_names
        self.resource = manifest.service(service).resources.get(name) if is_known else None
        methods = {} if self.resource is None else self.resource.methods
        self.method = methods.get(self.intent.method)
        self.trace = None if self.method is None else self.method.trace

    @property
    def named(self) -> Collection[str]:
        """The keys that were named as what may have come of it."""
        told = [each for each in self.story.outcomes if isinstance(each, Unknown)]
        return told[-1].candidates if told else ()

    @property
    def needs_listing(self) -> bool:
        """Whether only the account can tell what became of it."""
        if self.trace is None or (self.answer is not None and self.answer.saved_in is not None):
            return False
        return bool(self.intent.values) if self.answer is None else self.answer.key is not None


class _Account:
    """What is there now, as far as it was asked for."""

    def __init__(self, client: Client, any_token: bool) -> None:
        self.client = client
        self._any_token = any_token
        self._rows: dict[str, list[Row]] = {}
        self._wanted: dict[str, tuple[Resource, Trace]] = {}
        self.noted = Snapshot((), frozenset())

    def is_elsewhere(self, case: _Case) -> bool:
        """Whether another token made it, which may be that of another account."""
        other = case.intent.account not in (None, self._fingerprint)
        return case.needs_listing and other and not self._any_token

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self.client.credential.bearer("vercel-sql recover"))

    def look_for(self, case: _Case) -> None:
        """Has what may have come of a create listed, where that is of any use."""
        if case.resource is None or case.trace is None:
            return
        if case.needs_listing and not self.is_elsewhere(case):
            self._wanted[case.resource.full_name] = (case.resource, case.trace)

    def list(self) -> None:
        """Lists what was asked for, and then reads what the journal knows."""
        for name, (resource, trace) in self._wanted.items():
            self._rows[name] = listed(self.client, resource, trace)
        # Afterwards: whoever made one of these rows, or is about to be told of it, has noted so.
        self.noted = journal().snapshot()

    def rows(self, case: _Case) -> Sequence[Row]:
        """The rows that a create may have made one of."""
        return self._rows.get(case.intent.resource, ())


def _finding(case: _Case, account: _Account) -> Finding:
    fate, rows, saved_in = _found(case, account)
    return Finding(case.file, case.intent, case.resource, fate, rows, saved_in)


_Found: TypeAlias = tuple[Fate, Sequence[Row], str | None]


def _found(case: _Case, account: _Account) -> _Found:
    answer = case.answer
    if answer is not None and answer.saved_in is not None:
        return Fate.SAVED, _row_of(answer), answer.saved_in
    if not case.needs_listing or case.method is None:
        return Fate.UNTRACEABLE if answer is None else Fate.SHOWN, (), None
    if account.is_elsewhere(case):
        return Fate.ELSEWHERE, (), None
    if answer is not None:
        there = [row for row in account.rows(case) if row.key == answer.key]
        fate = Fate.ORPHAN if case.story.is_given_up else Fate.SHOWN
        return (fate, there, None) if there else (Fate.GONE, _row_of(answer), None)
    return _searched(case, account, account.client.clock(case.method.server), case.method)


def _searched(case: _Case, account: _Account, clock: ServerClock, method: Method) -> _Found:
    """What became of a create without an answer."""
    intent, noted = case.intent, account.noted
    unknown = [row for row in account.rows(case) if row.key not in noted.known_keys]
    ended_at = None if case.story.last is None else case.story.last.at
    rows = candidates(unknown, intent, clock, (), ended_at)
    rows += [row for row in unknown if row.key in case.named and row not in rows]
    saved = saved_keys(intent.secrets_file, method)
    lost = [row for row in rows if row.key not in saved]
    if lost:
        # Somebody may have been given the secret, or may yet be.
        is_open = noted.is_awaited(intent) or noted.is_contested(intent)
        return Fate.ORPHAN if len(lost) == 1 and not is_open else Fate.POSSIBLE, lost, None
    if rows:
        return Fate.SAVED, rows, intent.secrets_file
    if len(case.named) == 1 and not noted.known_keys.intersection(case.named):
        # Named as what came of it, and taken away since.
        return Fate.GONE, [Row(key, 0) for key in case.named], None
    # One that was begun in times to come was begun by a clock that is wrong.
    if 0 <= _age_ms(intent, clock) < STILL_COMING_MS:
        return Fate.PENDING, (), None
    misdated = [row for row in unknown if _may_be_misdated(row, intent)]
    return Fate.POSSIBLE if misdated else Fate.NOTHING, misdated, None


def _row_of(answer: Answered) -> list[Row]:
    return [] if answer.key is None else [Row(answer.key, answer.made_at or 0)]


def _age_ms(intent: Intent, clock: ServerClock) -> int:
    """How long ago it was begun: by the server's clock, where that was known, as nobody sets it."""
    if intent.server_at is None:
        return now_ms() - intent.at
    return clock.now_ms() - intent.server_at


def _may_be_misdated(row: Row, intent: Intent) -> bool:
    """Whether a row may have come of a create whose moment only a wrong clock told."""
    is_of_it = intent.server_at is None and row.values == intent.values
    return (
        is_of_it
        and row.key not in intent.there
        and (abs(row.made_at - intent.at) < _WRONG_CLOCK_MS)
    )
