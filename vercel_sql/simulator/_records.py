"""What the simulated API received, in order."""

import threading
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from vercel_sql.simulator._json import Object, decode


@dataclass
class ReceivedRequest:
    """One request as it came, and what became of it.

    `path` is percent-encoded as it was on the wire. `status` is None where the connection
    was closed without an answer. `acted` is True where the endpoint did what it was asked,
    whether or not its answer reached the caller. `authorization` is kept: this is a double.
    """

    index: int
    time_ms: int
    method: str
    path: str
    decoded_path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any = None
    form: list[tuple[str, str]] | None = None
    status: int | None = None
    token_id: str | None = None
    acted: bool = False
    faults: list[str] = field(default_factory=list)

    def as_json(self) -> Object:
        """Give the record as `GET /_simulator/requests` shows it."""
        return asdict(self)

    def read_body(self, body: bytes) -> None:
        """Note the body: parsed where it is JSON, else as text; None where there is none."""
        if not body:
            return
        content_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        text = body.decode(errors="replace")
        if content_type == "application/x-www-form-urlencoded":
            self.form = parse_qsl(text, keep_blank_values=True)
            self.body = text
            return
        try:
            self.body = decode(body)
        except ValueError:
            self.body = text


class Recorder:
    """Keeps the records; safe to use from any thread."""

    def __init__(self) -> None:
        self._records: list[ReceivedRequest] = []
        self._lock = threading.Lock()

    def add(self, record: ReceivedRequest) -> None:
        """Keep a record, which may still be filled in; its index is set here."""
        with self._lock:
            record.index = len(self._records)
            self._records.append(record)

    def all(self) -> list[ReceivedRequest]:
        """Give a copy of each record, in the order in which the requests arrived."""
        with self._lock:
            return [replace(record) for record in self._records]

    def clear(self) -> None:
        """Forget all records."""
        with self._lock:
            self._records.clear()
