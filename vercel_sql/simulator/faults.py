"""Faults on demand: which requests they apply to, and what they do.

| kind | what happens |
| --- | --- |
| `status` | an error of that status, in Vercel's shape; the server does not act |
| `latency` | the server waits `ms` milliseconds, then acts; with `acts_first`, the reverse |
| `hang` | no answer for `ms` (default: until either side closes); then the connection is closed |
| `drop_before` | the connection is closed, and the server does not act |
| `drop_after` | the server acts, then the connection is closed without an answer |
| `cut_body` | the server acts; its answer ends after half of the body, or after `bytes` |
| `drip` | the server acts; `bytes` (1) of the body go out every `ms`, after the headers |
| `garbage_body` | the server acts; status 200 with bytes that aren't JSON, or with `html` |
| `repeat_cursor` | `pagination.next` is the `until` of the request |
| `page` | a listing has `rows` more rows than it should, included in its count |
| `body` | the server acts; a literal `body`, or `raw` bytes in base64, replaces the answer |
| `patch` | `patch` is merged into the answer's JSON, and `replace_text` changes its text |
| `clock_skew` | the `Date` header is wrong by `seconds`, which may be negative |
| `redirect` | a redirect to `location`; the server does not act |

With `acts`, the server acts before a `status`, `hang` or `redirect`. A `drip` with `headers_first`
false sends the headers with the first piece of the body. `body` keeps its `headers` as they are,
such as a `Content-Encoding`.

A fault applies to requests of its `method`, `path` (with `*` for anything) and `match`, a part of
the body's text, such as the name of one token. It skips the first `after` of them, and then hits
each with `probability` (1), until it has hit `times` (1; null: no limit).
"""

import re
import threading
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from vercel_sql.simulator.messages import ApiError, Connection, Object, Response, decode, encode
from vercel_sql.simulator.models import ReceivedRequest

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_GARBAGE = b"\x00\xff\xfe not JSON, not even text \x80\x81"
_HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_header_text(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _is_headers(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _HEADER_NAME.fullmatch(name) and _is_header_text(str(text)) for name, text in value.items()
    )


def _is_base64(value: Any) -> bool:
    try:
        return isinstance(value, str) and b64decode(value, validate=True) is not None
    except ValueError:
        return False


_Check = tuple[str, Callable[[Any], bool]]
_TEXT: _Check = ("a string", _is_text)
_FLAG: _Check = ("true or false", lambda v: isinstance(v, bool))
_COUNT: _Check = ("a whole number, 0 or more", lambda v: type(v) is int and v >= 0)
_REAL = (int, float)

_COMMON = ("kind", "method", "path", "match", "times", "after", "probability")
"""The options that all kinds have."""

_OPTIONS: Mapping[str, _Check] = {
    **dict.fromkeys(("kind", "method", "path", "match", "code", "message"), _TEXT),
    **dict.fromkeys(("after", "ms", "bytes", "rows"), _COUNT),
    **dict.fromkeys(("acts", "acts_first", "headers_first", "html"), _FLAG),
    "drip bytes": ("a whole number, 1 or more", lambda v: type(v) is int and v > 0),
    "times": (
        "a whole number from 1 on, or null",
        lambda v: v is None or (type(v) is int and v > 0),
    ),
    "probability": (
        "a number greater than 0, 1 at most",
        lambda v: type(v) in _REAL and 0 < v <= 1,
    ),
    "seconds": (
        "a number from -1000000000 to 1000000000",
        lambda v: type(v) in _REAL and abs(v) <= 10**9,
    ),
    "status": ("an HTTP status from 200 to 599", lambda v: type(v) is int and 200 <= v <= 599),
    "extra": ("an object", lambda v: isinstance(v, dict)),
    "headers": ("an object of header names and printable ASCII", _is_headers),
    "location": ("printable ASCII", _is_header_text),
    "content_type": ("printable ASCII", _is_header_text),
    "raw": ("base64", _is_base64),
    "replace_text": (
        "a pair of strings",
        lambda v: isinstance(v, list | tuple) and len(v) == 2 and all(map(_is_text, v)),
    ),
    "body": ("anything", lambda _: True),
    "patch": ("anything", lambda _: True),
}
"""What each option must be, in words and as a test; a kind may have its own."""

_KINDS: Mapping[str, tuple[str, str]] = {
    "status": ("status", "code message extra headers acts"),
    "latency": ("ms", "acts_first"),
    "hang": ("", "ms acts"),
    "drop_before": ("", ""),
    "drop_after": ("", ""),
    "cut_body": ("", "bytes"),
    "drip": ("ms", "bytes headers_first"),
    "garbage_body": ("", "html"),
    "repeat_cursor": ("", ""),
    "page": ("rows", ""),
    "body": ("body raw", "status content_type headers"),
    "patch": ("", "patch replace_text"),
    "clock_skew": ("seconds", ""),
    "redirect": ("location", "status headers acts"),
}
"""The options of each kind: those of which exactly one is required, and those that may be there."""


@dataclass
class Fault:
    """One fault: hits `times` matching requests (None: all) after the first `after`.

    `random` decides if the `probability` is less than 1.
    """

    kind: str
    method: str | None = None
    path: str | None = None
    match: str | None = None
    times: int | None = 1
    after: int = 0
    probability: float = 1
    options: Object = field(default_factory=dict)
    seen: int = 0
    fired: int = 0
    random: Random = field(default_factory=Random, repr=False, compare=False)

    @classmethod
    def parse(cls, given: Any) -> "Fault":
        """Read a posted fault; a ValueError says what is wrong with it."""
        _check(given)
        common = {name: given[name] for name in _COMMON if name in given}
        options = {name: value for name, value in given.items() if name not in _COMMON}
        return cls(**common, options=options)

    def as_json(self) -> Object:
        """Return the fault as it was posted, and how many requests it saw and hit."""
        common = {name: getattr(self, name) for name in _COMMON}
        return {**common, **self.options, "seen": self.seen, "fired": self.fired}

    @property
    def decisive(self) -> bool:
        """Whether it decides how a request ends; at most one of these hits a request."""
        return self.kind not in ("latency", "patch", "page", "repeat_cursor", "clock_skew")

    @property
    def acts(self) -> bool:
        if self.kind in ("status", "hang", "redirect"):
            return bool(self.options.get("acts", False))
        return self.kind != "drop_before"

    def matches(self, method: str, path: str, body: str, *, has_cursor: bool) -> bool:
        """Whether it applies to such a request; `path` is the raw one, without the query."""
        pattern = ".*".join(map(re.escape, ("*" if self.path is None else self.path).split("*")))
        return (
            (self.match is None or self.match in body)
            and (self.kind != "repeat_cursor" or has_cursor)
            and (self.method is None or self.method.upper() == method)
            and re.fullmatch(pattern, path, re.DOTALL) is not None
        )

    def instead(self) -> Response | None:
        """Make the answer that a `status` or `redirect` gives instead of the endpoint's."""
        if self.kind not in ("status", "redirect"):
            return None
        if self.kind == "redirect":
            status = self.options.get("status", 307)
            answer = Response(status=status, headers={"Location": self.options["location"]})
        else:
            shown = {name: self.options.get(name) for name in ("message", "code", "extra")}
            answer = ApiError(self.options["status"], **shown).response
        answer.set_headers(self.options.get("headers", {}))
        return answer

    def count(self) -> bool:
        """Count a request that matches; say whether it is this fault's turn."""
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.fired >= self.times):
            return False
        return self.probability >= 1 or self.random.random() < self.probability


