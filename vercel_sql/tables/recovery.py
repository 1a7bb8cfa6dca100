"""How the creates ended that a crash, a lost answer or a damaged file left without an end."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from vercel_sql.api import Client
from vercel_sql.api.journal import LATEST_SECONDS, journal, known_keys, now_ms, unfinished
from vercel_sql.api.journal_files import (
    File,
    add_to,
    damaged_files,
    forget_damaged,
    forget_length,
    noted_lengths,
    read_all,
    set_aside,
)
from vercel_sql.api.journal_records import Answered, Intent, Settled, Story, Unknown, Unsent
from vercel_sql.api.noting import fingerprint
from vercel_sql.api.secrets_file import UNCLAIMED, read_secrets
from vercel_sql.api.server_clock import ServerClock
from vercel_sql.errors import Error
from vercel_sql.manifest import Manifest, Method, Resource, Trace
from vercel_sql.tables.orphans import (
    Row,
    candidates,
    earliest,
    elapsed_ms,
    listed,
    proven,
    value_at,
)


class Fate(Enum):
    """How a create ended, and so whether anybody has to do something about it."""

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


@dataclass(frozen=True)
class Finding:
    """One create without an end.

    Attributes:
        file: where the journal tells of it.
        story: what the journal tells.
        resource: what it was about; None where the manifest does not know it.
        fate: how it ended.
        rows: those that it made; where that is only possible, that it may have made.
        saved_in: where the secret is.
    """

    file: Path
    story: Story
    resource: Resource | None
    fate: Fate
    rows: Sequence[Row] = field(default=())
    saved_in: str | None = None

    @property
    def intent(self) -> Intent:
        """What was about to be sent."""
        return self.story.intent

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
class Damage:
    """Files that can't be read whole, so that nobody knows what they told.

    Attributes:
        files: those of the journal, under the names that they have now.
        secrets: those with secrets, each with what is wrong.
        rows: the rows of the account that nothing accounts for, each with its resource, the
            newest first.
    """

    files: Sequence[Path] = ()
    secrets: Sequence[tuple[Path, str]] = ()
    rows: Sequence[tuple[Resource, Row]] = ()

    def __bool__(self) -> bool:
        return bool(self.files or self.secrets)


@dataclass(frozen=True)
class Examination:
    """How all of them ended.

    Attributes:
        findings: one for each create.
        urls: other APIs that have some, which are not looked into.
        failure: why the account could not be listed; then nothing is certain.
        under_way: how many other creates a process still goes on with.
        damage: the files that can't be read whole.
    """

    findings: Sequence[Finding]
    urls: Sequence[str] = ()
    failure: Error | None = None
    under_way: int = 0
    damage: Damage = field(default_factory=Damage)


def examine(client: Client, manifest: Manifest, *, any_token: bool) -> Examination:
    """How each create at this API ended that has no end; the account is listed for it.

    What the journal itself says needs no token and no request. A file of it that can't be read
    whole is set aside, and whatever it tells counts as open.

    Args:
        client: knows the API and the token.
        manifest: knows what the creates were about.
        any_token: whether creates with other tokens are looked up with this one.

    Raises:
        OSError: the journal can't be read.
    """
    folder, here = journal().folder, set(client.urls.values())
    for file in read_all(folder):
        if not file.is_whole and file.is_left:
            set_aside(file.path)
    told = _cases(folder, manifest)
    cases = [case for case in told if case.intent.url in here]
    others = sorted({case.intent.url for case in told} - here)
    account = _Account(client, any_token)
    saved = _Secrets(noted_lengths(folder), cases)
    damage = Damage([file.path for file in damaged_files(folder)], saved.problems())
    try:
        for case in cases:
            account.look_for(case, saved)
        if damage:
            account.look_for_all(manifest)
        account.fetch()
    except Error as error:
        findings = [
            Finding(case.file, case.story, case.resource, Fate.UNDECIDED)
            if saved.leaves_open(case)
            else _finding(case, account, saved)
            for case in cases
        ]
        return Examination(findings, others, error, damage=damage)
    # What a process was still answered, or gave to somebody, while the account was listed.
    asked = {case.intent.id for case in cases}
    cases = [case for case in _cases(folder, manifest) if case.intent.id in asked]
    files = read_all(folder)
    account.known = known_keys(files) | known_keys(damaged_files(folder))
    findings = [_finding(case, account, saved) for case in cases]
    if damage:
        damage = replace(damage, rows=account.unaccounted(findings, saved))
    return Examination(findings, others, under_way=_under_way(files, here), damage=damage)


def _under_way(files: Sequence[File], urls: Collection[str]) -> int:
    """How many creates a process goes on with, and somebody waits for."""
    going_on = [story for file in files if not file.is_left for story in file.stories]
    return sum(story.last is None and story.intent.url in urls for story in going_on)


def settle(finding: Finding, how: str | None = None) -> None:
    """Notes in the journal that nothing is left to be done about a create.

    Raises:
        OSError: it can't be written.
    """
    record = Settled(id=finding.intent.id, at=now_ms(), how=how or finding.fate.value)
    add_to(finding.file, record)


def forget_damage(folder: Path, damage: Damage) -> None:
    """Has damaged files no longer told of; they stay where they are.

    Raises:
        OSError: one can't be renamed.
    """
    forget_damaged(folder)
    for path, _ in damage.secrets:
        forget_length(folder, path)


def note_search(client: Client, finding: Finding) -> None:
    """Notes when a create was looked for in vain: that it can't be long ago tells nobody else.

    Raises:
        OSError: it can't be written.
    """
    server_at = client.clock(_server_of(finding)).earliest_ms()
    if finding.fate is Fate.PENDING and not finding.story.unknowns and server_at is not None:
        record = Unknown(
            id=finding.intent.id, at=now_ms(), reason="it was looked up", server_at=server_at
        )
        add_to(finding.file, record)


def _server_of(finding: Finding) -> str:
    methods = {} if finding.resource is None else finding.resource.methods
    method = methods.get(finding.intent.method)
    return "api" if method is None else method.server


class _Case:
    """One create without an end, and what the manifest says about it."""

    def __init__(self, file: File, story: Story, manifest: Manifest) -> None:
        self.file = file.path
        self.story = story
        self.intent = story.intent
        self.answer = story.answer
        self.is_awaited = story.is_under_way and not file.is_left
        service, _, name = self.intent.resource.partition(".")
        # Another version of this package may have noted it.
        is_known = service in manifest.service_names
        self.resource = manifest.service(service).resources.get(name) if is_known else None
        methods = {} if self.resource is None else self.resource.methods
        self.method = methods.get(self.intent.method)
        self.trace = None if self.method is None else self.method.trace

    @property
    def can_be_listed(self) -> bool:
        """Whether the account can tell how it ended."""
        if self.trace is None:
            return False
        return bool(self.intent.values) if self.answer is None else self.answer.key is not None


def _cases(folder: Path, manifest: Manifest) -> list[_Case]:
    """What has no end: whatever an ended file says that can't be read whole, too."""
    files = [*unfinished(folder), *map(_opened, damaged_files(folder))]
    return [_Case(file, s, manifest) for file in files for s in file.stories if s.is_open]


