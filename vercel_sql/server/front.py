"""The proxy in front of Quack: it refuses what Quack can't be configured to refuse.

Each connection brings one request. Its head has to be that of a DuckDB client, its beginning has to
bring the token or a session that began with it, and only then is more of it read. What passes goes
to the database process over a socket that nobody else reaches.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import secrets
import socket
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from vercel_sql.errors import OperationalError
from vercel_sql.logger import logger
from vercel_sql.server import message
from vercel_sql.server.bounds import HOST, NEEDS_MORE, Bounds, most_open_files, uri_of
from vercel_sql.server.children import Child, Children, UnansweredError, until

T = TypeVar("T")
log = logger("server")

_REQUEST_SECONDS = 5.0
"""How long a client may take to send a request."""
_READ_SECONDS = 60.0
"""How long a client may leave an answer unread."""
_LONGEST_HEAD = 8 * 1024
_LONGEST_CONNECT = 4 * 1024
_LONGEST_BODY = 512 * 1024  # the judge takes 100,000 characters, of up to four bytes each
_MOST_CLIENTS = 4096
_MOST_SESSIONS = 512
"""Of them have a session in the database process, where each takes a quarter of a mebibyte."""
_MOST_STATEMENTS, _MOST_WAITING = 8, 256
"""Statements of one session that wait for each other, and requests: a client fetches a result with
all its threads at once."""
_CANCEL_SECONDS = 0.1
_TOO_MANY = "too many requests at once; try again"
_INVALID = "Invalid connection id"
_NO_MEMORY = "the server is short of memory; try again"
_CHUNK = 64 * 1024
_NOT_ASKED = message.error("Authorization failed")
_FLUSH_SECONDS = 2.0
"""How long answers may be read when the server ends."""
_ROOM_SECONDS, _PAUSE_SECONDS, _SHORT_SECONDS = 30.0, 0.1, 10.0
"""How long a statement waits for a process that has memory for it, how often it asks, and how long
one has run at most that is begun again when its process was ended because of another one."""
_MOST_REPEATS = 300
_BACKLOG, _ACCEPTS = 1024, 16
"""Connections that wait to be accepted, and how many are before others are read from."""
_YOUNG_SECONDS = 0.2
"""So old is a connection before it has to make room: its request may not have been read yet."""
_MOST_BUSY = 96
"""Requests. Quack 1.5 has 128 threads, and a request takes one until its answer is read."""
_REASONS = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 413: "Content Too Large"}


class _Refused(Exception):  # noqa: N818 - it is an answer
    """A request is not passed on; its argument is the HTTP status of the answer."""


@dataclass(frozen=True)
class _Request:
    """What a client wants.

    Attributes:
        kind: the kind of its message.
        key: its session; empty where it connects.
        body: the message.
        writer: where the answer goes.
        leaving: done when the client has left.
    """

    kind: int
    key: bytes
    body: bytes
    writer: asyncio.StreamWriter
    leaving: asyncio.Task[None]


@dataclass
class _Session:
    """A client that brought the token.

    Attributes:
        connect: the message with which it connected.
        child: the process in which it has a session.
        inner: what that session is called there.
        lock: held while one of its requests is answered.
        waiting: how many of its requests are answered or wait for that.
        statements: how many of those are statements.
    """

    connect: bytes
    child: Child | None = None
    inner: bytes = b""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    statements: int = 0


class Front:
    """Listens on a port of the loopback interface."""

    def __init__(self, port: int, token: str, children: Children, bounds: Bounds) -> None:
        self._token = token.encode()
        self._children = children
        files = most_open_files()
        self._most = min(bounds.connections, files // 6)
        self._most_queued = files * 3 // 8
        self._hosts = {f"{host}:{port}" for host in (HOST, "127.0.0.1", "[::1]")}
        self._sockets = _listeners(port)
        self._servers: list[asyncio.Server] = []
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        # Connections that have not brought a token or session yet, and since when.
        self._unknown: OrderedDict[asyncio.StreamWriter, float] = OrderedDict()
        # Answers that are being read, the oldest first.
        self._read: OrderedDict[asyncio.StreamWriter, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy = 0

    async def start(self) -> None:
        asyncio.get_running_loop().set_exception_handler(_reported)
        for each in self._sockets:
            server = await asyncio.start_server(
                self._accept, sock=each, limit=_LONGEST_HEAD, backlog=_ACCEPTS
            )
            self._servers.append(server)
            each.listen(_BACKLOG)

    async def end(self, patience: float) -> None:
        """Accepts no more, and cuts off what is still being answered after so many seconds."""
        for server in self._servers:
            server.close()
        for each in self._sockets:  # it may not have come to accept anybody
            each.close()
        for writer in list(self._unknown):
            writer.transport.abort()
        await until(lambda: not self._busy, patience)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        now, crowd = time.monotonic(), len(self._unknown)
        if crowd >= self._most:
            oldest, since = next(iter(self._unknown.items()))
            if now - since > _YOUNG_SECONDS or crowd >= 2 * self._most:
                del self._unknown[oldest]
                oldest.transport.abort()
        self._unknown[writer] = now
        task = asyncio.create_task(self._served(reader, writer))
        self._tasks.add(task)  # asyncio itself would forget it
        task.add_done_callback(self._tasks.discard)

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                body = await self._received(reader)
            self._unknown.pop(writer, None)
            kind, key = message.kind_and_session(body)
            leaving = asyncio.create_task(_left(reader))
            self._busy += 1
            try:
                await self._answered(_Request(kind, key, body, writer, leaving))
            except UnansweredError as error:
                await _reply(writer, 200, message.error(str(error)))
            finally:
                self._busy -= 1
                leaving.cancel()
        except _Refused as refused:
            await _reply(writer, refused.args[0], b"")
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._unknown.pop(writer, None)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _received(self, reader: asyncio.StreamReader) -> bytes:
        """The body of a request: the beginning alone where it has no session of ours."""
        length = self._length(await reader.readuntil(b"\r\n\r\n"))
        start = await reader.readexactly(min(length, message.HEAD_LENGTH))
        kind, session = message.kind_and_session(start)
        if kind == message.CONNECT:
            if length > _LONGEST_CONNECT:
                raise _Refused(413)
        elif kind not in (message.QUERY, message.FETCH, message.DISCONNECT, message.CANCEL):
            raise _Refused(400)
        elif session not in self._sessions:
            return start
        return start + await reader.readexactly(length - len(start))

    def _length(self, head: bytes) -> int:
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        if first != "POST /quack HTTP/1.1":
            raise _Refused(404)
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip() or name.lower() in headers:
                raise _Refused(400)
            headers[name.lower()] = value.strip()
        # A browser sends an Origin with each POST. It also sends the Host by which it came here,
        # which is another's where a page has its name point to this machine.
        if "origin" in headers or headers.get("host", "").lower() not in self._hosts:
            raise _Refused(403)
        length = headers.get("content-length", "")
        if "transfer-encoding" in headers or not (length.isascii() and length.isdecimal()):
            raise _Refused(400)
        if len(length) > 9 or int(length) > _LONGEST_BODY:
            raise _Refused(413)
        return int(length)

    async def _answered(self, request: _Request) -> None:
        session = self._sessions.get(request.key)
        if request.kind == message.CONNECT:
            await _repeated(partial(self._connect, request), request.leaving)
        elif session is None:
            raise UnansweredError(_INVALID)
        elif request.kind == message.CANCEL:
            self._cancel(session)  # it does not wait for what it is to end
            await self._exchanged(session, request)
        else:
            await self._in_turn(session, request)

    def _make_room(self, child: Child) -> None:
        """Sees to it that Quack has a thread for a request: who does not read loses the answer."""
        if child.busy > _MOST_BUSY and self._read:
            self._read.popitem(last=False)[0].transport.abort()
        if child.busy > _MOST_BUSY + 16:
            raise UnansweredError(_TOO_MANY)

    async def _connect(self, request: _Request) -> None:
        """Answers a CONNECT, with a session of ours in place of the process's."""
        token = message.token_of(request.body)
        if token is None or not hmac.compare_digest(token, self._token):
            raise UnansweredError("Authentication failed")
        session = _Session(request.body)
        answer = await self._begin(session)
        key = secrets.token_hex(message.SESSION_LENGTH // 2).upper().encode()
        self._sessions[key] = session
        if len(self._sessions) > _MOST_CLIENTS:
            idle = next(each for each, its in self._sessions.items() if not its.waiting)
            self._end(self._sessions.pop(idle))
        await _reply(request.writer, 200, message.with_session(answer, key))

    async def _begin(self, session: _Session) -> bytes:
        """Gives a client a session in the process that takes new statements; its answer."""
        session.child, session.inner = None, b""
        child = await self._children.current()
        theirs = [each for each in self._sessions.values() if each.child is child]
        if len(theirs) >= _MOST_SESSIONS:
            idle = next((each for each in theirs if not each.waiting), None)
            if idle is None:
                raise UnansweredError(_TOO_MANY)
            self._end(idle)  # its next statement begins another one
        self._make_room(child)
        answer = await child.answer(message.with_token(session.connect, child.token))
        kind, inner = message.kind_and_session(answer)
        if kind != message.CONNECTED:
            raise UnansweredError(_NO_MEMORY, repeats=_MOST_REPEATS)
        session.child, session.inner = child, inner
        return answer

    def _end(self, session: _Session) -> None:
        if session.child is not None and session.child.is_running:
            session.child.tell(end=session.inner.decode())
        session.child = None

    async def _in_turn(self, session: _Session, request: _Request) -> None:
        """Answers a request after those of its session that came before it."""
        is_end, is_statement = (request.kind == k for k in (message.DISCONNECT, message.QUERY))
        is_full = session.waiting >= _MOST_WAITING or self._busy > self._most_queued
        is_full |= is_statement and session.statements >= _MOST_STATEMENTS
        if session.waiting and is_full:
            raise UnansweredError(_TOO_MANY)
        session.waiting += 1
        session.statements += is_statement
        turn = asyncio.create_task(session.lock.acquire())
        try:
            # A session ends all the same where its client does not wait for that.
            first = {turn} if is_end else {turn, request.leaving}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                return
            if self._sessions.get(request.key) is not session:
                raise UnansweredError(_INVALID)
            self._sessions.move_to_end(request.key)
            if is_end:
                del self._sessions[request.key]
            if is_statement:
                await _repeated(partial(self._run, session, request), request.leaving)
            elif is_end or not request.leaving.done():
                await self._exchanged(session, request)
            if is_end:
                self._end(session)
        finally:
            session.waiting -= 1
            session.statements -= is_statement
            if turn.done():
                session.lock.release()
            turn.cancel()

    async def _run(self, session: _Session, request: _Request) -> None:
        child = session.child
        is_current = child is self._children.newest and child.is_running and child.is_ready
        if not is_current:
            self._end(session)
            await self._begin(session)
        await self._exchanged(session, request)

    async def _exchanged(self, session: _Session, request: _Request) -> None:
        """Passes a request on and its answer back; ends what runs when the client goes."""
        child, writer = session.child, request.writer
        if child is None:
            raise UnansweredError("this result is gone; run the statement again")
        self._make_room(child)
        asked = message.with_session(request.body, session.inner)
        answering = asyncio.create_task(child.begin(asked))
        try:
            await asyncio.wait({answering, request.leaving}, return_when=asyncio.FIRST_COMPLETED)
            while not answering.done():  # it may not have begun to run, and knows no cancel then
                self._cancel(session)
                await asyncio.wait({answering}, timeout=_CANCEL_SECONDS)
            length, upstream, close = await answering
        finally:
            answering.cancel()
        try:
            first = await upstream.readexactly(min(length, _CHUNK))
            if first in (b"", _NOT_ASKED) or message.lacks_memory(first):
                child.tell(shed=True)
                if session.inner.decode() in child.heavy:
                    raise UnansweredError(NEEDS_MORE)
                raise UnansweredError(_NO_MEMORY, repeats=_MOST_REPEATS)
            self._read[writer] = None
            await _copied(first, upstream, length, writer)
        except asyncio.IncompleteReadError:
            raise await child.gone(asked) from None
        finally:
            self._read.pop(writer, None)
            close()
            if request.kind == message.QUERY:
                child.answered(session.inner.decode())

    def _cancel(self, session: _Session) -> None:
        if session.child is not None:
            session.child.tell(cancel=session.inner.decode())


async def _repeated(act: Callable[[], Awaitable[None]], leaving: asyncio.Task[None]) -> None:
    """Answers a request: again where it lost its process, or had no memory, because of others."""
    end = time.monotonic() + _ROOM_SECONDS
    tried: Counter[int] = Counter()  # that a process ended and that memory is short count apart
    while True:
        if leaving.done():
            return
        began = time.monotonic()
        try:
            await act()
        except UnansweredError as error:
            is_late = time.monotonic() > min(end, began + _SHORT_SECONDS)
            if tried[error.repeats] >= error.repeats or is_late:
                raise
            tried[error.repeats] += 1
        else:
            return
        await asyncio.sleep(_PAUSE_SECONDS)


async def _left(reader: asyncio.StreamReader) -> None:
    """Waits until a client has left, or sends more than its request, as DuckDB never does."""
    with suppress(OSError):
        await reader.read(1)


def _reported(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Says in a line what asyncio prints with a traceback."""
    error = context.get("exception")
    if error is not None:
        log.warning("a connection failed: %s (%s)", context["message"], type(error).__name__)


async def _copied(
    first: bytes, upstream: asyncio.StreamReader, length: int, writer: asyncio.StreamWriter
) -> None:
    """Passes an answer on, of which the first part is there."""
    writer.write(_head(200, length) + first)
    length -= len(first)
    while length:
        async with asyncio.timeout(_READ_SECONDS):
            await writer.drain()
        chunk = await upstream.read(min(length, _CHUNK))
        if not chunk:
            writer.transport.abort()  # an answer that is cut must not look whole
            return
        length -= len(chunk)
        writer.write(chunk)
    async with asyncio.timeout(_READ_SECONDS):
        await writer.drain()


async def _reply(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    try:
        writer.write(_head(status, len(body)) + body)
        async with asyncio.timeout(_REQUEST_SECONDS):
            await writer.drain()
    except (OSError, TimeoutError):
        writer.transport.abort()


def _head(status: int, length: int) -> bytes:
    return (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'OK')}\r\n"
        "Content-Type: application/vnd.duckdb\r\n"
        f"Content-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()


def _listeners(port: int) -> list[socket.socket]:
    """Sockets that listen on loopback, in each address family that this machine has."""
    found: list[socket.socket] = []
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            found.append(socket.create_server((host, port), family=family))
        except OSError as error:
            if found and error.errno != errno.EADDRINUSE:
                continue  # a machine without IPv6
            for each in found:
                each.close()
            reason = (
                "the port is taken; choose another"
                if error.errno == errno.EADDRINUSE
                else error.strerror or "unknown error"
            )
            raise OperationalError(f"{uri_of(port)} can't be served: {reason}") from None
    return found


class Supervisor:
    """Serves until it is closed."""

    def __init__(self, children: Children, front: Front) -> None:
        self._children = children
        self._front = front
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self._run(self._start())
        except BaseException:
            self.kill()
            raise

    async def _start(self) -> None:
        await self._children.start()
        await self._front.start()

    def close(self, patience: float | None = 60.0) -> bool:
        """Ends it: clients are told, and writes that are under way are waited for."""
        ended = self._run(self._stop(patience))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        return ended

    def kill(self) -> None:
        self.close(None)

    async def _stop(self, patience: float | None) -> bool:
        ended = await self._children.stop(patience)
        await self._front.end(_FLUSH_SECONDS)
        return ended

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        running = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise
