"""What the journal says of a create: it is about to be sent, and how it ended. No secrets."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import msgspec

from vercel_sql.api.decode import decode_json, encode_any_json


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="intent"):
    """A write is about to be sent whose answer shows a secret, this once.

    Attributes:
        id: tells it from others; what follows names it.
        at: when, in milliseconds since the epoch, by the clock of this machine. For people only.
        steady_at: when, in milliseconds since the machine started (see `steady_clock`).
        boot: which start of which machine that is, where the platform tells.
        server_at: a time that the server's clock had reached by then, in milliseconds since the
            epoch, where the server had told it.
        process: the name of the process that sends it; None in files of earlier versions.
        url: the base URL of the server.
        account: a fingerprint of the bearer token, where one is sent.
        resource: service and resource of the method.
        method: the name of the method.
        values: the new row's columns that are known beforehand, which it can be found by.
        mark: the random end of one of these values, which no other row has.
        about: what else is sent, without what is secret.
        secrets_file: the file that its secret will be saved in.
        there: the keys of rows that are known to have been there before.
    """

    id: str
    at: int
    steady_at: int | None = None
    boot: str | None = None
    server_at: int | None = None
    process: str | None = None
    url: str
    account: str | None = None
    resource: str
    method: str
    values: dict[str, Any] = {}
    mark: str | None = None
    about: dict[str, Any] = {}
    secrets_file: str | None = None
    there: tuple[str, ...] = ()


class Answered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="answered"):
    """It was carried out, and its answer was read.

    Attributes:
        id: the intent's.
        at: when, in milliseconds since the epoch.
        key: the key of the new row, where the answer has one.
        made_at: when the server made it, in milliseconds since the epoch.
        saved_in: where its secret is saved by now.
    """

    id: str
    at: int
    key: str | None = None
    made_at: int | None = None
    saved_in: str | None = None


class Unsent(msgspec.Struct, frozen=True, kw_only=True, tag="unsent"):
    """It surely was not carried out: it was not sent, or it was refused."""

    id: str
    at: int
    reason: str


class GivenUp(msgspec.Struct, frozen=True, kw_only=True, tag="given up"):
    """Nobody waits for its answer any more, which may still come to its process."""

    id: str
    at: int
    reason: str


class Unknown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="unknown"):
    """It may have been carried out: no answer came that says so, or that it was not.

    Attributes:
        id: the intent's.
        at: when, in milliseconds since the epoch.
        reason: what happened.
        candidates: the keys of the rows that it may have made, as far as was found out.
        since: no row that was made before is its own (ms since the epoch, by the server's clock).
        server_at: the server's time when this was noted (ms since the epoch), where it is known.
    """

    id: str
    at: int
    reason: str
    candidates: tuple[str, ...] = ()
    since: int | None = None
    server_at: int | None = None


class Settled(msgspec.Struct, frozen=True, kw_only=True, tag="settled"):
    """Nothing is left to be done about it.

    Attributes:
        id: the intent's.
        at: when, in milliseconds since the epoch.
        how: ``given`` to whoever asked, ``revoked``, and so on.
    """

    id: str
    at: int
    how: str


class Saved(msgspec.Struct, frozen=True, kw_only=True, tag="saved"):
    """How long a file with secrets was when something was saved to it last.

    Attributes:
        path: the file.
        length: its length in bytes.
    """

    path: str
    length: int


Outcome: TypeAlias = Answered | Unsent | GivenUp | Unknown | Settled
Record: TypeAlias = Intent | Outcome | Saved


@dataclass(frozen=True)
class Story:
    """One create, as far as its file tells it.

    Attributes:
        intent: what was about to be sent.
        outcomes: how it ended, in order.
    """

    intent: Intent
    outcomes: tuple[Outcome, ...] = field(default=())

    @property
    def last(self) -> Outcome | None:
        """What was said last; None where nothing was, so that it is under way or was cut off."""
        return self.outcomes[-1] if self.outcomes else None

    @property
    def answer(self) -> Answered | None:
        """The answer, where one was read."""
        return next((o for o in reversed(self.outcomes) if isinstance(o, Answered)), None)

    @property
    def is_open(self) -> bool:
        """Whether something may be left to be done about it."""
        return not any(isinstance(o, Settled | Unsent) for o in self.outcomes)

    @property
    def is_under_way(self) -> bool:
        """Whether an answer may still come to its process, if that is alive."""
        return self.last is None or isinstance(self.last, GivenUp)

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for an answer any more, or is given what a late one shows."""
        return any(isinstance(outcome, GivenUp | Unknown) for outcome in self.outcomes)

    @property
    def unknowns(self) -> list[Unknown]:
        """What was found out about a create without an answer."""
        return [outcome for outcome in self.outcomes if isinstance(outcome, Unknown)]


def encode_record(record: Record) -> str:
    """A record as one line: a checksum of the rest, and JSON."""
    text = encode_any_json(msgspec.to_builtins(record))
    return f"{_checksum(text)} {text}"


def decode_record(line: bytes) -> Record | None:
    """A record from a line; None where it is damaged, or of another version of this package."""
    try:
        text = line.decode("utf-8").removesuffix("\n")
        if not text.startswith("{"):  # lines of earlier versions have no checksum
            checksum, _, text = text.partition(" ")
            if checksum != _checksum(text):
                return None
        record: Record = msgspec.convert(decode_json(text), cast(Any, Record))
    except (ValueError, msgspec.ValidationError):
        return None
    return record


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def stories(records: Iterable[Record]) -> list[Story]:
    """What the records of one file tell, in the order of the intents."""
    intents: dict[str, Intent] = {}
    outcomes: dict[str, list[Outcome]] = {}
    for record in records:
        if isinstance(record, Intent):
            intents[record.id] = record
        elif not isinstance(record, Saved):
            outcomes.setdefault(record.id, []).append(record)
    return [Story(intent, tuple(outcomes.get(id_, ()))) for id_, intent in intents.items()]