def _opened(file: File) -> File:
    """A damaged file: what ends its creates, as far as it can be read, does not count."""
    stories = [
        replace(s, outcomes=tuple(o for o in s.outcomes if not isinstance(o, Settled | Unsent)))
        for s in file.stories
    ]
    return replace(file, stories=tuple(stories))


class _Secrets:
    """What the secrets files hold that the journal knows of; each is read once.

    Args:
        lengths: how many bytes each had when something was saved to it last.
        cases: the creates whose secrets may be there.
    """

    def __init__(self, lengths: Mapping[Path, int], cases: Iterable[_Case]) -> None:
        told = [case.intent.secrets_file for case in cases]
        told += [case.answer.saved_in for case in cases if case.answer is not None]
        paths = {*lengths, *(Path(path) for path in told if path is not None)}
        self._files = {path: read_secrets(path, lengths.get(path, 0)) for path in sorted(paths)}

    def problems(self) -> list[tuple[Path, str]]:
        """The files that can't be read whole, each with what is wrong."""
        return [(path, file.problem) for path, file in self._files.items() if file.problem]

    def place_of(self, case: _Case) -> tuple[str, Sequence[Row]] | None:
        """The file that has the secret of a create, and its row; None where none has it."""
        answer, method = case.answer, case.method
        place = case.intent.secrets_file if answer is None else answer.saved_in
        if place is None or method is None:
            return None
        key = None if answer is None else answer.key
        for line in self._files[Path(place)].lines:
            if _is_of(line, case.intent.id, key, method):
                made = key or value_at(line, method.trace.key if method.trace else ())
                return place, [Row(made, 0)] if isinstance(made, str) else []
        return None

    def leaves_open(self, case: _Case) -> bool:
        """Whether only the account can tell how a create ended."""
        return case.can_be_listed and self.place_of(case) is None

    def keys(self, trace: Trace) -> set[Any]:
        """The keys of all rows whose secrets are saved."""
        return {value_at(line, trace.key) for line in self._lines}

    def unclaimed(self, trace: Trace) -> set[Any]:
        """The keys of rows whose secrets came in answers that did not fit their requests."""
        lines = [line for line in self._lines if line.get("create") == UNCLAIMED]
        return {value_at(line, trace.key) for line in lines}

    @property
    def _lines(self) -> list[dict[str, Any]]:
        return [line for file in self._files.values() for line in file.lines]


