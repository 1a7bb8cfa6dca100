"""One HTTP request and its answer, as far as it may be read: memory and time are bounded."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vercel_sql.api.redaction.unpickled import HoldsSecrets
from vercel_sql.api.transport import unlogged

if TYPE_CHECKING:
    import httpx

# The largest page of the API is some hundred kilobytes.
MOST_BYTES = 32 * 2**20
# How many times as long as one wait for bytes an answer may take that keeps trickling in.
_TRICKLE = 10
# How long to wait for a connection at most, in seconds.
CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Received(HoldsSecrets):
    """What came back.

    Attributes:
        status: the HTTP status.
        headers: the headers.
        body: the decoded body, empty where it can't be used.
        problem: why the body can't be used, or None.
        is_spent: whether its connection must not be used again.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    problem: str | None = None
    is_spent: bool = True


def exchange(
    connections: httpx.Client,
    method: str,
    url: str,
    *,
    content: bytes | None,
    headers: httpx.Headers,
    timeout: float,
    wanted: Callable[[], bool] = lambda: True,
) -> Received:
    """Sends one request and reads its answer."""
    import httpx

    limits = httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS))
    end = time.monotonic() + longest(timeout)
    with (
        unlogged(),
        connections.stream(method, url, content=content, headers=headers, timeout=limits) as answer,
    ):
        body = bytearray()
        try:
            decoder = _decoder(answer.headers.get("content-encoding", ""))
            for piece in answer.iter_raw():
                if time.monotonic() > end or not wanted():
                    raise not_whole(longest(timeout))
                if answer.num_bytes_downloaded > MOST_BYTES:
                    raise _too_long()  # what is unpacked may be nothing, for ever
                body += decoder.decode(piece, MOST_BYTES - len(body))
            decoder.finish()
        except _Unusable as error:
            # What is left of it is not read.
            return Received(answer.status_code, answer.headers, b"", str(error))
    return Received(
        answer.status_code, answer.headers, bytes(body), is_spent=_has_left_over(answer)
    )


def _has_left_over(answer: httpx.Response) -> bool:
    """Whether more bytes came than the answer has: they would be taken for the next one.

    h11 keeps them, where httpcore's look at the socket does not find them, and neither offers a
    public way to ask. Where their insides change, no connection is used twice, which is only slow.
    """
    stream: Any = answer.stream
    try:
        connection = stream._stream._httpcore_stream._stream._connection
        left_over, _ = connection._h11_state.trailing_data
    except AttributeError:
        return True
    return bool(left_over)


def longest(timeout: float) -> float:
    """How many seconds a request may take altogether, where each wait may take so many."""
    return timeout * _TRICKLE


def not_whole(seconds: float) -> httpx.ReadTimeout:
    """The error for an answer that trickles in, when it has taken so long altogether."""
    import httpx

    return httpx.ReadTimeout(f"the answer was not whole after {seconds:.3g} s")


class _Unusable(Exception):  # noqa: N818 - it is no error of its own, only the reason for one
    """A body that can't be read."""


class _Plain:
    """A body without an encoding."""

    def decode(self, piece: bytes, most: int) -> bytes:
        if len(piece) > most:
            raise _too_long()
        return piece

    def finish(self) -> None:
        return


class _Gzip:
    """A compressed body; it may be small and unpack to more than the memory holds."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._began = False

    def decode(self, piece: bytes, most: int) -> bytes:
        unpacked = b""
        while piece:
            if self._unpacker.eof:
                # Several compressed parts one after the other are one body (RFC 1952).
                self._unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
            self._began = True
            try:
                unpacked += self._unpacker.decompress(piece, most - len(unpacked) + 1)
            except zlib.error:
                raise _Unusable("its compression is broken") from None
            if len(unpacked) > most:
                raise _too_long()
            piece = self._unpacker.unconsumed_tail or self._unpacker.unused_data
        return unpacked

    def finish(self) -> None:
        if self._began and not self._unpacker.eof:
            raise _Unusable("its compression ends in the middle")


def _decoder(encoding: str) -> _Plain | _Gzip:
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Gzip()
    raise _Unusable("its Content-Encoding is none that was asked for")


def _too_long() -> _Unusable:
    return _Unusable(f"it is longer than {MOST_BYTES // 2**20} MiB")
