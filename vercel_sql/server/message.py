"""Quack's messages, as much of them as has to be understood to pass them on.

A message is an object in DuckDB's binary serialization: numbered fields of two bytes each, an end
of ``ff ff``, and the numbers in LEB128. First comes the head (1 the kind, 2 the session, 3 the
number of the client's query), then a body for each kind. Quack 1.5.5 and 2.0 share this:
https://github.com/duckdb/duckdb-quack, ``src/include/quack_message.json``.
"""

from __future__ import annotations

import re

from vercel_sql.server.bounds import OUT_OF_MEMORY

CONNECT, CONNECTED, QUERY, FETCH, DISCONNECT, CANCEL = 1, 2, 3, 7, 11, 12
_ERROR = 100

SESSION_LENGTH = 32
_SESSION = rb"\x02\x00\x20(?P<session>[0-9A-F]{32})"
_KIND = re.compile(rb"\x01\x00(?P<kind>[\x00-\x7f])(?:" + _SESSION + rb")?", re.DOTALL)
_TOKEN = re.compile(
    rb"\x01\x00\x01(?:\x03\x00[\x80-\xff]{0,9}[\x00-\x7f])?\xff\xff\x01\x00"
    rb"(?P<low>[\x00-\xff])(?P<high>(?<=[\x80-\xff])[\x00-\x7f])?",
    re.DOTALL,
)
HEAD_LENGTH = 3 + 3 + SESSION_LENGTH
"""Bytes from which kind and session are known."""


def kind_and_session(head: bytes) -> tuple[int, bytes]:
    """What a message is, and whose; 0 for anything else. A CONNECT is nobody's yet."""
    found = _KIND.match(head)
    return (0, b"") if found is None else (found["kind"][0], found["session"] or b"")


def with_session(message: bytes, session: bytes) -> bytes:
    start = HEAD_LENGTH - SESSION_LENGTH
    return message[:start] + session + message[HEAD_LENGTH:]


def token_of(connect: bytes) -> bytes | None:
    """The token that a CONNECT brings; None where it can't be found."""
    found = _TOKEN.match(connect)
    if found is None:
        return None
    length = (found["low"][0] & 0x7F) | (found["high"][0] << 7 if found["high"] else 0)
    token = connect[found.end() : found.end() + length]
    return token if len(token) == length else None


def with_token(connect: bytes, token: bytes) -> bytes:
    found, old = _TOKEN.match(connect), token_of(connect)
    assert found is not None and old is not None  # noqa: PT018, S101 - the caller looked at it
    return connect[: found.start("low")] + _text(token) + connect[found.end() + len(old) :]


def lacks_memory(answer: bytes) -> bool:
    """Whether an answer says that Quack had no memory to hand a result over."""
    is_error = kind_and_session(answer)[0] == _ERROR
    return is_error and bool(OUT_OF_MEMORY.search(answer.decode("latin-1")))


def error(said: str) -> bytes:
    """The message for a client whose request failed."""
    no_number = b"\xff" * 9 + b"\x01"
    head = b"\x01\x00" + bytes([_ERROR]) + b"\x03\x00" + no_number + b"\xff\xff"
    return head + b"\x01\x00" + _text(said.encode()) + b"\xff\xff"


def _text(content: bytes) -> bytes:
    length, number = bytearray(), len(content)
    while number > 0x7F:
        length.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*length, number]) + content
