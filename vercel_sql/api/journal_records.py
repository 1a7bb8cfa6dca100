"""What the journal says: a create is about to be sent, and what became of it. It has no secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import msgspec

from vercel_sql.api.decode import encode_any_json


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="intent"):
    """A write is about to be sent whose answer shows a secret, this once.

    Attributes:
        id: tells it from others; what follows names it.
        at: when, in milliseconds since the epoch, by the clock of this machine.
        server_at: the same by the server's clock, where that was known.
        url: the base URL of the server.
        account: a fingerprint of the bearer token, where one is sent.
        resource: service and resource of the method.
        method: the name of the method.
        values: the new row's columns that are known beforehand, which it can be found by.
        about: what else is sent, without what is secret.
        secrets_file: the file that its secret will be saved in.
        there: the keys of rows that are known to have been there before; none came of it.
    """

    id: str
    at: int
    server_at: int | None = None
    url: str
    account: str | None = None
    resource: str
    method: str
    values: dict[str, Any] = {}
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


class Unknown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="unknown"):
    """It may have been carried out: no answer came that says so, or that it was not.

    Attributes:
        id: the intent's.
        at: when, in milliseconds since the epoch.
        reason: what happened.
        candidates: the keys of the rows that may have come of it, as far as was found out.
    """

    id: str
    at: int
    reason: str
    candidates: tuple[str, ...] = ()


class Settled(msgspec.Struct, frozen=True, kw_only=True, tag="settled"):
    """Nothing is left to be done about it.

    Attributes:
        id: the intent's.
        at: when, in milliseconds since the epoch.
        how: ``given`` to whoever asked, ``revoked``, ``nothing came of it``, and so on.
    """

    id: str
    at: int
    how: str


Outcome: TypeAlias = Answered | Unsent | Unknown | Settled
Record: TypeAlias = Intent | Outcome


@dataclass(frozen=True)
class Story:
    """One create, as far as a file of the journal tells it.

    Attributes:
        intent: what was about to be sent.
        outcomes: what became of it, in order.
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
    def is_silent(self) -> bool:
        """Whether nothing was noted of what became of it."""
        return not self.outcomes

    @property
    def is_awaited(self) -> bool:
        """Whether an answer may still come, where its process goes on."""
        named = any(isinstance(o, Unknown) and o.candidates for o in self.outcomes)
        return self.is_open and self.answer is None and not named

    @property
    def is_blind(self) -> bool:
        """Whether it may have made a row that it could not be told by."""
        is_unsent = any(isinstance(outcome, Unsent) for outcome in self.outcomes)
        is_known = self.answer is not None and self.answer.key is not None
        return not (self.intent.values or is_unsent or is_known)

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for an answer any more, or is given what a late one shows."""
        return any(isinstance(outcome, Unknown) for outcome in self.outcomes)


def encode_record(record: Record) -> str:
    """A record as one line of JSON."""
    return encode_any_json(msgspec.to_builtins(record))


def decode_record(value: Mapping[str, Any]) -> Record | None:
    """A record from decoded JSON; None where it is none that is known."""
    try:
        record: Record = msgspec.convert(value, cast(Any, Record))
    except msgspec.ValidationError:
        return None
    return record


def stories(records: Iterable[Record]) -> list[Story]:
    """What the records of one file tell, in the order of the intents."""
    intents: dict[str, Intent] = {}
    outcomes: dict[str, list[Outcome]] = {}
    for record in records:
        if isinstance(record, Intent):
            intents[record.id] = record
        else:
            outcomes.setdefault(record.id, []).append(record)
    return [Story(intent, tuple(outcomes.get(id_, ()))) for id_, intent in intents.items()]