def _check(given: Any) -> None:
    if not isinstance(given, Mapping):
        raise ValueError("a fault should be object.")  # noqa: TRY004
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"`kind` should be one of {', '.join(_KINDS)}.")
    required, optional = (words.split() for words in _KINDS[kind])
    for name, value in given.items():
        if name not in (*_COMMON, *required, *optional):
            raise ValueError(f"a {kind} fault should NOT have additional property `{name}`.")
        meaning, is_right = _OPTIONS.get(f"{kind} {name}") or _OPTIONS[name]
        if not is_right(value):
            raise ValueError(f"`{name}` should be {meaning}.")
    count = sum(name in given for name in required)
    named = " or ".join(f"`{name}`" for name in required)
    if required and count == 0:
        raise ValueError(f"missing required property {named}.")
    if count > 1:
        raise ValueError(f"should have {named}, not both.")


class Faults:
    """The requested faults; safe to use from any thread.

    Each fault has its own random sequence, which depends on the seed and on how many faults came
    before it, and not on what others draw.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._faults: list[Fault] = []
        self._added = 0
        self._lock = threading.Lock()

    def add(self, given: Iterable[Any]) -> None:
        """Add faults as they are posted, all or none; a ValueError names what is wrong."""
        faults = [Fault.parse(each) for each in given]
        with self._lock:
            for fault in faults:
                fault.random.seed(f"{self._seed}/{self._added}")
                self._added += 1
            self._faults += faults

    def all(self) -> list[Object]:
        with self._lock:
            return [fault.as_json() for fault in self._faults]

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str, body: str, *, has_cursor: bool) -> list[Fault]:
        """Choose the faults that hit a request.

        Of those that decide how the request ends, only the first fires; all others join in.
        """
        with self._lock:
            due: list[Fault] = []
            for fault in self._faults:
                about_it = fault.matches(method, path, body, has_cursor=has_cursor)
                if not about_it or not fault.count():
                    continue
                if not (fault.decisive and any(other.decisive for other in due)):
                    fault.fired += 1
                    due.append(fault)
            return due


def spoiled(answer: Response, due: Iterable[Fault], cursor: str | None) -> Response:
    """Let faults change an answer; one that does not fit the answer shows as a 500."""
    for fault in due:
        try:
            _spoil(answer, fault, cursor)
        except (LookupError, ValueError) as error:
            message = f"The {fault.kind} fault does not fit the answer: {error}"
            return ApiError(500, message).response
    return answer


def _spoil(answer: Response, fault: Fault, cursor: str | None) -> None:
    options = fault.options
    match fault.kind:
        case "garbage_body":
            answer.status = 200
            if options.get("html", False):
                answer.set_body(_HTML, "text/html; charset=utf-8")
            else:
                answer.set_body(_GARBAGE, "application/json")
        case "body":
            body = b64decode(options["raw"]) if "raw" in options else options["body"]
            body = body.encode() if isinstance(body, str) else body
            answer.status = options.get("status", 200)
            answer.set_body(
                body if isinstance(body, bytes) else encode(body),
                options.get("content_type", "application/json"),
            )
            answer.set_headers(options.get("headers", {}))
        case "page" if answer.status == 200:
            _lengthen(answer, options["rows"])
        case "patch":
            body = answer.body
            if "patch" in options:
                body = encode(_merge(decode(body), options["patch"]))
            old, new = options.get("replace_text", ("", ""))
            answer.set_body(body.replace(old.encode(), new.encode()), "application/json")
        case "repeat_cursor" if cursor is not None:
            again = int(cursor) if cursor.isdecimal() else cursor
            patch = {"pagination": {"next": again}}
            answer.set_body(encode(_merge(decode(answer.body), patch)), "application/json")


def _lengthen(answer: Response, count: int) -> None:
    """Append made-up rows to a listing's page; they look like its last row."""
    value = decode(answer.body)
    value = value if isinstance(value, dict) else {}
    lists = [each for each in value.values() if isinstance(each, list) and each]
    rows = next((each for each in lists if isinstance(each[-1], dict)), None)
    if rows is None or not isinstance(value.get("pagination"), dict):
        raise ValueError("it is not a page with a row to copy")
    rows += [{**rows[-1], "id": f"made-up-{number}"} for number in range(count)]
    value["pagination"]["count"] = len(rows)
    answer.set_body(encode(value), "application/json")


