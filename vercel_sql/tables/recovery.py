"""What became of the creates that a crash or a lost answer left without an end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path

from vercel_sql.api import Client
from vercel_sql.api.journal import journal, now_ms, unfinished
from vercel_sql.api.journal_files import add_to
from vercel_sql.api.journal_records import Answered, Intent, Settled, Story, Unknown
from vercel_sql.api.noting import fingerprint
from vercel_sql.api.server_clock import ServerClock
from vercel_sql.errors import Error
from vercel_sql.manifest import Manifest, Resource, Trace
from vercel_sql.tables.orphans import Row, candidates, listed, saved_keys

# For so long, in milliseconds, a request that nothing has come of may still be under way.
STILL_COMING_MS = 300_000


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
    """

    findings: Sequence[Finding]
    urls: Sequence[str] = ()
    failure: Error | None = None


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
    told = [_Case(*each, manifest) for each in unfinished(journal().folder)]
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
    return Examination([_finding(case, account) for case in cases], others)


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
        self.answered: Collection[str] = ()

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
        # Afterwards: whoever made one of these rows has noted so before.
        self.answered = journal().known_keys()

    def rows(self, case: _Case) -> Sequence[Row]:
        """The rows that a create may have made one of."""
        return self._rows.get(case.intent.resource, ())


def _finding(case: _Case, account: _Account) -> Finding:
    def found(fate: Fate, rows: Sequence[Row] = (), saved_in: str | None = None) -> Finding:
        return Finding(case.file, case.intent, case.resource, fate, rows, saved_in)

    if case.answer is not None and case.answer.saved_in is not None:
        return found(Fate.SAVED, _row_of(case.answer), case.answer.saved_in)
    if not case.needs_listing or case.method is None:
        return found(Fate.UNTRACEABLE if case.answer is None else Fate.SHOWN)
    if account.is_elsewhere(case):
        return found(Fate.ELSEWHERE)
    if case.answer is not None:
        there = [row for row in account.rows(case) if row.key == case.answer.key]
        fate = Fate.ORPHAN if case.story.is_given_up else Fate.SHOWN
        return found(fate, there) if there else found(Fate.GONE, _row_of(case.answer))
    clock = account.client.clock(case.method.server)
    ended_at = None if case.story.last is None else case.story.last.at
    rows = candidates(account.rows(case), case.intent, clock, account.answered, ended_at)
    rows += [row for row in account.rows(case) if row.key in case.named and row not in rows]
    saved = saved_keys(case.intent.secrets_file, case.method)
    lost = [row for row in rows if row.key not in saved]
    if len(lost) == 1:
        return found(Fate.ORPHAN, lost)
    if lost:
        return found(Fate.POSSIBLE, lost)
    if rows:
        return found(Fate.SAVED, rows, case.intent.secrets_file)
    return found(Fate.PENDING if _age_ms(case.intent, clock) < STILL_COMING_MS else Fate.NOTHING)


def _row_of(answer: Answered) -> list[Row]:
    return [] if answer.key is None else [Row(answer.key, answer.made_at or 0)]


def _age_ms(intent: Intent, clock: ServerClock) -> int:
    """How long ago it was begun, by whichever clock was not set meanwhile."""
    ages = [now_ms() - intent.at]
    ages += [] if intent.server_at is None else [clock.now_ms() - intent.server_at]
    return max(ages)
