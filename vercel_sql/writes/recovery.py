"""The outcome of creates that a crash, a lost answer or a damaged file left open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from vercel_sql.errors import Error
from vercel_sql.http.client import Client
from vercel_sql.http.server_clock import ServerClock
from vercel_sql.ledger.journal import LATEST_SECONDS, fingerprint, journal, now_ms
from vercel_sql.ledger.journal_files import (
    CreateHistory,
    Intent,
    JournalFile,
    Outcome,
    add_to,
    damaged_files,
    forget_damaged,
    forget_length,
    known_keys,
    noted_lengths,
    read_all,
    set_aside,
    unfinished,
    value_at,
)
from vercel_sql.ledger.secrets_file import UNCLAIMED, SavedSecrets, read_secrets
from vercel_sql.manifest import Manifest, Method, RecoveryLookup, Resource
from vercel_sql.writes.orphans import Row, candidates, earliest, elapsed_ms, listed, proven


class Fate(Enum):
    """How a create ended."""

    SAVED = "made, and its secret is saved"
    NOTHING = "nothing was made"
    GONE = "made, and gone by now"
    PENDING = "nothing was made yet"
    ORPHAN = "made, and its secret is lost"
    POSSIBLE = "may have been made"
    SHOWN = "made; its secret was not saved, and may not have been shown"
    UNTRACEABLE = "can't be looked up"
    ELSEWHERE = "made with another token"
    UNDECIDED = "could not be looked up"
    REVOKED = "made, and revoked now"


class OpenCreate:
    """One open create, and what the manifest says about it.

    Attributes:
        file: the journal's file with its history.
        is_awaited: whether an answer may still come to its process.
        resource: its resource; None if the manifest does not know it, as for its method.
        trace: how its rows are recognized, if they are.
    """

    def __init__(self, file: JournalFile, history: CreateHistory, manifest: Manifest) -> None:
        self.file = file.path
        self.history = history
        self.intent: Intent = history.intent
        self.answer: Outcome | None = history.answer
        self.is_awaited = history.is_under_way and not file.is_left
        service, _, name = self.intent.resource.partition(".")
        # Another version of this package may have written it.
        is_known = service in manifest.service_names
        self.resource = manifest.service(service).resources.get(name) if is_known else None
        methods = {} if self.resource is None else self.resource.methods
        self.method = methods.get(self.intent.method)
        self.trace = None if self.method is None else self.method.trace

    @property
    def named(self) -> str:
        """What was asked for, in words."""
        values = self.intent.values or self.intent.about
        return ", ".join(f"{name} {value}" for name, value in values.items())

    @property
    def can_be_listed(self) -> bool:
        """Whether the account can tell how it ended."""
        if self.trace is None:
            return False
        return bool(self.intent.values) if self.answer is None else self.answer.key is not None


@dataclass(frozen=True)
class Finding:
    """How one open create ended.

    Attributes:
        create: the create.
        fate: how it ended.
        rows: those that it made, or may have made.
        saved_in: where the secret is.
    """

    create: OpenCreate
    fate: Fate
    rows: Sequence[Row] = ()
    saved_in: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do about it."""
        return self.fate in (Fate.SAVED, Fate.NOTHING, Fate.GONE, Fate.REVOKED)

    @property
    def is_final(self) -> bool:
        """Whether nothing more can be found out about it, so that it is reported only once."""
        beyond = self.fate is Fate.UNTRACEABLE or (self.fate is Fate.SHOWN and not self.rows)
        return self.is_over or beyond


@dataclass(frozen=True)
class Damage:
    """Damaged files, whose content is lost in part.

    Attributes:
        files: those of the journal, under their present names.
        secrets: those with secrets, each with what is wrong.
        rows: the rows of the account that nothing accounts for, each with its resource, newest
            first.
    """

    files: Sequence[Path] = ()
    secrets: Sequence[tuple[Path, str]] = ()
    rows: Sequence[tuple[Resource, Row]] = ()

    def __bool__(self) -> bool:
        return bool(self.files or self.secrets)


@dataclass(frozen=True)
class Examination:
    """How all open creates ended.

    Attributes:
        findings: one for each create.
        urls: other APIs with open creates, which were not asked.
        failure: why the account could not be listed; then nothing is certain.
        under_way: how many other creates a process is still working on.
        damage: the damaged files.
    """

    findings: Sequence[Finding]
    urls: Sequence[str] = ()
    failure: Error | None = None
    under_way: int = 0
    damage: Damage = Damage()


