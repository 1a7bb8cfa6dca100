"""Faults on demand: which requests they befall, and what they are.

| kind | what happens |
| --- | --- |
| `status` | an error of that status, in Vercel's shape; the server does not act |
| `latency` | the server waits `ms` milliseconds, then acts |
| `drop_before` | the connection is closed, and the server does not act |
| `drop_after` | the server acts, then the connection is closed without an answer |
| `cut_body` | the server acts; its answer ends after half of the body, or after `bytes` |
| `garbage_body` | the server acts; status 200 with bytes that are no JSON, or with `html` |
| `repeat_cursor` | `pagination.next` is the `until` that was asked with |
| `body` | the server acts; a literal `body` takes the answer's place |
| `patch` | `patch` is laid over the answer's JSON, and `replace_text` changes its text |
| `redirect` | a redirect to `location`; the server does not act |
"""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vercel_sql.simulator._errors import invalid
from vercel_sql.simulator._json import Object

Check = tuple[str, Callable[[Any], bool]]
"""What an option must be, in words and as a test."""


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_header_text(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_headers(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _TOKEN.fullmatch(name) and _is_header_text(str(text)) for name, text in value.items()
    )


def _is_status(value: Any) -> bool:
    return type(value) is int and 200 <= value <= 599


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_text, value))


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_TEXT: Check = ("printable ASCII", _is_header_text)
_COUNT: Check = ("a whole number, 0 or more", _is_count)
_TEXT: Check = ("a string", _is_text)
_FLAG: Check = ("true or false", _is_flag)
_STATUS: Check = ("an HTTP status from 200 to 599", _is_status)
_OBJECT: Check = ("an object", _is_object)
_HEADERS: Check = ("an object of header names and printable ASCII", _is_headers)
_PAIR: Check = ("a pair of strings", _is_pair)
_ANYTHING: Check = ("anything", lambda _: True)

_COMMON: dict[str, Check] = {
    "kind": _TEXT,
    "method": _TEXT,
    "path": _TEXT,
    "times": ("a whole number from 1 on, or null", lambda v: v is None or (_is_count(v) and v > 0)),
    "after": _COUNT,
}
KINDS: Mapping[str, dict[str, Check]] = {
    "status": {
        "status": _STATUS,
        "code": _TEXT,
        "message": _TEXT,
        "extra": _OBJECT,
        "headers": _HEADERS,
        "acts": _FLAG,
    },
    "latency": {"ms": _COUNT},
    "drop_before": {},
    "drop_after": {},
    "cut_body": {"bytes": _COUNT},
    "garbage_body": {"html": _FLAG},
    "repeat_cursor": {},
    "body": {
        "status": _STATUS,
        "body": _ANYTHING,
        "content_type": _HEADER_TEXT,
        "headers": _HEADERS,
    },
    "patch": {"patch": _ANYTHING, "replace_text": _PAIR},
    "redirect": {"location": _HEADER_TEXT, "status": _STATUS, "headers": _HEADERS, "acts": _FLAG},
}
"""The options of each kind of fault, beside those that all have."""

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "status": ("status",),
    "latency": ("ms",),
    "body": ("body",),
    "redirect": ("location",),
}
_DECISIVE = frozenset(KINDS) - {"latency", "patch", "repeat_cursor"}
"""Kinds that decide how a request ends: of these, one befalls a request."""


@dataclass
class Fault:
    """One fault: befalls `times` requests (None: all) that match, after the first `after`."""

    kind: str
    method: str | None = None
    path: str | None = None
    times: int | None = 1
    after: int = 0
    options: Object = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    @classmethod
    def parse(cls, given: Any) -> "Fault":
        """Read a fault as it is posted.

        Raises:
            ApiError: It is not one (400); the message names what is wrong.
        """
        if not isinstance(given, Mapping):
            raise invalid("a fault should be object.")
        kind = given.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            raise invalid(f"`kind` should be one of {', '.join(KINDS)}.")
        checks = _COMMON | KINDS[kind]
        for name, value in given.items():
            if name not in checks:
                raise invalid(f"a {kind} fault should NOT have additional property `{name}`.")
            meaning, is_right = checks[name]
            if not is_right(value):
                raise invalid(f"`{name}` should be {meaning}.")
        for name in _REQUIRED.get(kind, ()):
            if name not in given:
                raise invalid(f"missing required property `{name}`.")
        common = {name: given[name] for name in _COMMON if name in given}
        options = {name: value for name, value in given.items() if name not in _COMMON}
        return cls(**common, options=options)

    def as_json(self) -> Object:
        """Give the fault as it was posted, and how many requests it saw and befell."""
        return {
            "kind": self.kind,
            "method": self.method,
            "path": self.path,
            "times": self.times,
            "after": self.after,
            **self.options,
            "seen": self.seen,
            "fired": self.fired,
        }

    @property
    def decisive(self) -> bool:
        """Whether it decides how a request ends."""
        return self.kind in _DECISIVE

    @property
    def acts(self) -> bool:
        """Whether the server does what it was asked before the fault shows."""
        if self.kind in ("status", "redirect"):
            return bool(self.options.get("acts", False))
        return self.kind != "drop_before"

    def matches(self, method: str, path: str, *, has_cursor: bool) -> bool:
        """Whether it is about such a request; `path` is the raw one, without the query."""
        if self.kind == "repeat_cursor" and not has_cursor:
            return False
        if self.method is not None and self.method.upper() != method:
            return False
        return self.path is None or _glob(self.path).fullmatch(path) is not None

    def count(self) -> bool:
        """Count a request that matches; say whether it is this fault's turn."""
        self.seen += 1
        return self.seen > self.after and (self.times is None or self.fired < self.times)


def _glob(pattern: str) -> re.Pattern[str]:
    """Read `*` as any run of characters, and all else as itself."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


class Faults:
    """The faults that were asked for; safe to use from any thread."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, faults: list[Fault]) -> None:
        """Add faults after those that are there."""
        with self._lock:
            self._faults += faults

    def all(self) -> list[Object]:
        """Give every fault as JSON, spent ones included."""
        with self._lock:
            return [fault.as_json() for fault in self._faults]

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str, *, has_cursor: bool) -> list[Fault]:
        """Choose the faults that befall a request.

        Latency, patches and repeated cursors join in; of those that decide how the request
        ends only the first one fires, and the next waits for the next request.
        """
        with self._lock:
            due: list[Fault] = []
            for fault in self._faults:
                if not fault.matches(method, path, has_cursor=has_cursor) or not fault.count():
                    continue
                if fault.decisive and any(other.decisive for other in due):
                    continue
                fault.fired += 1
                due.append(fault)
            return due