def _is_of(line: Mapping[str, Any], create: str, key: str | None, method: Method) -> bool:
    """Whether a line of a secrets file has the secrets of a create."""
    if line.get("create") == create:
        return True
    # Earlier versions did not say which create it was; a line may have been cut by then.
    needed = [c.name for c in method.returns if c.secret and c.stored and not c.optional]
    is_whole = all(isinstance(line.get(name), str) for name in needed)
    path = () if method.trace is None else method.trace.key
    return is_whole and key is not None and value_at(line, path) == key


class _Account:
    """What is there now, as far as it was asked for.

    Attributes:
        client: makes the requests.
        known: the keys of rows that creates are known to have made, by their answers.
    """

    def __init__(self, client: Client, any_token: bool) -> None:
        self.client = client
        self.known: frozenset[str] = frozenset()
        self._any_token = any_token
        self._rows: dict[str, list[Row]] = {}
        self._wanted: dict[str, tuple[Resource, Trace]] = {}

    def is_elsewhere(self, case: _Case) -> bool:
        """Whether another token made it, which may be that of another account."""
        other = case.intent.account not in (None, self._fingerprint)
        return other and not self._any_token

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self.client.credential.bearer("vercel-sql recover"))

    def look_for(self, case: _Case, saved: _Secrets) -> None:
        """Has what a create may have made listed, where that is of any use."""
        if case.resource is None or case.trace is None:
            return
        if saved.leaves_open(case) and not self.is_elsewhere(case):
            self._wanted[case.resource.full_name] = (case.resource, case.trace)

    def look_for_all(self, manifest: Manifest) -> None:
        """Has all listed that a create may have made."""
        for service in map(manifest.service, manifest.service_names):
            for resource in service.resources.values():
                trace = None if resource.creator is None else resource.creator.trace
                if trace is not None:
                    self._wanted[resource.full_name] = (resource, trace)

    def fetch(self) -> None:
        """Lists what was asked for."""
        for name, (resource, trace) in self._wanted.items():
            self._rows[name] = listed(self.client, resource, trace)

    def rows(self, case: _Case) -> Sequence[Row]:
        """The rows of the resource of a create."""
        return self._rows.get(case.intent.resource, ())

    def unaccounted(
        self, findings: Iterable[Finding], saved: _Secrets
    ) -> list[tuple[Resource, Row]]:
        """The rows that no answer, no secrets file and no finding accounts for, newest first."""
        found = {row.key for finding in findings for row in finding.rows}
        return [
            (resource, row)
            for name, (resource, trace) in self._wanted.items()
            for row in sorted(self._rows[name], key=lambda row: -row.made_at)
            if not row.is_gone and row.key not in self.known | found | saved.keys(trace)
        ]