def examine(client: Client, manifest: Manifest, *, any_token: bool) -> Examination:
    """How each open create at this API ended, for which the account is listed.

    What the journal itself says needs no token and no request. A damaged file of it is set aside,
    and all creates in it count as open. Creates with other tokens are looked up with this one only
    with ``any_token``. Raises `OSError` if the journal can't be read.
    """
    folder, here = journal().folder, set(client.urls.values())
    for file in read_all(folder):
        if not file.is_whole and file.is_left:
            set_aside(file.path)
    everywhere = _open_creates(folder, manifest)
    creates = [create for create in everywhere if create.intent.url in here]
    others = sorted({create.intent.url for create in everywhere} - here)
    account = _Account(client, any_token)
    saved = _Secrets(noted_lengths(folder), creates)
    damage = Damage([file.path for file in damaged_files(folder)], saved.problems())
    try:
        for create in creates:
            account.look_for(create, saved)
        if damage:
            account.look_for_all(manifest)
        account.fetch()
    except Error as error:
        undecided = {create for create in creates if saved.leaves_open(create)}
        findings = [
            Finding(each, Fate.UNDECIDED) if each in undecided else _finding(each, account, saved)
            for each in creates
        ]
        return Examination(findings, others, error, damage=damage)
    # Read again for the answers that came, or were given to somebody, during the listing.
    asked = {create.intent.id for create in creates}
    creates = [each for each in _open_creates(folder, manifest) if each.intent.id in asked]
    files = read_all(folder)
    account.known = known_keys([*files, *damaged_files(folder)])
    findings = [_finding(create, account, saved) for create in creates]
    if damage:
        damage = replace(damage, rows=account.unaccounted(findings, saved))
    # What a process is still working on, and somebody waits for.
    going_on = [create for file in files if not file.is_left for create in file.creates]
    under_way = sum(create.last is None and create.intent.url in here for create in going_on)
    return Examination(findings, others, under_way=under_way, damage=damage)


def _open_creates(folder: Path, manifest: Manifest) -> list[OpenCreate]:
    """All open creates, those of damaged files included."""
    files = [*unfinished(folder), *map(_reopened, damaged_files(folder))]
    return [
        OpenCreate(file, each, manifest) for file in files for each in file.creates if each.is_open
    ]


def _reopened(file: JournalFile) -> JournalFile:
    """A damaged file with all of its creates open: what it says about their end does not count."""
    ends = ("settled", "unsent")
    creates = [
        replace(each, outcomes=tuple(o for o in each.outcomes if o.state not in ends))
        for each in file.creates
    ]
    return replace(file, creates=tuple(creates))


def settle(finding: Finding) -> None:
    """Notes in the journal that there is nothing left to do about a create."""
    _note(finding.create, state="settled", how=finding.fate.value)


def note_search(client: Client, finding: Finding) -> None:
    """Notes when a create was looked for in vain, which later tells how long ago it was."""
    create = finding.create
    server_at = _clock(client, create).earliest_ms()
    if finding.fate is Fate.PENDING and not create.history.unknowns and server_at is not None:
        _note(create, state="unknown", reason="it was looked up", server_at=server_at)


def _note(create: OpenCreate, **outcome: Any) -> None:
    add_to(create.file, Outcome(id=create.intent.id, at=now_ms(), **outcome))


def forget_damage(folder: Path, damage: Damage) -> None:
    """Stops reporting damaged files; they stay where they are."""
    forget_damaged(folder)
    for path, _ in damage.secrets:
        forget_length(folder, path)


def _clock(client: Client, create: OpenCreate) -> ServerClock:
    return client.clock("api" if create.method is None else create.method.server)


class _Secrets:
    """The secrets files that the journal knows; ``lengths`` are those after their last writes."""

    def __init__(self, lengths: Mapping[Path, int], creates: Iterable[OpenCreate]) -> None:
        named = [create.intent.secrets_file for create in creates]
        named += [create.answer.saved_in for create in creates if create.answer is not None]
        paths = {*lengths, *(Path(path) for path in named if path is not None)}
        self._files = {path: read_secrets(path, lengths.get(path, 0)) for path in sorted(paths)}

    def problems(self) -> list[tuple[Path, str]]:
        return [(path, file.problem) for path, file in self._files.items() if file.problem]

    def place_of(self, create: OpenCreate) -> tuple[str, Sequence[Row]] | None:
        """The file with the secret of a create, and its row; None if no file has it."""
        answer, method = create.answer, create.method
        place = create.intent.secrets_file if answer is None else answer.saved_in
        if place is None or method is None:
            return None
        key = None if answer is None else answer.key
        for line in self._files.get(Path(place), SavedSecrets()).lines:
            if _is_of(line, create.intent.id, key, method):
                made = key or value_at(line, method.trace.key if method.trace else ())
                return place, [Row(made, 0)] if isinstance(made, str) else []
        return None

    def leaves_open(self, create: OpenCreate) -> bool:
        """Whether only the account can tell how a create ended."""
        return create.can_be_listed and self.place_of(create) is None

    def keys(self, trace: RecoveryLookup, *, unclaimed: bool = False) -> set[Any]:
        """The keys of rows with a secret; or of those whose came in answers to other requests."""
        return {
            value_at(line, trace.key)
            for file in self._files.values()
            for line in file.lines
            if not unclaimed or line.get("create") == UNCLAIMED
        }


def _is_of(line: Mapping[str, Any], create: str, key: str | None, method: Method) -> bool:
    if line.get("create") == create:
        return True
    # Earlier versions did not say which create it was; a line may have been cut by then.
    needed = [c.name for c in method.returns if c.secret and c.stored and not c.optional]
    is_whole = all(isinstance(line.get(name), str) for name in needed)
    path = () if method.trace is None else method.trace.key
    return is_whole and key is not None and value_at(line, path) == key