def _merge(value: Any, patch: Any) -> Any:
    """Merge a patch into a JSON value.

    An object is merged into an object key by key, and into a list element by element: its keys
    are then positions (`"0"`, `"-1"`), or `"*"` for all. Anything else, including null, replaces
    the value.
    """
    if not isinstance(patch, dict):
        return patch
    if isinstance(value, list):
        merged = list(value)
        for key, part in patch.items():
            for index in range(len(merged)) if key == "*" else (int(key),):
                merged[index] = _merge(merged[index], part)
        return merged
    base = value if isinstance(value, dict) else {}
    return {**base, **{key: _merge(base.get(key), part) for key, part in patch.items()}}


async def deliver(
    answer: Response | None, end: Fault | None, record: ReceivedRequest, connection: Connection
) -> None:
    """Send the answer as far as the fault that decides the request's end lets it go.

    A connection whose answer is not sent whole is closed afterwards.
    """
    kind = None if end is None else end.kind
    if end is not None and kind == "hang":
        await connection.left_within(end.options.get("ms"))
    if answer is None or kind in ("drop_after", "hang"):
        return
    record.status = answer.status  # before the caller can ask for the record
    if end is not None and kind == "cut_body":
        length = len(answer.body)
        keep = max(0, min(end.options.get("bytes", length // 2), length - 1))
        await connection.write(connection.head(answer) + connection.part(answer.body[:keep]))
    elif end is not None and kind == "drip":
        await _drip(answer, end, connection)
    else:
        await connection.send(answer)


async def _drip(answer: Response, fault: Fault, connection: Connection) -> None:
    """Send an answer in pieces, with a pause before each, as long as the caller listens."""
    held_back = connection.head(answer)
    size = fault.options.get("bytes", 1)
    if fault.options.get("headers_first", True):
        await connection.write(held_back)
        held_back = b""
    for start in range(0, len(answer.body), size):
        if await connection.left_within(fault.options["ms"]):
            return
        await connection.write(held_back + connection.part(answer.body[start : start + size]))
        held_back = b""
    await connection.write(held_back + connection.end())
