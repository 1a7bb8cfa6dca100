"""What the journal says about a create: it is about to be sent, and how it ended. No secrets."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import msgspec

from vercel_sql.api.decode import decode_json, encode_any_json

State: TypeAlias = Literal["answered", "unsent", "given up", "unknown", "settled"]


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="intent"):
    """A write is about to be sent whose answer shows a secret, this once.

    Attributes:
        id: tells it from others; its outcomes name it.
        at: when, in milliseconds since the epoch, by the clock of this machine. For people only.
        steady_at: when, in milliseconds since the machine started (see `steady_ms`).
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


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a create after it was sent.

    Attributes:
        state: ``answered``, and the answer was read; ``unsent``, or refused, so surely not carried
            out; ``given up`` by whoever waited for an answer that may still come; ``unknown``
            whether it was carried out; ``settled``, so that nothing is left to be done.
        id: the intent's.
        at: when this was noted, in milliseconds since the epoch.
        reason: what happened, unless it was answered or settled.
        how: how it was settled: ``given`` to whoever asked, ``revoked``, and so on.
        key: the key of the new row, where the answer has one.
        made_at: when the server made it, in milliseconds since the epoch.
        saved_in: where its secret is saved by now.
        candidates: where that is unknown, the keys of the rows that it may have made.
        since: no row that was made before is its own (ms since the epoch, by the server's clock).
        server_at: the server's time when this was noted (ms since the epoch), where it is known.
    """

    state: State = msgspec.field(name="type")
    id: str
    at: int
    reason: str | None = None
    how: str | None = None
    key: str | None = None
    made_at: int | None = None
    saved_in: str | None = None
    candidates: tuple[str, ...] = ()
    since: int | None = None
    server_at: int | None = None


class Saved(msgspec.Struct, frozen=True, kw_only=True, tag="saved"):
    """The length in bytes of a file with secrets when something was saved to it last."""

    path: str
    length: int


Record: TypeAlias = Intent | Outcome | Saved
_KINDS: dict[str, Any] = {"intent": Intent, "saved": Saved}


@dataclass(frozen=True)
class CreateHistory:
    """One create, as far as its file tells it.

    Attributes:
        intent: what was about to be sent.
        outcomes: how it ended, in order.
    """

    intent: Intent
    outcomes: tuple[Outcome, ...] = ()

    @property
    def last(self) -> Outcome | None:
        """What was said last; None where nothing was, so that it is under way or was cut off."""
        return self.outcomes[-1] if self.outcomes else None

    @property
    def answer(self) -> Outcome | None:
        """The answer, where one was read."""
        return next((o for o in reversed(self.outcomes) if o.state == "answered"), None)

    @property
    def unknowns(self) -> list[Outcome]:
        """What was found out about a create without an answer."""
        return [o for o in self.outcomes if o.state == "unknown"]

    @property
    def is_open(self) -> bool:
        """Whether something may be left to be done about it."""
        return not any(o.state in ("settled", "unsent") for o in self.outcomes)

    @property
    def is_under_way(self) -> bool:
        """Whether an answer may still come to its process, if that is alive."""
        return self.last is None or self.last.state == "given up"

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for an answer any more, or is given what a late one shows."""
        return any(o.state in ("given up", "unknown") for o in self.outcomes)


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
        content = decode_json(text)
        kind = content.get("type") if isinstance(content, dict) else None
        return cast(Record, msgspec.convert(content, _KINDS.get(str(kind), Outcome)))
    except (ValueError, TypeError, msgspec.ValidationError):
        return None


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def histories(records: Iterable[Record]) -> list[CreateHistory]:
    """What the records of one file tell, in the order of the intents."""
    told = list(records)
    return [
        CreateHistory(
            intent, tuple(o for o in told if isinstance(o, Outcome) and o.id == intent.id)
        )
        for intent in {each.id: each for each in told if isinstance(each, Intent)}.values()
    ]


def value_at(content: Any, path: Iterable[str]) -> Any:
    """What stands at a path in decoded JSON; None where nothing does."""
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content