class _Account:
    """The rows that are there now, of the resources that matter.

    Attributes:
        client: makes the requests.
        known: the keys of rows that creates are known to have made, by their answers.
    """

    def __init__(self, client: Client, any_token: bool) -> None:
        self.client = client
        self.known: frozenset[str] = frozenset()
        self._any_token = any_token
        self._rows: dict[str, list[Row]] = {}
        self._wanted: dict[str, tuple[Resource, RecoveryLookup]] = {}

    def is_elsewhere(self, create: OpenCreate) -> bool:
        """Whether another token made it, perhaps that of another account."""
        other = create.intent.account not in (None, self._fingerprint)
        return other and not self._any_token

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self.client.credential.bearer("vercel-sql recover"))

    def look_for(self, create: OpenCreate, saved: _Secrets) -> None:
        """Has the resource of a create listed, if that is of any use."""
        if create.resource is None or create.trace is None:
            return
        if saved.leaves_open(create) and not self.is_elsewhere(create):
            self._wanted[create.resource.full_name] = (create.resource, create.trace)

    def look_for_all(self, manifest: Manifest) -> None:
        """Has every resource listed that creates are recovered in."""
        for resource in manifest.resources():
            trace = None if resource.creator is None else resource.creator.trace
            if trace is not None:
                self._wanted[resource.full_name] = (resource, trace)

    def fetch(self) -> None:
        for name, (resource, trace) in self._wanted.items():
            self._rows[name] = listed(self.client, resource, trace)

    def rows(self, create: OpenCreate) -> Sequence[Row]:
        return self._rows.get(create.intent.resource, ())

    def unaccounted(
        self, findings: Iterable[Finding], saved: _Secrets
    ) -> list[tuple[Resource, Row]]:
        """The rows that no answer, secrets file or finding accounts for, newest first."""
        found = self.known | {row.key for finding in findings for row in finding.rows}
        return [
            (resource, row)
            for name, (resource, trace) in self._wanted.items()
            for row in sorted(self._rows[name], key=lambda row: -row.made_at)
            if not row.is_gone and row.key not in found | saved.keys(trace)
        ]


def _finding(create: OpenCreate, account: _Account, saved: _Secrets) -> Finding:
    answer, place = create.answer, saved.place_of(create)
    if place is not None:
        return Finding(create, Fate.SAVED, place[1], place[0])
    if not create.can_be_listed or create.method is None:
        return Finding(create, Fate.UNTRACEABLE if answer is None else Fate.SHOWN)
    if account.is_elsewhere(create):
        return Finding(create, Fate.ELSEWHERE)
    if answer is None or answer.key is None:
        return Finding(create, *_searched(create, account, saved))
    there = [row for row in account.rows(create) if row.key == answer.key and not row.is_gone]
    if not there:
        return Finding(create, Fate.GONE, [Row(answer.key, answer.made_at or 0)])
    # Only a mark proves that an answer which nobody waited for was to this create.
    is_marked = create.intent.mark is not None
    is_lost = create.history.is_given_up and answer.saved_in is None and is_marked
    return Finding(create, Fate.ORPHAN if is_lost else Fate.SHOWN, there)


def _searched(create: OpenCreate, account: _Account, saved: _Secrets) -> tuple[Fate, Sequence[Row]]:
    """How a create without an answer ended."""
    rows, intent = account.rows(create), create.intent
    assert create.trace is not None  # noqa: S101 - it can be listed
    marked = proven(rows, intent)
    own = [row for row in marked if not row.is_gone]
    if marked and not own:
        return Fate.GONE, marked
    if own:
        # Its process may still be given the answer; and a name may be copied, mark and all.
        is_certain = len(own) == 1 and not create.is_awaited
        return Fate.ORPHAN if is_certain else Fate.POSSIBLE, own
    named = [key for each in create.history.unknowns for key in each.candidates]
    if intent.mark is not None and named:
        return Fate.GONE, [Row(key, 0) for key in named]
    doubtful = saved.keys(create.trace, unclaimed=True)
    known = (account.known | saved.keys(create.trace)) - doubtful
    clock = _clock(account.client, create)
    found = candidates(rows, intent, earliest(create.history, clock), known)
    # A secret that came in an answer which did not fit may be its own all the same.
    found += [r for r in rows if r.key in doubtful and not r.is_gone and r not in found]
    if found:
        return Fate.POSSIBLE, found
    age = _age_ms(create.history, clock)
    is_over = age is not None and age >= LATEST_SECONDS * 1000 and not create.is_awaited
    return Fate.NOTHING if is_over else Fate.PENDING, ()


def _age_ms(history: CreateHistory, clock: ServerClock) -> int | None:
    """How long ago at least a create began, in milliseconds; None if unknown."""
    elapsed = elapsed_ms(history.intent)
    if elapsed is not None:
        return elapsed
    now = clock.earliest_ms()
    noted = [history.intent.server_at, *(each.server_at for each in history.unknowns)]
    moments = [moment for moment in noted if moment is not None]
    return None if now is None or not moments else now - min(moments)