def _finding(case: _Case, account: _Account, saved: _Secrets) -> Finding:
    fate, rows, place = _found(case, account, saved)
    return Finding(case.file, case.story, case.resource, fate, rows, place)


_Found: TypeAlias = tuple[Fate, Sequence[Row], str | None]


def _found(case: _Case, account: _Account, saved: _Secrets) -> _Found:
    answer, found = case.answer, saved.place_of(case)
    if found is not None:
        place, rows = found
        return Fate.SAVED, rows, place
    if not case.can_be_listed or case.method is None:
        return Fate.UNTRACEABLE if answer is None else Fate.SHOWN, (), None
    if account.is_elsewhere(case):
        return Fate.ELSEWHERE, (), None
    if answer is None:
        return _searched(case, account, account.client.clock(case.method.server), saved)
    rows = account.rows(case)
    there = [row for row in rows if row.key == answer.key and not row.is_gone]
    # Only a mark proves that an answer which nobody waited for was to this create.
    is_lost = case.story.is_given_up and answer.saved_in is None and case.intent.mark is not None
    fate = Fate.ORPHAN if is_lost else Fate.SHOWN
    return (fate, there, None) if there else (Fate.GONE, _row_of(answer), None)


def _searched(case: _Case, account: _Account, clock: ServerClock, saved: _Secrets) -> _Found:
    """How a create without an answer ended."""
    rows, intent = account.rows(case), case.intent
    assert case.trace is not None  # noqa: S101 - it can be listed
    marked = proven(rows, intent)
    own = [row for row in marked if not row.is_gone]
    if marked and not own:
        return Fate.GONE, marked, None
    if own:
        # Its process may still be given the answer; and a name may be copied, mark and all.
        is_certain = len(own) == 1 and not case.is_awaited
        return Fate.ORPHAN if is_certain else Fate.POSSIBLE, own, None
    named = [key for each in case.story.unknowns for key in each.candidates]
    if intent.mark is not None and named:
        return Fate.GONE, [Row(key, 0) for key in named], None
    doubtful = saved.unclaimed(case.trace)
    known = (account.known | saved.keys(case.trace)) - doubtful
    since = earliest(case.story, clock)
    found = candidates(rows, intent, since, known)
    # A secret that came in an answer which did not fit may be its own all the same.
    found += [r for r in rows if r.key in doubtful and not r.is_gone and r not in found]
    if found:
        return Fate.POSSIBLE, found, None
    age = _age_ms(case.story, clock)
    is_over = age is not None and age >= LATEST_SECONDS * 1000 and not case.is_awaited
    return Fate.NOTHING if is_over else Fate.PENDING, (), None


def _age_ms(story: Story, clock: ServerClock) -> int | None:
    """How long ago a create began at least, in milliseconds; None where nothing tells."""
    elapsed = elapsed_ms(story.intent)
    if elapsed is not None:
        return elapsed
    now = clock.earliest_ms()
    told = [story.intent.server_at, *(each.server_at for each in story.unknowns)]
    moments = [moment for moment in told if moment is not None]
    return None if now is None or not moments else now - min(moments)


def _row_of(answer: Answered | None) -> list[Row]:
    return [Row(answer.key, answer.made_at or 0)] if answer and answer.key else []
