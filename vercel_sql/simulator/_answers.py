"""Answers on their way out, and how faults spoil them."""

from base64 import b64decode
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response
from starlette.types import Message

from vercel_sql.simulator._errors import ApiError
from vercel_sql.simulator._faults import Fault
from vercel_sql.simulator._json import decode, encode

_WITHOUT_BODY = (204, 304)
_GARBAGE = b"\x00\xff\xfe not JSON, not even text \x80\x81"
_HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass
class Answer:
    """A whole answer, held back until the faults had their turn."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @classmethod
    def of(cls, response: Response) -> "Answer":
        """Take over what an endpoint or an error answers."""
        return cls(response.status_code, list(response.raw_headers), bytes(response.body))

    def replace_body(self, body: bytes, content_type: str = "application/json") -> None:
        """Change the body, and the headers that describe it."""
        described = (b"content-length", b"content-type")
        kept = [(name, value) for name, value in self.headers if name.lower() not in described]
        self.headers = [
            *kept,
            (b"content-length", str(len(body)).encode()),
            (b"content-type", content_type.encode("latin-1")),
        ]
        self.body = body

    def set_headers(self, headers: dict[str, Any]) -> None:
        """Set headers, over those of the same name."""
        names = {name.lower().encode("latin-1") for name in headers}
        kept = [(name, value) for name, value in self.headers if name.lower() not in names]
        self.headers = kept + [
            (name.lower().encode("latin-1"), str(value).encode("latin-1"))
            for name, value in headers.items()
        ]

    def add_date(self, date: str) -> None:
        """Say when the answer was made, unless a fault has said so already."""
        if all(name.lower() != b"date" for name, _ in self.headers):
            self.headers = [(b"date", date.encode("latin-1")), *self.headers]

    def start(self) -> Message:
        """Give the ASGI message that begins the answer."""
        if self.status in _WITHOUT_BODY:
            self.replace_body(b"")
            self.headers = [pair for pair in self.headers if not pair[0].startswith(b"content-")]
        return {"type": "http.response.start", "status": self.status, "headers": self.headers}


def instead(fault: Fault) -> Answer:
    """Make the answer that a `status` or `redirect` fault gives instead of the endpoint's."""
    options = fault.options
    if fault.kind == "redirect":
        answer = Answer.of(Response(status_code=options.get("status", 307)))
        answer.set_headers({"Location": options["location"], **options.get("headers", {})})
        return answer
    error = ApiError(options["status"], options.get("message"), code=options.get("code"))
    error.extra = options.get("extra", {})
    answer = Answer.of(error.response())
    answer.set_headers(options.get("headers", {}))
    return answer


def spoil(answer: Answer, fault: Fault, cursor: str | None) -> None:
    """Change an answer as a fault says; faults that leave it alone change nothing."""
    match fault.kind:
        case "garbage_body":
            answer.status = 200
            if fault.options.get("html", False):
                answer.replace_body(_HTML, "text/html; charset=utf-8")
            else:
                answer.replace_body(_GARBAGE)
        case "body":
            _replace(answer, fault)
        case "page" if answer.status == 200:
            _lengthen(answer, fault.options["rows"])
        case "patch":
            _patch(answer, fault)
        case "repeat_cursor" if cursor is not None:
            again = int(cursor) if cursor.isdecimal() else cursor
            value = decode(answer.body)
            answer.replace_body(encode(merge(value, {"pagination": {"next": again}})))


def _replace(answer: Answer, fault: Fault) -> None:
    options = fault.options
    body = b64decode(options["raw"]) if "raw" in options else options["body"]
    content_type = options.get("content_type", "application/json")
    answer.status = options.get("status", 200)
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = encode(body)
    answer.replace_body(body, content_type)
    answer.set_headers(options.get("headers", {}))


def _lengthen(answer: Answer, count: int) -> None:
    """Put made-up rows at the end of a listing's page; they look like its last row.

    Raises:
        ValueError: The answer is not a page that has a row.
    """
    value = decode(answer.body)
    rows = next(filter(_is_rows, value.values()), None) if isinstance(value, dict) else None
    if rows is None or not isinstance(value.get("pagination"), dict):
        raise ValueError("it is not a page with a row to copy")
    rows += [{**rows[-1], "id": f"made-up-{number}"} for number in range(count)]
    value["pagination"]["count"] = len(rows)
    answer.replace_body(encode(value))


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[-1], dict)


def _patch(answer: Answer, fault: Fault) -> None:
    body = answer.body
    if "patch" in fault.options:
        body = encode(merge(decode(body), fault.options["patch"]))
    if "replace_text" in fault.options:
        old, new = fault.options["replace_text"]
        body = body.replace(old.encode(), new.encode())
    answer.replace_body(body)


def merge(value: Any, patch: Any) -> Any:
    """Lay a patch over a JSON value.

    An object is laid over an object key by key, and over a list element by element: its keys
    are then positions (`"0"`, `"-1"`), or `"*"` for all. Anything else takes the value's place,
    null included.
    """
    if not isinstance(patch, dict):
        return patch
    if isinstance(value, list):
        merged = list(value)
        for key, part in patch.items():
            for index in range(len(merged)) if key == "*" else (int(key),):
                merged[index] = merge(merged[index], part)
        return merged
    base = value if isinstance(value, dict) else {}
    return {**base, **{key: merge(base.get(key), part) for key, part in patch.items()}}
